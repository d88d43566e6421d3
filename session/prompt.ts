/**
 * What a person wrote → prompt ids, the same for the page and the command line: a chat through the model's template, raw
 * text, or token ids. Says before anything is sent that a prompt is empty or does not fit.
 */
import { SwarmError } from '../swarm/errors.ts'
import type { ChatMessage, PromptModel } from './types.ts'

export type PromptInput =
  | { kind: 'chat'; messages: readonly ChatMessage[] }
  | { kind: 'raw'; text: string }
  | { kind: 'ids'; ids: readonly number[] }

export interface PreparedPrompt {
  ids: number[]
  /** What the chat became: `raw` where the model has no chat template, which the page says. */
  form: 'chat' | 'raw' | 'ids'
}

/** @throws SwarmError EMPTY_PROMPT, NO_TOKENIZER, BAD_TOKEN_ID, BAD_TEMPLATE, BAD_TOKENIZER, PROMPT_TOO_LONG, CONTEXT_FULL */
export async function preparePrompt(model: PromptModel, input: PromptInput): Promise<PreparedPrompt> {
  const prepared = await encodePrompt(model, input)
  const isLaterTurn = input.kind === 'chat' && input.messages.some((message) => message.role === 'assistant')
  checkPrompt(model, prepared.ids, isLaterTurn)
  return prepared
}

async function encodePrompt(model: PromptModel, input: PromptInput): Promise<PreparedPrompt> {
  if (input.kind === 'ids') return { ids: [...input.ids], form: 'ids' }
  const written = input.kind === 'raw' ? input.text : (input.messages.at(-1)?.content ?? '')
  if (written.trim() === '') throw emptyPrompt()
  const { tokenizer } = model
  if (tokenizer === null) {
    throw new SwarmError('NO_TOKENIZER', `${model.id.repo} has no tokenizer, so it cannot read text`, {
      action: 'Prompt it with token ids (--prompt-ids 1,2,3).',
    })
  }
  if (input.kind === 'chat' && model.hasChatTemplate) {
    // The template has written the special tokens already.
    return { ids: await tokenizer.encode(await tokenizer.applyChatTemplate(input.messages), false), form: 'chat' }
  }
  const text = input.kind === 'raw' ? input.text : input.messages.map((message) => message.content).join('\n')
  return { ids: await tokenizer.encode(text, true), form: 'raw' }
}

/**
 * `isLaterTurn`: the prompt carries a conversation, so the remedy is a new chat.
 * @throws SwarmError EMPTY_PROMPT, BAD_TOKEN_ID, PROMPT_TOO_LONG, CONTEXT_FULL
 */
export function checkPrompt(
  model: Pick<PromptModel, 'maxPositionEmbeddings' | 'vocabSize'>,
  ids: readonly number[],
  isLaterTurn: boolean,
): void {
  if (ids.length === 0) throw emptyPrompt()
  const bad = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= model.vocabSize)
  if (bad !== undefined) {
    throw new SwarmError('BAD_TOKEN_ID', `token id ${bad} is not from 0 to ${model.vocabSize - 1}`, {
      action: 'Give ids of this model’s vocabulary.',
    })
  }
  const tokens = ids.length
  const maxTokens = model.maxPositionEmbeddings
  // One token at least must fit after the prompt.
  if (tokens < maxTokens) return
  const details = { tokens, maxTokens }
  if (isLaterTurn) {
    throw new SwarmError('CONTEXT_FULL', `the conversation has ${tokens} tokens, the model holds ${maxTokens}`, {
      action: 'Start a new chat.',
      details,
    })
  }
  throw new SwarmError('PROMPT_TOO_LONG', `the prompt has ${tokens} tokens, the model holds ${maxTokens}`, {
    action: 'Shorten the prompt.',
    details,
  })
}

function emptyPrompt(): SwarmError {
  return new SwarmError('EMPTY_PROMPT', 'the prompt is empty', { action: 'Write something first.' })
}
