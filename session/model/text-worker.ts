/**
 * The body of the worker behind `TextSandbox`: loads the tokenizer and template of one model and answers calls. It is
 * pure (a message in, a message out); the page's Worker and Node's worker thread only connect it to their ports.
 * Nothing here is stopped from inside: whoever holds the worker ends it.
 */
import { Template } from '@huggingface/jinja'
import { Tokenizer as HubTokenizer } from '@huggingface/tokenizers'
import { SwarmError, describeError, toPlainError } from '../../swarm/errors.ts'
import { MAX_TEMPLATE_OUTPUT_CHARS } from '../../swarm/limits.ts'
import type { ChatMessage } from '../types.ts'
import { bosPolicy, specialTokenTexts, type BosPolicy } from './special-tokens.ts'
import type {
  TextAnswerMessage,
  TextCallMessage,
  TextCalls,
  TextMethod,
  TextRequest,
  TextSource,
} from './text-sandbox.ts'

interface LoadedText {
  tokenizer: HubTokenizer
  bos: BosPolicy
  template: Template | null
  templateError: string | null
  specialTokens: Record<string, string>
}

/** One handler a worker. */
export function createTextHandler(): (message: TextCallMessage) => TextAnswerMessage {
  let loaded: LoadedText | null = null
  function answer(request: TextRequest): TextCalls[TextMethod]['result'] {
    if (request.method === 'load') {
      loaded = loadText(request.args)
      return null
    }
    if (loaded === null) throw new Error('bug: a call before load')
    return request.method === 'encode'
      ? encode(loaded, request.args.text, request.args.addSpecialTokens)
      : render(loaded, request.args.messages)
  }
  return ({ id, request }) => {
    try {
      return { id, result: answer(request) }
    } catch (error) {
      return { id, error: toPlainError(error) }
    }
  }
}

function loadText(source: TextSource): LoadedText {
  let tokenizer: HubTokenizer
  try {
    tokenizer = new HubTokenizer(source.tokenizerJson, source.tokenizerConfig)
  } catch (error) {
    throw new SwarmError('BAD_TOKENIZER', `tokenizer.json cannot be used: ${describeError(error)}`, { cause: error })
  }
  const loaded: LoadedText = {
    tokenizer,
    bos: bosPolicy(source.tokenizerConfig, (token) => tokenizer.token_to_id(token)),
    template: null,
    templateError: null,
    specialTokens: specialTokenTexts(source.tokenizerConfig),
  }
  if (source.chatTemplate !== null) {
    // A template that does not parse must not keep the tokenizer from raw prompts: it is reported when it is used.
    try {
      loaded.template = new Template(source.chatTemplate)
    } catch (error) {
      loaded.templateError = describeError(error)
    }
  }
  return loaded
}

function encode(loaded: LoadedText, text: string, addSpecialTokens: boolean): number[] {
  if (text === '') return addSpecialTokens ? loaded.bos.apply([]) : []
  let ids: number[]
  try {
    ids = loaded.tokenizer.encode(text, { add_special_tokens: addSpecialTokens }).ids
  } catch (error) {
    throw new SwarmError('BAD_TOKENIZER', `the tokenizer failed: ${describeError(error)}`, { cause: error })
  }
  if (!ids.every((id) => Number.isInteger(id) && id >= 0)) {
    throw new SwarmError('BAD_TOKENIZER', 'the tokenizer has no token for a part of this text', {
      action: 'Write it in other words, or choose another model.',
    })
  }
  return addSpecialTokens ? loaded.bos.apply(ids) : ids
}

function render(loaded: LoadedText, messages: readonly ChatMessage[]): string {
  if (loaded.template === null) {
    const reason = loaded.templateError === null ? 'the model has none' : `it does not parse: ${loaded.templateError}`
    throw badTemplate(reason)
  }
  let text: unknown
  try {
    text = loaded.template.render({ ...loaded.specialTokens, messages, add_generation_prompt: true })
  } catch (error) {
    throw badTemplate(describeError(error), error)
  }
  if (typeof text !== 'string') throw badTemplate('it gives no text')
  if (text.length > MAX_TEMPLATE_OUTPUT_CHARS) {
    throw badTemplate(`it gives ${text.length} characters (at most ${MAX_TEMPLATE_OUTPUT_CHARS})`)
  }
  return text
}

function badTemplate(reason: string, cause?: unknown): SwarmError {
  return new SwarmError('BAD_TEMPLATE', `the model's chat template cannot be used: ${reason}`, {
    action: 'Prompt without the template (raw).',
    ...(cause === undefined ? {} : { cause }),
  })
}
