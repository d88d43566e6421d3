/**
 * Messages of DIRECTORY_PROTOCOL: JSON objects, one length-prefixed message each, between a peer and a relay and between
 * relays. Unknown keys and unknown types are ignored. Records travel as base64 of their signed bytes.
 */
export type PeerRole = 'donor' | 'client' | 'relay'

export type ToRelay =
  | { type: 'hello'; version: string; role: PeerRole }
  /** A record: the sender's own, or (from a relay) any. */
  | { type: 'publish'; record: string }
  | { type: 'ping'; id: number }

export type FromRelay =
  /** `reservationTtlMs`: renew within it. `time`: the relay's clock, ms; the peer corrects its own by the difference less half the round trip. */
  | { type: 'welcome'; version: string; time: number; peerId: string; reservationTtlMs: number }
  /** First all fresh records, later each change. */
  | { type: 'records'; records: string[] }
  /** The relay saw this peer's connection end: a hint that is believed while one's own connection to the relay lives. */
  | { type: 'gone'; peerId: string }
  /** Names the limit, in `text` for a person. */
  | { type: 'refused'; limit: string; text: string }
  | { type: 'restarting'; inMs: number; forMs: number }
  | { type: 'pong'; id: number }
