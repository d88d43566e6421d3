/** Checks what a requesting peer asks for when it opens a session: everything in it is untrusted. */
import type { Frame, OpenMessage, PrefixMessage } from '../../swarm/codec.ts'
import { readJson } from '../../swarm/codec.ts'
import { SwarmError } from '../../swarm/errors.ts'
import { MAX_BLOCKS, MAX_CONTEXT, MAX_PREFIX_NAMES, MAX_PREFIX_NAME_CHARS } from '../../swarm/limits.ts'
import { isSameMajor, PROTOCOL_VERSION } from '../../swarm/protocol.ts'
import { isValidSpan, type Span } from '../../swarm/span.ts'

export interface OpenRequest {
  session: string
  epoch: number
  span: Span
  previous: string
  next: string | null
  maxTokens: number
  modelDigest: string
  prefix: PrefixMessage | null
  resume: boolean
  endsReplay: boolean
}

const MAX_PEER_ID_CHARS = 128

/** @throws SwarmError BAD_FRAME, WRONG_VERSION, PEER_REFUSED (f16 on the wire) */
export function readOpen(frame: Frame): OpenRequest {
  if (frame.type !== 'open') throw bad(`the stream begins with a ${frame.type} frame, not with open`)
  if (/^0+$/u.test(frame.session)) throw bad('the session id is zero')
  const message = readJson(frame) as Partial<Record<keyof OpenMessage, unknown>>
  checkVersion(message.version)
  const { start, end, maxTokens, previous, next, modelDigest } = message
  if (typeof start !== 'number' || typeof end !== 'number' || !isValidSpan({ start, end }, MAX_BLOCKS)) {
    throw bad(`${String(start)}:${String(end)} is not a span of blocks`)
  }
  if (typeof maxTokens !== 'number' || !Number.isInteger(maxTokens) || maxTokens < 1 || maxTokens > MAX_CONTEXT) {
    throw bad(`${String(maxTokens)} is not a number of tokens from 1 to ${MAX_CONTEXT}`)
  }
  if (!isPeerId(previous)) throw bad('previous is not a peer id')
  if (next !== null && !isPeerId(next)) throw bad('next is neither a peer id nor null')
  if (typeof modelDigest !== 'string') throw bad('the model digest is missing')
  if (message.dtype !== 'f32') {
    throw new SwarmError('PEER_REFUSED', `hidden states as ${String(message.dtype)} are not spoken here, only f32`)
  }
  const prefix = readPrefix(message.prefix)
  const [resume, endsReplay] = [message.resume === true, message.endsReplay === true]
  const { session, epoch } = frame
  return { session, epoch, span: { start, end }, previous, next, maxTokens, modelDigest, prefix, resume, endsReplay }
}

function readPrefix(value: unknown): PrefixMessage | null {
  if (value === undefined) return null
  if (typeof value !== 'object' || value === null) throw bad('the prefix is not an object')
  const { source, stride, names } = value as Partial<Record<keyof PrefixMessage, unknown>>
  if (!isPrefixName(source)) throw bad('the source of the prefix is not a name')
  if (typeof stride !== 'number' || !Number.isInteger(stride) || stride < 1 || stride > MAX_CONTEXT) {
    throw bad(`${String(stride)} is not a number of tokens from 1 to ${MAX_CONTEXT}`)
  }
  if (!Array.isArray(names) || names.length > MAX_PREFIX_NAMES || !names.every(isPrefixName)) {
    throw bad(`the prefix does not have up to ${MAX_PREFIX_NAMES} names`)
  }
  return { source, stride, names }
}

function isPrefixName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_PREFIX_NAME_CHARS
}

function checkVersion(version: unknown): void {
  if (typeof version === 'string' && isSameMajor(version, PROTOCOL_VERSION)) return
  throw new SwarmError('WRONG_VERSION', `this peer speaks protocol ${PROTOCOL_VERSION}, you speak ${String(version)}`, {
    action: 'Reload the page or update the program.',
  })
}

function isPeerId(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_PEER_ID_CHARS
}

function bad(message: string): SwarmError {
  return new SwarmError('BAD_FRAME', message)
}
