/**
 * Token ids → text, without the sandbox: no pattern of the model runs here. Each token is a run of bytes (byte-level
 * alphabet, or SentencePiece with byte fallback); the bytes of all tokens together are UTF-8. Bytes that may still become
 * a character are held back, and dropped at the end: an incomplete character is never shown. Bytes that can no longer
 * become one give the replacement character, as every other implementation writes them.
 *
 * Spaces before punctuation are never "cleaned up": the text must give the same ids again for the next turn.
 */
import { SwarmError } from '../../swarm/errors.ts'
import type { DecodeStream } from '../types.ts'
import type { CheckedTokenizer } from './check-tokenizer.ts'

export interface TokenDecoder {
  decode(ids: readonly number[]): string
  stream(): DecodeStream
}

interface DecodeRules {
  kind: 'byte-level' | 'sentencepiece'
  /** What stands for a space in SentencePiece vocabularies. */
  spaceMark: string
  byteFallback: boolean
  /** The first space of a text is the tokenizer's, not the text's. */
  stripsFirstSpace: boolean
}

const SPACE_MARK = '▁'
const NO_BYTES = new Uint8Array(0)

/**
 * `extraSpecial`: contents that `tokenizer_config.json` calls special beside the added tokens marked so.
 * @throws SwarmError BAD_TOKENIZER for a decoder that is neither byte-level nor SentencePiece
 */
export function createDecoder(tokenizer: CheckedTokenizer, extraSpecial: readonly string[] = []): TokenDecoder {
  const rules = decodeRules(tokenizer.decoder)
  const hidden = new Set<number>()
  const literal = new Set<number>()
  for (const token of tokenizer.addedTokens) {
    literal.add(token.id)
    if (token.special || extraSpecial.includes(token.content)) hidden.add(token.id)
  }
  const cache = new Map<number, Uint8Array>()

  function bytesOf(id: number): Uint8Array {
    const known = cache.get(id)
    if (known !== undefined) return known
    const text = tokenizer.tokens[id]
    // An id without a token (a vocabulary padded to a round size) has no text.
    const bytes = text === undefined || hidden.has(id) ? NO_BYTES : tokenBytes(text, literal.has(id), rules)
    cache.set(id, bytes)
    return bytes
  }

  function stream(): DecodeStream {
    const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })
    let atStart = rules.stripsFirstSpace
    return {
      push(id) {
        const bytes = bytesOf(id)
        if (bytes.length === 0) return ''
        const text = utf8.decode(bytes, { stream: true })
        if (!atStart || text === '') return text
        atStart = false
        return text.startsWith(' ') ? text.slice(1) : text
      },
      flush() {
        // What the decoder still holds is an incomplete character: left out. Nothing else is ever held.
        return ''
      },
    }
  }

  return {
    stream,
    decode(ids) {
      const pieces = stream()
      return ids.map((id) => pieces.push(id)).join('') + pieces.flush()
    },
  }
}

function tokenBytes(text: string, isLiteral: boolean, rules: DecodeRules): Uint8Array {
  if (isLiteral) return utf8Bytes(text)
  if (rules.kind === 'byte-level') {
    const bytes: number[] = []
    for (const char of text) {
      const byte = BYTE_OF_CHAR.get(char)
      if (byte === undefined) return utf8Bytes(text)
      bytes.push(byte)
    }
    return Uint8Array.from(bytes)
  }
  const fallback = rules.byteFallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(text) : null
  if (fallback !== null) return Uint8Array.of(Number.parseInt(fallback[1] as string, 16))
  return utf8Bytes(text.replaceAll(rules.spaceMark, ' '))
}

function utf8Bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** Reads the `decoder` section: ByteLevel, Metaspace, or the SentencePiece sequence Replace, ByteFallback, Fuse, Strip. */
function decodeRules(decoder: Record<string, unknown> | null): DecodeRules {
  const rules: DecodeRules = {
    kind: 'sentencepiece',
    spaceMark: SPACE_MARK,
    byteFallback: false,
    stripsFirstSpace: false,
  }
  if (decoder === null) return rules
  const steps = decoder['type'] === 'Sequence' && Array.isArray(decoder['decoders']) ? decoder['decoders'] : [decoder]
  for (const step of steps as Record<string, unknown>[]) {
    switch (step?.['type']) {
      case 'ByteLevel':
        rules.kind = 'byte-level'
        break
      case 'Metaspace':
        rules.spaceMark = typeof step['replacement'] === 'string' ? step['replacement'] : SPACE_MARK
        rules.stripsFirstSpace = step['prepend_scheme'] !== 'never' && step['add_prefix_space'] !== false
        break
      case 'Replace': {
        const pattern = (step['pattern'] as { String?: unknown } | undefined)?.String
        if (step['content'] !== ' ' || typeof pattern !== 'string') throw unsupported('Replace with another pattern')
        rules.spaceMark = pattern
        break
      }
      case 'ByteFallback':
        rules.byteFallback = true
        break
      case 'Fuse':
        break
      case 'Strip':
        if (step['content'] !== ' ') throw unsupported('Strip of something other than a space')
        rules.stripsFirstSpace = Number(step['start'] ?? 0) > 0
        break
      default:
        throw unsupported(String(step?.['type']))
    }
  }
  return rules
}

function unsupported(what: string): SwarmError {
  return new SwarmError('BAD_TOKENIZER', `the model's tokenizer is refused: decoder ${what} is not supported`, {
    action: 'Choose another model, or prompt with token ids.',
  })
}

/**
 * The byte-level alphabet of GPT-2 (openai/gpt-2 encoder.py, bytes_to_unicode): printable bytes stand for themselves,
 * the others for the characters from U+0100 on, in order.
 */
const BYTE_OF_CHAR: ReadonlyMap<string, number> = byteAlphabet()

function byteAlphabet(): Map<string, number> {
  const map = new Map<string, number>()
  let next = 256
  for (let byte = 0; byte < 256; byte += 1) {
    const isPrintable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174
    map.set(String.fromCharCode(isPrintable ? byte : next++), byte)
  }
  return map
}
