/** One peer of a simulated swarm: what it serves, what it loads, what it has kept. */
import type { PlannerPeer } from '../planner/types.ts'
import type { Span } from '../span.ts'
import { announcedSpeed } from '../planner/announced-speed.ts'
import { blockStepsOf, longestSpan } from '../planner/model.ts'
import type { Cluster, ClusterPeer } from './cluster.ts'

export interface Claim {
  span: Span
  claimedAt: number
  startedAt: number
  /** Units to download, in order, and how long each takes, seconds. */
  missing: readonly number[]
  unitSeconds: readonly number[]
  isUrgent: boolean
}

/** KV caches are not simulated: room for every session. */
const CACHE_TOKENS = 1e12

export class SimulatedPeer {
  readonly spec: ClusterPeer
  readonly id: string
  readonly length: number
  readonly #nominal: number
  #speedFactor = 1
  #announced: number
  isPresent = false
  /** What others see: a crashed peer is seen until that is noticed. */
  isSeen = false
  /** Grows with every join and loss: events of an earlier presence count for nothing. */
  presence = 0
  served: Span | null = null
  servedSince = 0
  claim: Claim | null = null
  /** Grows with every claim: a download that was given up does not finish. */
  claims = 0
  /** Units on its disk; they stay there when it leaves. */
  readonly cached: Uint8Array
  #seen: PlannerPeer[] | null = null

  constructor(spec: ClusterPeer, cluster: Cluster) {
    const units = cluster.unitWeights.length
    this.spec = spec
    this.id = spec.id
    this.length = longestSpan(spec, units)
    this.#nominal = blockStepsOf(spec, units)
    this.#announced = this.#nominal
    this.cached = new Uint8Array(units)
  }

  get speedFactor(): number {
    return this.#speedFactor
  }

  /** It runs so much faster than its cluster says from now on, and has measured that. */
  setSpeedFactor(factor: number): void {
    this.#speedFactor = factor
    this.#announced = announcedSpeed(this.#announced, this.blockStepsPerSecond)
  }

  get blockStepsPerSecond(): number {
    return this.#nominal * this.#speedFactor
  }

  /** What it says, and chooses by. */
  get announcedBlockSteps(): number {
    return this.#announced
  }

  /** What it announces, as the planner's view has it; the same objects until something changes. */
  records(): PlannerPeer[] {
    if (!this.isSeen) return []
    this.#seen ??= this.#makeRecords()
    return this.#seen
  }

  changed(): void {
    this.#seen = null
  }

  #makeRecords(): PlannerPeer[] {
    const { served, claim } = this
    const records: PlannerPeer[] = []
    if (served !== null) records.push(this.#record(served, 'online', this.servedSince))
    if (claim !== null) records.push(this.#record(claim.span, 'claimed', claim.claimedAt))
    return records
  }

  #cachedSpans(): Span[] {
    const spans: Span[] = []
    for (let unit = 0; unit < this.cached.length; unit += 1) {
      if (this.cached[unit] === 0) continue
      const last = spans.at(-1)
      if (last?.end === unit) spans[spans.length - 1] = { start: last.start, end: unit + 1 }
      else spans.push({ start: unit, end: unit + 1 })
    }
    return spans
  }

  #record(span: Span, state: PlannerPeer['state'], claimedAt: number): PlannerPeer {
    return {
      peerId: this.id,
      span,
      state,
      blockStepsPerSecond: this.#announced,
      maxBlocks: this.length,
      fixed: this.spec.fixed === true,
      cached: this.#cachedSpans(),
      claimedAt,
      sessions: 0,
      cacheTokensLeft: CACHE_TOKENS,
    }
  }
}
