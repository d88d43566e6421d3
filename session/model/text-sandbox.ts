/**
 * `TextSandbox`: where the tokenizer's patterns and the chat template run. Both come from a model repository and may
 * loop for ever, so they run behind this call interface, in a Worker (page) or a worker thread (Node) that
 * `worker-sandbox.ts` ends when a call takes too long. Decoding needs neither and stays outside (`decode.ts`).
 */
import type { PlainError } from '../../swarm/errors.ts'
import type { ChatMessage } from '../types.ts'

/** The model's files that the sandbox works from; plain data, already checked by `check-tokenizer.ts`. */
export interface TextSource {
  tokenizerJson: object
  tokenizerConfig: object
  /** Template text; null where the model has none. */
  chatTemplate: string | null
}

export interface TextCalls {
  /** Must be the first call. Again with other files: replaces them. */
  load: { args: TextSource; result: null }
  encode: { args: { text: string; addSpecialTokens: boolean }; result: number[] }
  render: { args: { messages: readonly ChatMessage[] }; result: string }
}
export type TextMethod = keyof TextCalls
export type TextRequest = { [M in TextMethod]: { method: M; args: TextCalls[M]['args'] } }[TextMethod]

export interface TextSandbox {
  /** @throws SwarmError BAD_TOKENIZER, BAD_TEMPLATE (also when the call took too long), CANCELLED after `terminate` */
  call<M extends TextMethod>(method: M, args: TextCalls[M]['args']): Promise<TextCalls[M]['result']>
  /** Ends the worker; calls under way reject. Safe to call twice. */
  terminate(): void
}

/** What crosses to the worker and back. */
export interface TextCallMessage {
  id: number
  request: TextRequest
}
export type TextAnswerMessage =
  | { id: number; result: TextCalls[TextMethod]['result'] }
  | { id: number; error: PlainError }
