/**
 * What a simulated swarm is worth from moment to moment: capacity against the bound, coverage, and how soon it recovers from
 * a loss. Counts what is really served by peers that are really there, whatever others believe.
 */
import { boundOf, capacityOf, petalsCapacityOf } from '../planner/measures.ts'
import { longestSpan, type ModelPeer, type SwarmModel } from '../planner/model.ts'
import type { Span } from '../span.ts'
import type { Cluster } from './cluster.ts'
import type { SimulatedPeer } from './simulated-peer.ts'
import type { VirtualClock } from './virtual-clock.ts'
import { WeightedValues } from './weighted.ts'

export interface Reading {
  /** Seconds. */
  t: number
  /** Tokens a second: by the rule's own measure, by max flow, and what no placement of the loaded peers can beat. */
  capacity: number
  flowCapacity: number
  bound: number
  /** Peers that are there, and those whose first span is loaded. */
  present: number
  loaded: number
  /** Of each unit. */
  holders: readonly number[]
}

export interface Recovery {
  losses: number
  /** Seconds until every unit is served and capacity ÷ bound is back at 95 % of what it was before the loss. */
  medianSeconds: number | null
  p95Seconds: number | null
  longestSeconds: number | null
  /** Losses that were followed by the end before that. */
  unfinished: number
}

const RECOVERED = 0.95

export interface MeterOptions {
  cluster: Cluster
  clock: VirtualClock
  peers: ReadonlyMap<string, SimulatedPeer>
  measure: 'flow' | 'petals'
  /** Changes within so many seconds are measured together; 0 measures each. */
  sampleSeconds: number
  onReading?: (reading: Reading) => void
}

interface PendingLoss {
  at: number
  before: number
}

export class CapacityMeter {
  readonly ownShare = new WeightedValues()
  readonly flowShare = new WeightedValues()
  /** Seconds of each: while the loaded, or all present peers could hold every unit, and of those with every unit held. */
  readonly coverage = { loadedCould: 0, loadedDid: 0, presentCould: 0, presentDid: 0 }
  peerSeconds = 0
  readonly #options: MeterOptions
  readonly #losses: PendingLoss[] = []
  readonly #recoveries: number[] = []
  #lossCount = 0
  #isDue = false
  #reading: Reading
  #since = 0
  #covered = { loadedCould: false, presentCould: false, did: false, present: 0 }
  #coveredSince = 0

  constructor(options: MeterOptions) {
    this.#options = options
    this.#reading = this.#read()
  }

  /** What is served has changed. */
  changed(): void {
    this.#countCoverage()
    if (this.#isDue) return
    this.#isDue = true
    this.#options.clock.after(this.#options.sampleSeconds, () => {
      this.#isDue = false
      this.#measure()
    })
  }

  /** A peer is about to be lost. */
  loss(): void {
    this.#lossCount += 1
    this.#losses.push({
      at: this.#options.clock.now,
      before: shareOf(this.#reading.capacity, this.#reading.bound) ?? 0,
    })
  }

  /** Counts the time since the last change. */
  finish(): void {
    this.#countCoverage()
    this.#measure()
  }

  recovery(): Recovery {
    const sorted = this.#recoveries.toSorted((a, b) => a - b)
    const at = (share: number): number | null => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null
    return {
      losses: this.#lossCount,
      medianSeconds: at(0.5),
      p95Seconds: at(0.95),
      longestSeconds: sorted.at(-1) ?? null,
      unfinished: this.#losses.length,
    }
  }

  #measure(): void {
    const { clock, onReading } = this.#options
    this.#countReading()
    this.#reading = this.#read()
    onReading?.(this.#reading)
    const share = shareOf(this.#reading.capacity, this.#reading.bound) ?? 1
    for (let i = this.#losses.length - 1; i >= 0; i -= 1) {
      const loss = this.#losses[i] as PendingLoss
      if (share < RECOVERED * loss.before) continue
      this.#recoveries.push(clock.now - loss.at)
      this.#losses.splice(i, 1)
    }
  }

  #countReading(): void {
    const { now } = this.#options.clock
    const seconds = now - this.#since
    this.#since = now
    const { capacity, flowCapacity, bound } = this.#reading
    const own = shareOf(capacity, bound)
    const flow = shareOf(flowCapacity, bound)
    if (own !== null) this.ownShare.add(own, seconds)
    if (flow !== null) this.flowShare.add(flow, seconds)
  }

  /** Exact at every change: a hole may be shorter than the time between two measurements. */
  #countCoverage(): void {
    const { clock, cluster, peers } = this.#options
    const seconds = clock.now - this.#coveredSince
    this.#coveredSince = clock.now
    const { loadedCould, presentCould, did, present } = this.#covered
    if (loadedCould) this.coverage.loadedCould += seconds
    if (loadedCould && did) this.coverage.loadedDid += seconds
    if (presentCould) this.coverage.presentCould += seconds
    if (presentCould && did) this.coverage.presentDid += seconds
    this.peerSeconds += present * seconds

    const units = cluster.unitWeights.length
    let room = 0
    let loadedRoom = 0
    let count = 0
    for (const peer of peers.values()) {
      if (!peer.isPresent) continue
      count += 1
      room += peer.length
      if (peer.served !== null) loadedRoom += peer.length
    }
    this.#covered = {
      loadedCould: loadedRoom >= units,
      presentCould: room >= units,
      did: this.#holders().every((held) => held > 0),
      present: count,
    }
  }

  #holders(): number[] {
    const { cluster, peers } = this.#options
    const holders = Array.from({ length: cluster.unitWeights.length }, () => 0)
    for (const peer of peers.values()) {
      if (!peer.isPresent || peer.served === null) continue
      for (let unit = peer.served.start; unit < peer.served.end; unit += 1)
        holders[unit] = (holders[unit] as number) + 1
    }
    return holders
  }

  #read(): Reading {
    const { clock, cluster, peers, measure } = this.#options
    const present = [...peers.values()].filter((peer) => peer.isPresent)
    const loaded = present.filter((peer) => peer.served !== null)
    const placement = new Map<string, Span>(loaded.map((peer) => [peer.id, peer.served as Span]))
    const model: SwarmModel = {
      unitWeights: cluster.unitWeights,
      peers: loaded.map(atItsSpeed),
    }
    const units = cluster.unitWeights.length
    const holders = this.#holders()
    const isWhole = holders.every((held) => held > 0)
    const canBeWhole = loaded.reduce((sum, peer) => sum + longestSpan(peer.spec, units), 0) >= units
    const flowCapacity = isWhole ? capacityOf(model, placement) : 0
    return {
      t: clock.now,
      flowCapacity,
      capacity: measure === 'flow' ? flowCapacity : isWhole ? petalsCapacityOf(model, placement) : 0,
      // Peers that cannot hold the model together are worth nothing in any order: such times count for no rule.
      bound: canBeWhole ? boundOf(model) : 0,
      present: present.length,
      loaded: loaded.length,
      holders,
    }
  }
}

function shareOf(capacity: number, bound: number): number | null {
  return bound > 0 ? capacity / bound : null
}

/** The peer with the speed that it has at the moment. */
function atItsSpeed({ spec, speedFactor }: SimulatedPeer): ModelPeer {
  if (speedFactor === 1) return spec
  const { speed } = spec
  return {
    ...spec,
    speed:
      speed.kind === 'steps'
        ? { kind: 'steps', blockStepsPerSecond: speed.blockStepsPerSecond * speedFactor }
        : { kind: 'table', tokensPerSecond: speed.tokensPerSecond.map((tokens) => tokens * speedFactor) },
  }
}
