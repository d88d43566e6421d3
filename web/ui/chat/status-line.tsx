/** One line that says what is going on: reading, answering with its speed, paused with the missing blocks. */
import { needsWebGpu } from '../../../swarm/backend.ts'
import { formatBlockRanges } from '../../../swarm/span.ts'
import type { Texts } from '../i18n/texts.ts'
import { useServices, useTexts } from '../services.ts'
import type { Phase } from '../state/answering.ts'

export function StatusLine() {
  const { chats, donating, environment, navigation } = useServices()
  const texts = useTexts()
  const phase = chats.current.value.phase.value
  const canCompute = environment.hasWebGpu || !needsWebGpu(donating.defaults.backend)
  const canHelp = canCompute && phase.kind === 'paused' && phase.missingBlocks.length > 0
  return (
    <div class={`status status-${phase.kind}`} data-testid="chat-status" data-phase={phase.kind}>
      <span class="status-light" aria-hidden="true" />
      <p>{phaseText(phase, texts)}</p>
      {canHelp && (
        <button type="button" class="button-quiet status-help" onClick={() => navigation.go('donate')}>
          {texts.messages.swarm.donateCta}
        </button>
      )}
    </div>
  )
}

export function phaseText(phase: Phase, { messages, formats }: Texts): string {
  const { chat } = messages
  switch (phase.kind) {
    case 'idle':
      return chat.ready
    case 'opening':
      return chat.opening
    case 'connecting':
      return chat.connecting
    case 'prefill':
      return chat.prefill(formats.integer(phase.done), formats.integer(phase.total), formats.integer(phase.reused))
    case 'streaming':
      return chat.streaming(
        formats.integer(phase.tokens),
        phase.tokensPerSecond === null ? null : formats.decimal(phase.tokensPerSecond),
      )
    case 'paused':
      return phase.missingBlocks.length > 0
        ? chat.pausedBlocks(formatBlockRanges(phase.missingBlocks), phase.missingBlocks.length)
        : chat.pausedBusy(phase.reason)
    case 'stopping':
      return chat.stopping
    default:
      return phase satisfies never
  }
}
