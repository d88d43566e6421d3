/**
 * The local map of peer records that everything reads: tabs, Node clients and the relay. Merges signed records by
 * (peer id, sequence) after the signature is checked, whichever way they came (fan-out, DHT, neighbours). It keeps the
 * signed bytes for forwarding. No network, no timer and no clock of its own: `now` is the corrected time.
 */
import { MAX_CLOCK_SKEW_MS, MAX_DIRECTORY_RECORDS, MAX_RECORD_TTL_MS } from '../swarm/limits.ts'
import {
  SIGNATURE_PREFIX,
  isFresh,
  isNewer,
  openRecord,
  type PeerRecord,
  type SignedRecord,
  type Verify,
} from '../swarm/peer-record.ts'
import type { Directory } from './types.ts'

export interface DirectoryStoreOptions {
  verify: Verify
  /** Corrected clock, ms. */
  now: () => number
  maxRecords?: number
  /** Records are listed for at most this long, whatever they say. */
  maxTtlMs?: number
}

/** added: newer than what was known. known: the same or an older one. expired: not fresh. full: no room for a new peer. */
export type AddResult = 'added' | 'known' | 'expired' | 'full'

interface Entry {
  signed: SignedRecord
  /** The peer is believed gone: hidden until a record with a higher sequence arrives. */
  isGone: boolean
}

export class DirectoryStore implements Directory {
  readonly #options: DirectoryStoreOptions
  readonly #maxRecords: number
  readonly #maxTtlMs: number
  readonly #entries = new Map<string, Entry>()
  readonly #changeListeners = new Set<() => void>()
  readonly #recordListeners = new Set<(signed: SignedRecord) => void>()
  #isChangePending = false

  constructor(options: DirectoryStoreOptions) {
    this.#options = options
    this.#maxRecords = options.maxRecords ?? MAX_DIRECTORY_RECORDS
    this.#maxTtlMs = options.maxTtlMs ?? MAX_RECORD_TTL_MS
  }

  /**
   * Checks and merges one record.
   * @throws SwarmError BAD_RECORD when it is malformed or its signature is not by its peer
   */
  async add(bytes: Uint8Array): Promise<AddResult> {
    return (await this.addAndRead(bytes)).result
  }

