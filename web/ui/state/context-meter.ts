/**
 * Counts the tokens that the conversation would take with what is being written, a moment after the last keystroke: so
 * that a full context is said before sending, not after.
 */
import { SwarmError } from '../../../swarm/errors.ts'
import { effect, signal, type ReadonlySignal, type Signal } from '@preact/signals'
import type { Conversation } from './conversation.ts'
import type { OpenedModel } from './ports.ts'

/** Long enough not to tokenize at every key, short enough to be there before Enter. */
const COUNT_DELAY_MS = 150

export interface ContextMeter {
  readonly draft: Signal<string>
  /** null while unknown. */
  readonly usage: ReadonlySignal<{ used: number; context: number } | null>
  /** True when no room is left for even one token of an answer. */
  readonly full: ReadonlySignal<boolean>
}

export function createContextMeter(
  current: ReadonlySignal<Conversation>,
  opened: ReadonlySignal<OpenedModel | null>,
): ContextMeter {
  const draft = signal('')
  const usage = signal<{ used: number; context: number } | null>(null)
  const full = signal(false)
  let timer: ReturnType<typeof setTimeout> | undefined
  let round = 0
  effect(() => {
    const model = opened.value
    const conversation = current.value
    const text = draft.value
    void conversation.entries.value
    clearTimeout(timer)
    round += 1
    const mine = round
    if (model === null) {
      usage.value = null
      full.value = false
      return
    }
    timer = setTimeout(() => {
      void count(model, conversation, text).then((used) => {
        if (mine !== round) return
        usage.value = used === null ? null : { used, context: model.contextTokens }
        full.value = used !== null && used >= model.contextTokens
      })
    }, COUNT_DELAY_MS)
  })
  return { draft, usage, full }
}

/** Two refusals carry the count; after any other it is null, and sending will give the reason. */
async function count(model: OpenedModel, conversation: Conversation, draft: string): Promise<number | null> {
  const messages = conversation.messages(draft.trim() === '' ? null : draft)
  if (!messages.some((message) => message.role === 'user')) return 0
  try {
    return (await model.encode(messages)).length
  } catch (error) {
    const tokens = error instanceof SwarmError ? error.details['tokens'] : undefined
    return typeof tokens === 'number' ? tokens : null
  }
}
