/**
 * What a serving peer announces: a signed, short-lived record. The signature covers the exact bytes, so keys that this
 * build does not know survive forwarding and are ignored by it (new fields are no new version).
 *
 * Bytes: u16 (little-endian) length of the JSON, the JSON in UTF-8, then the 64-byte Ed25519 signature over
 * `SIGNATURE_PREFIX` + JSON. The public key is the one inside the peer id. Signing and verifying are handed in: this file
 * has no crypto and no clock.
 *
 * Time: `issuedAt` is the publisher's clock corrected by its relay's offset; `seq` is that time in ms too, so a restarted
 * peer with the same key goes on counting. Never an absolute expiry taken on trust.
 */
import { SwarmError } from './errors.ts'
import {
  MAX_BLOCKS,
  MAX_CACHED_SPANS,
  MAX_CLOCK_SKEW_MS,
  MAX_PROMISE_MS,
  MAX_PROMISES,
  MAX_RECORD_BYTES,
  MAX_RECORD_TTL_MS,
  MAX_ROUND_TRIP_MS,
  MAX_ROUND_TRIPS,
  ROUND_TRIP_NAME_CHARS,
} from './limits.ts'
import { PROTOCOL_MAJOR } from './protocol.ts'
import { isValidSpan, type Span } from './span.ts'

export const SIGNATURE_PREFIX = 'tabswarm-record:1:'
const SIGNATURE_BYTES = 64

export interface ModelId {
  /** `org/name` or `name`. */
  repo: string
  /** Commit hash the files were read at. */
  revision: string
  /** `modelDigest(repo, revision)`: what peers compare. */
  digest: string
  /** Number of transformer blocks N. */
  blocks: number
}

/** joining: claims `span`, loads it. online: serves `span`. leaving: takes no new sessions (finishing, paused, frozen). gone: a goodbye. */
export type PeerState = 'joining' | 'online' | 'leaving' | 'gone'

/** A wish to let blocks go: who holds any of `span` is asked to keep them for `forMs`. See `planner/promises.ts`. */
export interface Ask {
  /** The asker's stamp: answers name it. */
  at: number
  forMs: number
  span: Span
  /** Everybody is to answer: the first few did not. */
  all?: true
}

/** The publisher goes on serving its span for the time that peer `to` asked for with stamp `at`. */
export interface StayPromise {
  to: string
  at: number
}

export interface PeerRecord {
  /** PROTOCOL_MAJOR of the publisher; records of another one are refused. */
  v: number
  peerId: string
  /** Grows with every record of this peer; the corrected time in ms. */
  seq: number
  issuedAt: number
  ttlMs: number
  model: ModelId
  state: PeerState
  /** Served (online, leaving) or claimed (joining). */
  span: Span
  /** While online and moving: the span that is being loaded. Counts as claimed, not as served. */
  next?: Span
  /** When this claim (span of a joining peer, `next` of a moving one) was first made, corrected ms: the claim order. */
  claimedAt: number
  /** `[minimum, maximum]` span length the peer can hold, in blocks. Fixed-mode peers never move. */
  maxBlocks: number
  fixed?: boolean
  /** One block, one token, saturated: block-steps a second. 0 while not measured yet. */
  blockStepsPerSecond: number
  /** Developer option `--simulate-speed R` in force. */
  simulated?: number
  cacheTokensLeft: number
  sessions: number
  /** Blocks that those sessions run here, all together: many use only a part of the span. Absent: not said. */
  sessionBlocks?: number
  weights: string
  backend: string
  /** What keys and values are kept as; absent: f32. */
  kv?: string
  /** Whether rows keep their bits however a step cuts them, on this device; absent while nothing is loaded. */
  exact?: boolean
  /** Relays that hold a reservation for the peer: multiaddrs with /p2p/, without /p2p-circuit. At most 4. */
  relays: string[]
  /** Spans that it has served before and has on its disk, newest first; at most MAX_CACHED_SPANS. */
  cached?: Span[]
  /** While online. */
  asks?: Ask
  /** While online; at most MAX_PROMISES. */
  promises?: StayPromise[]
  /** Measured round trips to peers of the model, whole ms, by `roundTripName`; at most MAX_ROUND_TRIPS. */
  roundTrips?: Record<string, number>
}

export interface SignedRecord {
  record: PeerRecord
  bytes: Uint8Array
}

export type Sign = (bytes: Uint8Array) => Promise<Uint8Array>
/** Whether `signature` over `bytes` is by the key inside `peerId`. Never throws for bad input: false. */
export type Verify = (peerId: string, bytes: Uint8Array, signature: Uint8Array) => Promise<boolean>

