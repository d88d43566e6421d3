/**
 * The `Tokenizer` of a prompt model: encoding and the chat template go to the sandbox, decoding is done here. Checks that
 * belong to a prompt, not to a model: empty, too long to tokenize, ids beyond the model's vocabulary.
 */
import { SwarmError } from '../../swarm/errors.ts'
import { MAX_PROMPT_CHARS } from '../../swarm/limits.ts'
import type { ChatMessage, DecodeStream, Tokenizer } from '../types.ts'
import type { TokenDecoder } from './decode.ts'
import type { TextSandbox } from './text-sandbox.ts'

export function createTokenizer(sandbox: TextSandbox, decoder: TokenDecoder, vocabSize: number): Tokenizer {
  return {
    async encode(text: string, addSpecialTokens: boolean): Promise<number[]> {
      checkLength(text.length)
      const ids = await sandbox.call('encode', { text, addSpecialTokens })
      const outside = ids.find((id) => id >= vocabSize)
      if (outside !== undefined) {
        throw new SwarmError('BAD_TOKENIZER', `the tokenizer gives id ${outside}, the model has ${vocabSize} tokens`, {
          action: 'Choose another model, or prompt with token ids.',
        })
      }
      return ids
    },
    async applyChatTemplate(messages: readonly ChatMessage[]): Promise<string> {
      checkLength(messages.reduce((sum, message) => sum + message.content.length, 0))
      return sandbox.call('render', { messages })
    },
    decode: (ids: readonly number[]): string => decoder.decode(ids),
    stream: (): DecodeStream => decoder.stream(),
    dispose: (): void => sandbox.terminate(),
  }
}

function checkLength(chars: number): void {
  if (chars <= MAX_PROMPT_CHARS) return
  throw new SwarmError('PROMPT_TOO_LONG', `the prompt has ${chars} characters (at most ${MAX_PROMPT_CHARS})`, {
    action: 'Shorten the prompt.',
    details: { chars, maxChars: MAX_PROMPT_CHARS },
  })
}
