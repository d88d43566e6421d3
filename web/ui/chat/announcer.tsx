/**
 * What a screen reader hears: the finished answer once, and a pause; never the streaming text. Out of sight, polite, and
 * apart from the log, so that focus and reading are never interrupted by tokens.
 */
import { useServices, useTexts } from '../services.ts'
import { phaseText } from './status-line.tsx'

export function Announcer() {
  const { chats } = useServices()
  const texts = useTexts()
  const phase = chats.current.value.phase.value
  const finished = chats.finished.value
  const spoken =
    phase.kind === 'paused'
      ? phaseText(phase, texts)
      : phase.kind === 'idle' && finished !== null && finished.text !== ''
        ? `${texts.messages.chat.finished} ${finished.text}`
        : ''
  return (
    <div class="sr-only" role="status" aria-live="polite" data-testid="chat-announcer">
      {spoken}
    </div>
  )
}
