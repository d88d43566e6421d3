/**
 * Names that every side must agree on: protocol ids with versions, DHT keys, wire statuses. The bytes are described in
 * `docs/protocol.md`. A change that an older peer would misread gets a new version here and a line in CHANGELOG.md.
 */
import type { ErrorCode } from './errors.ts'

/**
 * Builds of different majors do not understand each other: hello, record and open carry it, and refuse another one with
 * WRONG_VERSION. A new major is this number alone. The names below stay, so that both sides get as far as saying so.
 */
export const PROTOCOL_MAJOR = 1
/** The wire version spoken by this build; the part behind the dot says what a peer of the same major may leave out. */
export const PROTOCOL_VERSION = `${PROTOCOL_MAJOR}.0`

/** Whether two versions understand each other: they differ in a way that matters only before the first dot. */
export function isSameMajor(a: string, b: string): boolean {
  return a.split('.')[0] === b.split('.')[0]
}

/** Requesting peer → hop: one long-lived stream a session and hop; frames of `codec.ts`. */
export const INFERENCE_PROTOCOL = '/tabswarm/inference/1.0.0'
/** Hop → next hop: one stream a session and neighbour; an `attach` frame first, then steps. */
export const PUSH_PROTOCOL = '/tabswarm/push/1.0.0'
/** Peer ↔ relay (and relay ↔ relay): records, gone notices, clock offset; JSON messages, length-prefixed. */
export const DIRECTORY_PROTOCOL = '/tabswarm/directory/1.0.0'
/** Peer ↔ peer: one request (`records of model X`), one answer; the exchange between neighbours when they connect. */
export const RECORDS_PROTOCOL = '/tabswarm/records/1.0.0'
/** Liveness between peers: 8 bytes there, the same 8 bytes back; answered in an event handler. */
export const LIVENESS_PROTOCOL = '/tabswarm/liveness/1.0.0'
/** kad-dht under an id of ours, so that this DHT never mixes with the public one. */
export const DHT_PROTOCOL = '/tabswarm/kad/1.0.0'

/** DHT value key of one peer's record: `/tabswarm/<modelDigest>/<peerId>`. kad-dht finds the validator by the first part. */
export const DHT_NAMESPACE = 'tabswarm'
export function recordKey(modelDigest: string, peerId: string): string {
  return `/${DHT_NAMESPACE}/${modelDigest}/${peerId}`
}
/** Text whose sha-256 is the CID under which all serving peers of a model provide. */
export function providerKeyText(modelDigest: string): string {
  return `tabswarm-model:${modelDigest}`
}

/** Wire status of a refused or failed request: 2xx refused, 4xx the sender's fault, 5xx ours. */
export const STATUS_OF_CODE: Partial<Record<ErrorCode, number>> = {
  BUSY: 201,
  CACHE_FULL: 202,
  PEER_REFUSED: 203,
  BAD_FRAME: 400,
  WRONG_PEER: 403,
  NO_SESSION: 404,
  WRONG_POSITION: 409,
  WRONG_MODEL: 410,
  CONTEXT_FULL: 413,
  WRONG_VERSION: 426,
  NOT_FINITE: 422,
  PEER_TIMEOUT: 504,
  PEER_LOST: 502,
  GPU_LOST: 500,
  OUT_OF_MEMORY: 507,
}
