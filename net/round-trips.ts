/**
 * How far the peers are that sessions may come from or go on to: measured by a few pings, spread over time, and told in this
 * peer's record, so that whoever asks knows the ways between hops. The median of a few counts, since a busy page makes single
 * ones long; a record is made anew only for what is no noise.
 */
import { MAX_ROUND_TRIP_MS, MAX_ROUND_TRIPS } from '../swarm/limits.ts'
import { roundTripName } from '../swarm/peer-record.ts'

export interface RoundTripsOptions {
  /** Who may be measured, the likeliest first; called every tick. */
  candidates: () => readonly string[]
  /** One round trip, ms; null: no answer in time. */
  measure: (peerId: string, timeoutMs: number) => Promise<number | null>
  /** What is told differs from what was told by more than noise. */
  onChange: () => void
  /** Monotonic ms. */
  now: () => number
}

/** Ways change seldom; a tab that moved to another network measures itself within a minute or two. */
const AGAIN_MS = 20_000
/** Of each peer: the median of the newest counts. */
const SAMPLES = 5
/** Told from so many on. */
const LEAST_SAMPLES = 3
const ANSWER_MS = 3_000
/** Whoever has not answered by then is asked as seldom as those that have. */
const MAX_QUICK_PINGS = 3 * LEAST_SAMPLES
/** The median is told anew when it is off what was told by more than both. */
const NEWS_RATIO = 0.2
const NEWS_MS = 3
/** A record for the sake of round trips goes out at most so often: each goes to everybody. */
const TELL_EVERY_MS = 10_000
/** Pings under way at once. */
const MAX_UNDER_WAY = 2

interface Way {
  samples: number[]
  pings: number
  askedAt: number
  isUnderWay: boolean
}

export class RoundTrips {
  readonly #options: RoundTripsOptions
  readonly #ways = new Map<string, Way>()
  #told: ReadonlyMap<string, number> = new Map()
  #toldAt = -Infinity
  #newsSince: number | null = null

  constructor(options: RoundTripsOptions) {
    this.#options = options
  }

  /** For the record: whole ms, by `roundTripName`. */
  told(): Record<string, number> {
    return Object.fromEntries([...this.#told].map(([peerId, ms]) => [roundTripName(peerId), ms]))
  }

  /** To be called about once a second. Starts at most one ping. */
  tick(): void {
    const candidates = this.#options.candidates()
    const known = new Set(candidates)
    for (const peerId of this.#ways.keys()) if (!known.has(peerId)) this.#ways.delete(peerId)
    this.#tell(candidates)
    const underWay = [...this.#ways.values()].filter(({ isUnderWay }) => isUnderWay).length
    const due = underWay < MAX_UNDER_WAY ? this.#due(candidates) : null
    if (due !== null) void this.#ask(due)
  }

  /** Those with too few samples first; of these, and of the others, whoever was asked longest ago. */
  #due(candidates: readonly string[]): string | null {
    const now = this.#options.now()
    const waiting = candidates
      .map((peerId) => ({ peerId, way: this.#ways.get(peerId) }))
      .filter(({ way }) => way?.isUnderWay !== true)
      .map(({ peerId, way }) => ({
        peerId,
        isNew: isNew(way),
        askedAt: way?.askedAt ?? -Infinity,
      }))
      .filter((each) => each.isNew || now - each.askedAt >= AGAIN_MS)
      .toSorted(
        (a, b) => Number(b.isNew) - Number(a.isNew) || (a.askedAt < b.askedAt ? -1 : a.askedAt > b.askedAt ? 1 : 0),
      )
    return waiting[0]?.peerId ?? null
  }

  async #ask(peerId: string): Promise<void> {
    const way = this.#ways.get(peerId) ?? { samples: [], pings: 0, askedAt: 0, isUnderWay: false }
    this.#ways.set(peerId, way)
    way.isUnderWay = true
    way.pings += 1
    way.askedAt = this.#options.now()
    const ms = await this.#options.measure(peerId, ANSWER_MS)
    way.isUnderWay = false
    if (ms === null || ms > MAX_ROUND_TRIP_MS) return
    way.samples.push(ms)
    if (way.samples.length > SAMPLES) way.samples.shift()
  }

  #tell(candidates: readonly string[]): void {
    const now = this.#options.now()
    if (now - this.#toldAt < TELL_EVERY_MS) return
    const nearest = candidates
      .flatMap((peerId) => {
        const samples = this.#ways.get(peerId)?.samples ?? []
        return samples.length < LEAST_SAMPLES ? [] : [{ peerId, ms: median(samples) }]
      })
      .toSorted((a, b) => a.ms - b.ms || (a.peerId < b.peerId ? -1 : 1))
      .slice(0, MAX_ROUND_TRIPS)
    const isSame =
      nearest.length === this.#told.size && nearest.every(({ peerId, ms }) => !isNews(ms, this.#told.get(peerId)))
    if (isSame) {
      this.#newsSince = null
      return
    }
    // Whoever has just come is told with the others, unless somebody comes all the time.
    this.#newsSince ??= now
    const isSettled = candidates.every((peerId) => !isNew(this.#ways.get(peerId)))
    if (!isSettled && now - this.#newsSince < TELL_EVERY_MS) return
    this.#newsSince = null
    // What is no news keeps the figure that it was told with: it may be off by a little for long, and never drifts.
    this.#told = new Map(
      nearest.map(({ peerId, ms }) => {
        const before = this.#told.get(peerId)
        return [peerId, before !== undefined && !isNews(ms, before) ? before : Math.round(ms)]
      }),
    )
    this.#toldAt = now
    this.#options.onChange()
  }
}

function isNew(way: Way | undefined): boolean {
  return (way?.samples.length ?? 0) < LEAST_SAMPLES && (way?.pings ?? 0) < MAX_QUICK_PINGS
}

function isNews(ms: number, told: number | undefined): boolean {
  if (told === undefined) return true
  const off = Math.abs(ms - told)
  return off > NEWS_MS && off > told * NEWS_RATIO
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number
}
