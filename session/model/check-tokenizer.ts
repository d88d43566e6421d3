/**
 * Checks the shape of `tokenizer.json` and `tokenizer_config.json` before anything is built from them: kinds, sizes and
 * ids within limits. What the patterns and the template inside do is the sandbox's concern.
 */
import { SwarmError } from '../../swarm/errors.ts'
import { MAX_VOCAB_SIZE } from '../../swarm/limits.ts'

/** Byte-level tokens of published vocabularies reach 256 characters (runs of spaces); the rest is headroom. */
const MAX_TOKEN_CHARS = 4096
/** BPE has at most one merge for each token beyond the alphabet; some files list each under two spellings. */
const MAX_MERGES = 2 * MAX_VOCAB_SIZE
/** Llama 3 has 256 added tokens; fine-tuned families add some hundreds. */
const MAX_ADDED_TOKENS = 20_000
const MAX_TEMPLATE_CHARS = 1_000_000
const MODEL_TYPES = ['BPE', 'Unigram', 'WordPiece']

export interface AddedToken {
  id: number
  content: string
  special: boolean
}

/** What decoding needs; the same objects go to the sandbox. */
export interface CheckedTokenizer {
  tokenizerJson: Record<string, unknown>
  /** Token text by id, added tokens included; a hole is an id without a token. */
  tokens: (string | undefined)[]
  addedTokens: AddedToken[]
  /** The `decoder` section. */
  decoder: Record<string, unknown> | null
}

/** @throws SwarmError BAD_TOKENIZER */
export function checkTokenizer(json: unknown): CheckedTokenizer {
  const root = record(json, 'tokenizer.json')
  const model = record(root['model'], 'model')
  // Files of early versions leave the type out; they are BPE when they have merges.
  const type = model['type'] ?? (Array.isArray(model['merges']) ? 'BPE' : undefined)
  if (typeof type !== 'string' || !MODEL_TYPES.includes(type)) {
    throw bad(`model type ${JSON.stringify(type)} is not one of ${MODEL_TYPES.join(', ')}`)
  }
  if (Array.isArray(model['merges']) && model['merges'].length > MAX_MERGES) {
    throw bad(`${model['merges'].length} merges (at most ${MAX_MERGES})`)
  }
  if (type === 'BPE') checkMerges(model['merges'])
  const tokens = vocabulary(model['vocab'])
  const addedTokens = checkAddedTokens(root['added_tokens'])
  for (const token of addedTokens) tokens[token.id] = token.content
  const decoder = root['decoder']
  return {
    tokenizerJson: root,
    tokens,
    addedTokens,
    decoder: decoder === null || decoder === undefined ? null : record(decoder, 'decoder'),
  }
}

/** `tokenizer_config.json` may be absent. @throws SwarmError BAD_TOKENIZER, BAD_TEMPLATE */
export function checkTokenizerConfig(json: unknown): Record<string, unknown> {
  return json === null || json === undefined ? {} : record(json, 'tokenizer_config.json')
}

/** @throws SwarmError BAD_TEMPLATE */
export function checkTemplate(template: string | null): string | null {
  if (template !== null && template.length > MAX_TEMPLATE_CHARS) {
    throw new SwarmError(
      'BAD_TEMPLATE',
      `the chat template has ${template.length} characters (at most ${MAX_TEMPLATE_CHARS})`,
    )
  }
  return template
}

function vocabulary(vocab: unknown): (string | undefined)[] {
  const tokens: (string | undefined)[] = []
  if (Array.isArray(vocab)) {
    // Unigram: [token, score] in the order of ids
    checkCount(vocab.length)
    for (const [id, entry] of (vocab as unknown[]).entries()) put(tokens, Array.isArray(entry) ? entry[0] : entry, id)
    return tokens
  }
  const entries = Object.entries(record(vocab, 'model.vocab'))
  checkCount(entries.length)
  for (const [text, id] of entries) put(tokens, text, id)
  return tokens
}

function checkCount(count: number): void {
  if (count < 1 || count > MAX_VOCAB_SIZE) throw bad(`a vocabulary of ${count} tokens (1 to ${MAX_VOCAB_SIZE})`)
}

function put(tokens: (string | undefined)[], text: unknown, id: unknown): void {
  if (typeof text !== 'string' || text.length > MAX_TOKEN_CHARS) {
    throw bad(`token ${String(id)} is not a text of at most ${MAX_TOKEN_CHARS} characters`)
  }
  tokens[tokenId(id)] = text
}

function tokenId(id: unknown): number {
  if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= MAX_VOCAB_SIZE) {
    throw bad(`token id ${String(id)} is not an integer from 0 to ${MAX_VOCAB_SIZE - 1}`)
  }
  return id
}

/** A merge is `"a b"` or `["a", "b"]`. */
function checkMerges(merges: unknown): void {
  if (!Array.isArray(merges)) throw bad('model.merges is not a list')
  for (const merge of merges as unknown[]) {
    const parts: unknown[] = typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : []
    if (parts.length < 2 || !parts.every((part) => typeof part === 'string' && part.length <= MAX_TOKEN_CHARS)) {
      throw bad(`a merge is not a pair of texts: ${JSON.stringify(merge)?.slice(0, 60)}`)
    }
  }
}

function checkAddedTokens(value: unknown): AddedToken[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) throw bad('added_tokens is not a list')
  if (value.length > MAX_ADDED_TOKENS) throw bad(`${value.length} added tokens (at most ${MAX_ADDED_TOKENS})`)
  return (value as unknown[]).map((entry) => {
    const token = record(entry, 'an added token')
    const content = token['content']
    if (typeof content !== 'string' || content === '' || content.length > MAX_TOKEN_CHARS) {
      throw bad(`an added token's content is not a text of 1 to ${MAX_TOKEN_CHARS} characters`)
    }
    return { id: tokenId(token['id']), content, special: token['special'] === true }
  })
}

function record(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad(`${name} is not an object`)
  return value as Record<string, unknown>
}

function bad(reason: string): SwarmError {
  return new SwarmError('BAD_TOKENIZER', `the model's tokenizer is refused: ${reason}`, {
    action: 'Choose another model, or prompt with token ids.',
  })
}
