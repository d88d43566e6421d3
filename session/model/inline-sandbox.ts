/**
 * A `TextSandbox` on the caller's own thread, for tests and for files that are trusted: nothing can stop it. Programs use
 * `worker-sandbox.ts`.
 */
import { SwarmError, fromPlainError } from '../../swarm/errors.ts'
import type { TextCalls, TextMethod, TextRequest, TextSandbox } from './text-sandbox.ts'
import { createTextHandler } from './text-worker.ts'

export function createInlineSandbox(): TextSandbox {
  const handle = createTextHandler()
  let ended = false
  return {
    async call<M extends TextMethod>(method: M, args: TextCalls[M]['args']): Promise<TextCalls[M]['result']> {
      if (ended) throw new SwarmError('CANCELLED', 'the tokenizer was closed')
      const answer = handle({ id: 0, request: { method, args } as TextRequest })
      if ('error' in answer) throw fromPlainError(answer.error)
      return answer.result as TextCalls[M]['result']
    },
    terminate() {
      ended = true
    },
  }
}