export async function signRecord(record: PeerRecord, sign: Sign): Promise<SignedRecord> {
  const json = new TextEncoder().encode(JSON.stringify(record))
  const signature = await sign(signedBytes(json))
  const bytes = new Uint8Array(2 + json.length + signature.length)
  new DataView(bytes.buffer).setUint16(0, json.length, true)
  bytes.set(json, 2)
  bytes.set(signature, 2 + json.length)
  if (bytes.length > MAX_RECORD_BYTES)
    throw new Error(`bug: own record of ${bytes.length} bytes exceeds ${MAX_RECORD_BYTES}`)
  return { record, bytes }
}

/**
 * Parses and checks everything but freshness (see `isFresh`).
 * @throws SwarmError BAD_RECORD naming what is wrong, WRONG_VERSION for a record of another major
 */
export async function openRecord(bytes: Uint8Array, verify: Verify): Promise<SignedRecord> {
  if (bytes.length > MAX_RECORD_BYTES) throw bad(`${bytes.length} bytes exceed ${MAX_RECORD_BYTES}`)
  if (bytes.length < 2 + 2 + SIGNATURE_BYTES) throw bad(`${bytes.length} bytes are too few`)
  const jsonLength = new DataView(bytes.buffer, bytes.byteOffset).getUint16(0, true)
  if (bytes.length !== 2 + jsonLength + SIGNATURE_BYTES) {
    throw bad(`it says ${2 + jsonLength + SIGNATURE_BYTES} bytes and has ${bytes.length}`)
  }
  const json = bytes.subarray(2, 2 + jsonLength)
  const record = parseRecord(json)
  const signature = bytes.subarray(2 + jsonLength)
  if (!(await verify(record.peerId, signedBytes(json), signature)))
    throw bad('its signature does not match its peer id')
  return { record, bytes }
}

/** How a record names a peer that it tells a round trip to. */
export function roundTripName(peerId: string): string {
  return peerId.slice(-ROUND_TRIP_NAME_CHARS)
}

/** What the record's publisher has measured to that peer, ms; null where it tells nothing. */
export function toldRoundTrip({ roundTrips = {} }: PeerRecord, peerId: string): number | null {
  const name = roundTripName(peerId)
  return Object.hasOwn(roundTrips, name) ? (roundTrips[name] ?? null) : null
}

/** Whether a record may still be believed at `now` (corrected ms). */
export function isFresh(record: PeerRecord, now: number): boolean {
  const age = now - record.issuedAt
  return age < Math.min(record.ttlMs, MAX_RECORD_TTL_MS) && age > -MAX_CLOCK_SKEW_MS
}

/** Whether `a` replaces `b` of the same peer. */
export function isNewer(a: PeerRecord, b: PeerRecord): boolean {
  return a.seq > b.seq
}

function signedBytes(json: Uint8Array): Uint8Array {
  const prefix = new TextEncoder().encode(SIGNATURE_PREFIX)
  const all = new Uint8Array(prefix.length + json.length)
  all.set(prefix)
  all.set(json, prefix.length)
  return all
}

function parseRecord(json: Uint8Array): PeerRecord {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json))
  } catch {
    throw bad('it is not JSON')
  }
  if (typeof value !== 'object' || value === null) throw bad('it is not an object')
  const r = value as Record<string, unknown>
  if (r['v'] !== PROTOCOL_MAJOR) {
    throw new SwarmError(
      'WRONG_VERSION',
      `a record of version ${String(r['v']).slice(0, 20)} is not one of ${PROTOCOL_MAJOR}`,
    )
  }
  const model = parseModel(r['model'])
  const span = parseSpan(r['span'], model.blocks, 'span')
  const state = r['state']
  if (state !== 'joining' && state !== 'online' && state !== 'leaving' && state !== 'gone') throw bad('unknown state')
  const relays = r['relays']
  if (!Array.isArray(relays) || relays.length > 4 || !relays.every((a) => typeof a === 'string' && a.length <= 256)) {
    throw bad('relays is not a list of at most 4 addresses')
  }
  return {
    v: PROTOCOL_MAJOR,
    peerId: text(r, 'peerId', 128),
    seq: integer(r, 'seq', 0, Number.MAX_SAFE_INTEGER),
    issuedAt: integer(r, 'issuedAt', 0, Number.MAX_SAFE_INTEGER),
    ttlMs: integer(r, 'ttlMs', 0, MAX_RECORD_TTL_MS),
    model,
    state,
    span,
    ...(r['next'] === undefined ? {} : { next: parseSpan(r['next'], model.blocks, 'next') }),
    claimedAt: integer(r, 'claimedAt', 0, Number.MAX_SAFE_INTEGER),
    maxBlocks: integer(r, 'maxBlocks', 1, MAX_BLOCKS),
    ...(r['fixed'] === true ? { fixed: true } : {}),
    blockStepsPerSecond: finite(r, 'blockStepsPerSecond', 0, 1e9),
    ...(r['simulated'] === undefined ? {} : { simulated: finite(r, 'simulated', 0, 1e9) }),
    cacheTokensLeft: integer(r, 'cacheTokensLeft', 0, Number.MAX_SAFE_INTEGER),
    sessions: integer(r, 'sessions', 0, 1_000_000),
    ...(r['sessionBlocks'] === undefined ? {} : { sessionBlocks: integer(r, 'sessionBlocks', 0, 1e9) }),
    weights: text(r, 'weights', 16),
    backend: text(r, 'backend', 16),
    ...(r['kv'] === undefined ? {} : { kv: text(r, 'kv', 16) }),
    ...(typeof r['exact'] === 'boolean' ? { exact: r['exact'] } : {}),
    relays: relays as string[],
    ...(r['cached'] === undefined ? {} : { cached: parseCached(r['cached'], model.blocks) }),
    ...(r['asks'] === undefined ? {} : { asks: parseAsk(r['asks'], model.blocks) }),
    ...(r['promises'] === undefined ? {} : { promises: parsePromises(r['promises']) }),
    ...(r['roundTrips'] === undefined ? {} : { roundTrips: parseRoundTrips(r['roundTrips']) }),
  }
}