  /** The same, with the record that was checked. */
  async addAndRead(bytes: Uint8Array): Promise<{ result: AddResult; record: PeerRecord }> {
    const signed = await openRecord(bytes, (peerId, message, signature) => this.#verify(peerId, message, signature))
    return { result: this.addVerified(signed), record: signed.record }
  }

  /** Merges a record whose signature was checked (or made) by the caller. The bytes are copied. */
  addVerified(signed: SignedRecord): AddResult {
    const { record } = signed
    const now = this.#options.now()
    if (!this.#isFresh(record, now)) return 'expired'
    const known = this.#entries.get(record.peerId)
    if (known !== undefined && !isNewer(record, known.signed.record)) return 'known'
    if (known === undefined && this.#entries.size >= this.#maxRecords) {
      this.#dropForgettable(now)
      if (this.#entries.size >= this.#maxRecords) return 'full'
    }
    const kept = { record, bytes: signed.bytes.slice() }
    this.#entries.set(record.peerId, { signed: kept, isGone: record.state === 'gone' })
    for (const listener of this.#recordListeners) listener(kept)
    this.#changed()
    return 'added'
  }

  /** Hides a peer until it publishes again. Returns whether it was listed before. */
  markGone(peerId: string): boolean {
    const entry = this.#entries.get(peerId)
    if (entry === undefined || entry.isGone) return false
    entry.isGone = true
    this.#changed()
    return true
  }

  /** Takes back a `markGone` that turned out wrong: the peer answered after all. */
  unmarkGone(peerId: string): void {
    const entry = this.#entries.get(peerId)
    if (entry === undefined || !entry.isGone || entry.signed.record.state === 'gone') return
    entry.isGone = false
    this.#changed()
  }

  /** Drops what has expired; to be called about once a second, so that listeners hear of records that ran out. */
  sweep(): void {
    const before = this.#lastListed
    this.#lastListed = this.#listedCount()
    this.#dropForgettable(this.#options.now())
    if (this.#lastListed < before) this.#changed()
  }
  #lastListed = 0

  records(modelDigest: string): PeerRecord[] {
    return this.signedRecords(modelDigest).map((signed) => signed.record)
  }

  /** Fresh signed records, ordered by peer id: of one model, or of all. */
  signedRecords(modelDigest?: string): SignedRecord[] {
    const now = this.#options.now()
    return [...this.#entries.values()]
      .filter((entry) => this.#isListed(entry, now))
      .map((entry) => entry.signed)
      .filter((signed) => modelDigest === undefined || signed.record.model.digest === modelDigest)
      .toSorted((a, b) => (a.record.peerId < b.record.peerId ? -1 : 1))
  }

  get(peerId: string): PeerRecord | undefined {
    return this.getSigned(peerId)?.record
  }

  getSigned(peerId: string): SignedRecord | undefined {
    const entry = this.#entries.get(peerId)
    return entry !== undefined && this.#isListed(entry, this.#options.now()) ? entry.signed : undefined
  }

  /** Highest sequence seen of a peer, gone and expired ones included; -1 when never seen. */
  lastSeq(peerId: string): number {
    return this.#entries.get(peerId)?.signed.record.seq ?? -1
  }

  models(): { digest: string; repo: string; revision: string; blocks: number }[] {
    const models = new Map(this.signedRecords().map(({ record }) => [record.model.digest, record.model]))
    return [...models.values()].map(({ digest, repo, revision, blocks }) => ({ digest, repo, revision, blocks }))
  }

  /** Called in a microtask after changes; several changes in a row give one call. */
  onChange(listener: () => void): () => void {
    this.#changeListeners.add(listener)
    return () => this.#changeListeners.delete(listener)
  }

  /** Called at once with every record that was added: what a relay forwards. */
  onRecord(listener: (signed: SignedRecord) => void): () => void {
    this.#recordListeners.add(listener)
    return () => this.#recordListeners.delete(listener)
  }

  /** The same bytes come by several ways: one that is already held was verified before. */
  async #verify(peerId: string, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
    const known = this.#entries.get(peerId)?.signed.bytes
    if (known !== undefined && endsWith(known, signature) && isContained(known, message, signature.length)) return true
    return this.#options.verify(peerId, message, signature)
  }

  #isFresh(record: PeerRecord, now: number): boolean {
    return isFresh(record.ttlMs <= this.#maxTtlMs ? record : { ...record, ttlMs: this.#maxTtlMs }, now)
  }

  #isListed(entry: Entry, now: number): boolean {
    return !entry.isGone && this.#isFresh(entry.signed.record, now)
  }

  #listedCount(): number {
    const now = this.#options.now()
    let count = 0
    for (const entry of this.#entries.values()) if (this.#isListed(entry, now)) count += 1
    return count
  }

  /** An entry is kept past its expiry until no older record of that peer could be taken for fresh. */
  #dropForgettable(now: number): void {
    for (const [peerId, { signed }] of this.#entries) {
      if (now - signed.record.issuedAt > MAX_RECORD_TTL_MS + MAX_CLOCK_SKEW_MS) this.#entries.delete(peerId)
    }
  }

  #changed(): void {
    this.#lastListed = this.#listedCount()
    if (this.#isChangePending) return
    this.#isChangePending = true
    queueMicrotask(() => {
      this.#isChangePending = false
      for (const listener of this.#changeListeners) listener()
    })
  }
}

function endsWith(bytes: Uint8Array, tail: Uint8Array): boolean {
  const start = bytes.length - tail.length
  return start >= 0 && tail.every((byte, i) => bytes[start + i] === byte)
}

/** Whether the JSON part of held record bytes equals the JSON part of the signed message (which has a prefix). */
function isContained(held: Uint8Array, message: Uint8Array, signatureBytes: number): boolean {
  const json = held.subarray(2, held.length - signatureBytes)
  return message.length === SIGNATURE_PREFIX.length + json.length && endsWith(message, json)
}
