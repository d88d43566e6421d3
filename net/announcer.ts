/**
 * Publishes this peer's signed record: to the relays (seen by everyone within milliseconds), to neighbours and to the
 * DHT; again every RECORD_REFRESH_MS, on every change, and when a relay or a reservation comes back. What changes with every
 * session, the load, goes out at most once a second and by the quick way alone: every session would else cost each of its tabs a
 * query of the DHT and a stream to every neighbour, twice.
 */
import { MAX_RECORD_TTL_MS, RECORD_REFRESH_MS } from '../swarm/limits.ts'
import { signRecord, type PeerRecord, type Sign, type SignedRecord } from '../swarm/peer-record.ts'
import { PROTOCOL_MAJOR } from '../swarm/protocol.ts'
import type { AnnouncedFields, Announcer } from './types.ts'

const GOODBYE_MS = 500
const LOAD_EVERY_MS = 1_000
const LOAD: ReadonlySet<string> = new Set<keyof AnnouncedFields>(['sessions', 'sessionBlocks', 'cacheTokensLeft'])

export interface AnnouncerOptions {
  peerId: string
  sign: Sign
  now: () => number
  relays: () => string[]
  /** What an `online` record tells of the ways to other peers; empty: nothing. */
  roundTrips: () => Record<string, number>
  /**
   * Takes a freshly signed record to everyone, or, where it tells nothing new but the load, to whoever hears of it at little
   * cost. Resolves when the neighbours have been told; one that is gone without a word is waited for for seconds.
   */
  publish: (signed: SignedRecord, isLoadOnly: boolean) => Promise<void>
  /** Called once per model, and again when relays come back: receivers without our address ignored the last one. */
  provide: (modelDigest: string) => Promise<void>
  withdraw: (modelDigest: string) => Promise<void>
}

export class RecordAnnouncer implements Announcer {
  readonly #options: AnnouncerOptions
  #fields: AnnouncedFields | null = null
  #provided: string | null = null
  #lastSeq = 0
  #timer: ReturnType<typeof setInterval> | null = null
  #signing: Promise<void> = Promise.resolve()
  /** What the next record is for. */
  #pending: 'load' | 'all' | null = null
  /** After a record for the load alone: others wait until it ends. */
  #loadRest: ReturnType<typeof setTimeout> | null = null
  #isLoadWaiting = false
  #isGone = false
  /** Newer than the last record and signed with it: whoever is being frozen, or goes, has no time to sign. */
  #farewell: SignedRecord | null = null
  #isAway = false

  constructor(options: AnnouncerOptions) {
    this.#options = options
  }

  announce(fields: AnnouncedFields): void {
    if (this.#isGone) return
    const isLoadOnly = this.#fields !== null && isSameButLoad(this.#fields, fields)
    this.#fields = fields
    this.#timer ??= setInterval(() => this.#schedule(), RECORD_REFRESH_MS)
    if (isLoadOnly) this.#scheduleLoad()
    else this.#schedule()
  }

  /** The relays, or the reservations at them, have changed. */
  relaysChanged(): void {
    this.#provided = null
    if (this.#fields !== null && !this.#isGone) this.#schedule()
  }

  /** What is told of the ways to others has changed. */
  roundTripsChanged(): void {
    if (this.#fields?.state === 'online' && !this.#isGone) this.#scheduleLoad()
  }

  /** Says goodbye at once, synchronously but for microtasks. Nothing more is said before `back`. */
  away(): void {
    if (this.#isAway || this.#isGone) return
    this.#isAway = true
    const farewell = this.#farewell
    this.#farewell = null
    // Whoever cannot be told finds out by its own questions.
    if (farewell !== null) this.#options.publish(farewell, false).catch(() => undefined)
  }

  /** Here again: says so, with whatever has changed meanwhile. */
  back(): void {
    this.#isAway = false
    if (this.#fields !== null && !this.#isGone) this.#schedule()
  }

  async goodbye(): Promise<void> {
    const fields = this.#fields
    this.stop()
    if (fields === null) return
    const said = this.#signing
      .then(() => this.#sign({ ...fields, state: 'gone' }))
      .then((signed) =>
        Promise.all([this.#options.publish(signed, false), this.#options.withdraw(fields.model.digest)]),
      )
      .then(() => undefined)
      // Whoever cannot be told finds out by the connections ending.
      .catch(() => undefined)
    await Promise.race([said, new Promise<void>((resolve) => setTimeout(resolve, GOODBYE_MS))])
  }

  stop(): void {
    this.#isGone = true
    this.#fields = null
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    if (this.#loadRest !== null) clearTimeout(this.#loadRest)
    this.#loadRest = null
  }

  #scheduleLoad(): void {
    // The record that is about to be signed tells it.
    if (this.#pending !== null) return
    if (this.#loadRest !== null) {
      this.#isLoadWaiting = true
      return
    }
    this.#loadRest = setTimeout(() => {
      this.#loadRest = null
      const isWaiting = this.#isLoadWaiting
      this.#isLoadWaiting = false
      if (isWaiting) this.#scheduleLoad()
    }, LOAD_EVERY_MS)
    this.#schedule('load')
  }

  /** Signing takes a moment: changes meanwhile are one more record, not one each. */
  #schedule(what: 'load' | 'all' = 'all'): void {
    const isPending = this.#pending !== null
    if (what === 'all') {
      this.#pending = 'all'
      // It tells the load too.
      this.#isLoadWaiting = false
    } else this.#pending ??= 'load'
    if (isPending) return
    this.#signing = this.#signing.then(async () => {
      const isLoadOnly = this.#pending === 'load'
      this.#pending = null
      const fields = this.#fields
      if (fields === null || this.#isAway) return
      const signed = await this.#sign(fields)
      const farewell = await this.#sign({ ...fields, state: 'gone' })
      // Away since: `back` says it.
      if (this.#isAway) return
      this.#farewell = farewell
      // Not waited for: the next record must not stand behind a neighbour that does not answer.
      void this.#options.publish(signed, isLoadOnly)
      if (this.#provided !== fields.model.digest) {
        this.#provided = fields.model.digest
        void this.#options.provide(fields.model.digest)
      }
    })
  }

  #sign(fields: AnnouncedFields): Promise<SignedRecord> {
    const now = Math.round(this.#options.now())
    this.#lastSeq = Math.max(now, this.#lastSeq + 1)
    const roundTrips = fields.state === 'online' ? this.#options.roundTrips() : {}
    const record: PeerRecord = {
      ...fields,
      v: PROTOCOL_MAJOR,
      peerId: this.#options.peerId,
      seq: this.#lastSeq,
      issuedAt: now,
      ttlMs: MAX_RECORD_TTL_MS,
      relays: this.#options.relays(),
      ...(Object.keys(roundTrips).length === 0 ? {} : { roundTrips }),
    }
    return signRecord(record, this.#options.sign)
  }
}

function isSameButLoad(a: AnnouncedFields, b: AnnouncedFields): boolean {
  const rest = (fields: AnnouncedFields): string =>
    JSON.stringify(
      Object.entries(fields)
        .filter(([name]) => !LOAD.has(name))
        .toSorted(([x], [y]) => (x < y ? -1 : 1)),
    )
  return rest(a) === rest(b)
}