function parseCached(value: unknown, blocks: number): Span[] {
  if (!Array.isArray(value) || value.length > MAX_CACHED_SPANS) {
    throw bad(`cached is not a list of at most ${MAX_CACHED_SPANS}`)
  }
  return value.map((span: unknown) => parseSpan(span, blocks, 'cached'))
}

function parseAsk(value: unknown, blocks: number): Ask {
  if (typeof value !== 'object' || value === null) throw bad('asks is not an object')
  const a = value as Record<string, unknown>
  return {
    at: integer(a, 'at', 0, Number.MAX_SAFE_INTEGER),
    forMs: integer(a, 'forMs', 1, MAX_PROMISE_MS),
    span: parseSpan(a['span'], blocks, 'asks.span'),
    ...(a['all'] === true ? { all: true } : {}),
  }
}

function parsePromises(value: unknown): StayPromise[] {
  if (!Array.isArray(value) || value.length > MAX_PROMISES) {
    throw bad(`promises is not a list of at most ${MAX_PROMISES}`)
  }
  return value.map((each: unknown) => {
    if (typeof each !== 'object' || each === null) throw bad('a promise is not an object')
    const promise = each as Record<string, unknown>
    return { to: text(promise, 'to', 128), at: integer(promise, 'at', 0, Number.MAX_SAFE_INTEGER) }
  })
}

function parseRoundTrips(value: unknown): Record<string, number> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad('roundTrips is not an object')
  const trips = value as Record<string, unknown>
  const names = Object.keys(trips)
  if (names.length > MAX_ROUND_TRIPS) throw bad(`roundTrips tells more than ${MAX_ROUND_TRIPS}`)
  if (names.some((name) => name === '' || name.length > ROUND_TRIP_NAME_CHARS)) {
    throw bad(`roundTrips names a peer by other than 1 to ${ROUND_TRIP_NAME_CHARS} characters`)
  }
  // Made of entries, so that a name like __proto__ is a name.
  return Object.fromEntries(names.map((name) => [name, integer(trips, name, 0, MAX_ROUND_TRIP_MS)]))
}

function parseModel(value: unknown): ModelId {
  if (typeof value !== 'object' || value === null) throw bad('model is missing')
  const m = value as Record<string, unknown>
  return {
    repo: text(m, 'repo', 128),
    revision: text(m, 'revision', 64),
    digest: text(m, 'digest', 64),
    blocks: integer(m, 'blocks', 1, MAX_BLOCKS),
  }
}

function parseSpan(value: unknown, blocks: number, name: string): Span {
  if (typeof value !== 'object' || value === null) throw bad(`${name} is missing`)
  const s = value as Record<string, unknown>
  const span = { start: integer(s, 'start', 0, blocks), end: integer(s, 'end', 0, blocks) }
  if (!isValidSpan(span, blocks)) throw bad(`${name} ${span.start}:${span.end} is not within ${blocks} blocks`)
  return span
}

function text(r: Record<string, unknown>, key: string, maxLength: number): string {
  const value = r[key]
  if (typeof value !== 'string' || value === '' || value.length > maxLength) {
    throw bad(`${key} is not a text of 1 to ${maxLength} characters`)
  }
  return value
}

function integer(r: Record<string, unknown>, key: string, min: number, max: number): number {
  const value = finite(r, key, min, max)
  if (!Number.isInteger(value)) throw bad(`${key} is not an integer`)
  return value
}

function finite(r: Record<string, unknown>, key: string, min: number, max: number): number {
  const value = r[key]
  if (typeof value !== 'number' || !Number.isFinite(value) || value < min || value > max) {
    throw bad(`${key} is not a number from ${min} to ${max}`)
  }
  return value
}

function bad(message: string): SwarmError {
  return new SwarmError('BAD_RECORD', `peer record refused: ${message}`)
}
