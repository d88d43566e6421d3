/**
 * A swarm under a virtual clock: peers join, load, serve, check the balance, move, leave and crash. Where to go is the
 * planner's word; this file only lets time pass as it does in tabs: claims are seen at once, downloads take bytes over
 * bandwidth, a crash is noticed some seconds later, a move loads beside the old span, and the old one is let go only
 * while others hold it.
 */
import { blocksLostByMove } from '../planner/coverage.ts'
import type { SwarmView } from '../planner/types.ts'
import { urgentMoves } from '../planner/urgent.ts'
import { sameSpan, type Span } from '../span.ts'
import type { Cluster } from './cluster.ts'
import { Random } from './random.ts'
import { hasHole, type SimulatedRule } from './rules.ts'
import { SimulatedPeer } from './simulated-peer.ts'
import type { TimelineEntry, Why } from './timeline.ts'
import type { VirtualClock } from './virtual-clock.ts'

export interface SwarmOptions {
  cluster: Cluster
  rule: SimulatedRule
  clock: VirtualClock
  seed: number
  balanceQuality: number
  meanCheckSeconds: number
  /** Until a crash is noticed. */
  noticeSeconds: number
  onEntry: (entry: TimelineEntry) => void
  /** Who is there, or what they really serve, has changed. */
  onServed: () => void
  /** What peers know of each other has changed. */
  onSeen: () => void
}

export interface SwarmCounts {
  firstLoadBytes: number
  moveBytes: number
  /** Moves that came to their end, and those of them that closed a hole. */
  moves: number
  urgentMoves: number
  /** Moves that were given up. */
  stays: number
  checks: number
}

/** Records of one event come within moments of each other: looked at together, as in `web/donor/placement-watch.ts`. */
const LOOK_AFTER_SECONDS = 0.15
/** How long a hole that nobody could close stays before everybody looks again without a change. */
const LOOK_AGAIN_SECONDS = 5
/** Sums of seconds do not come out exactly: a unit that lacks less has come. */
const WHOLE_SLACK_SECONDS = 1e-6

export class SimulatedSwarm {
  readonly peers: ReadonlyMap<string, SimulatedPeer>
  readonly counts: SwarmCounts = {
    firstLoadBytes: 0,
    moveBytes: 0,
    moves: 0,
    urgentMoves: 0,
    stays: 0,
    checks: 0,
  }
  readonly #options: SwarmOptions
  readonly #checks: Random
  readonly #shuffles: Random
  #view: SwarmView | null = null
  #isLooking = false

  constructor(options: SwarmOptions) {
    const { cluster, seed } = options
    this.#options = options
    this.#checks = new Random(seed, 'checks')
    this.#shuffles = new Random(seed, 'rule')
    this.peers = new Map(cluster.peers.map((spec) => [spec.id, new SimulatedPeer(spec, cluster)]))
  }

  /** What every peer sees: the same object until something changes, so that what is derived from it can be kept. */
  view(): SwarmView {
    if (this.#view === null) {
      const peers = [...this.peers.values()].flatMap((peer) => peer.records())
      const { unitWeights } = this.#options.cluster
      this.#view = { blocks: unitWeights.length, unitWeights, peers }
    }
    return this.#view
  }

  /** The peer serves `span` already: how a simulation begins. */
  placeAtStart(id: string, span: Span): void {
    const peer = this.#peer(id)
    this.#enter(peer)
    peer.served = span
    peer.cached.fill(1, span.start, span.end)
    this.#changed(peer)
    this.#options.onEntry({ t: 0, peer: id, event: 'serve', ...span, why: 'start' })
    this.#options.onServed()
  }

  join(id: string): void {
    const peer = this.#peer(id)
    this.#enter(peer)
    this.#changed(peer)
    this.#options.onServed()
    const joiner = { peerId: id, length: peer.length, blockStepsPerSecond: peer.announcedBlockSteps }
    this.#begin(peer, this.#options.rule.rule.chooseSpan(this.view(), joiner), 'join')
  }

  leave(id: string): void {
    const peer = this.#peer(id)
    // It says goodbye first: nobody waits for it.
    peer.isSeen = false
    this.#lose(peer, 'leave')
    this.#unsee(peer)
  }

  crash(id: string): void {
    const peer = this.#peer(id)
    this.#lose(peer, 'crash')
    const { presence } = peer
    this.#options.clock.after(this.#options.noticeSeconds, () => {
      if (peer.presence !== presence) return
      this.#options.onEntry({ t: this.#options.clock.now, peer: id, event: 'noticed' })
      this.#unsee(peer)
    })
  }

  setSpeed(id: string, factor: number): void {
    const peer = this.#peer(id)
    peer.setSpeedFactor(factor)
    this.#options.onEntry({ t: this.#options.clock.now, peer: id, event: 'speed', factor })
    this.#changed(peer)
    this.#options.onServed()
  }

  #peer(id: string): SimulatedPeer {
    return this.peers.get(id) as SimulatedPeer
  }

  #enter(peer: SimulatedPeer): void {
    peer.presence += 1
    peer.isPresent = true
    peer.isSeen = true
    peer.served = null
    peer.claim = null
    peer.servedSince = this.#options.clock.now
    this.#scheduleCheck(peer)
  }

  #lose(peer: SimulatedPeer, event: 'leave' | 'crash'): void {
    this.#giveUpDownload(peer)
    peer.presence += 1
    peer.isPresent = false
    this.#options.onEntry({ t: this.#options.clock.now, peer: peer.id, event })
    this.#options.onServed()
  }

  #unsee(peer: SimulatedPeer): void {
    peer.isSeen = false
    peer.served = null
    peer.claim = null
    this.#changed(peer)
  }

  #changed(peer: SimulatedPeer): void {
    peer.changed()
    this.#view = null
    this.#options.onSeen()
    this.#lookSoon(LOOK_AFTER_SECONDS)
  }

  #scheduleCheck(peer: SimulatedPeer): void {
    const { presence } = peer
    this.#options.clock.after(2 * this.#options.meanCheckSeconds * this.#checks.next(), () => {
      if (peer.presence !== presence) return
      if (peer.claim === null) this.#check(peer)
      this.#scheduleCheck(peer)
    })
  }

  #check(peer: SimulatedPeer): void {
    const { rule, balanceQuality } = this.#options
    this.counts.checks += 1
    const random = (): number => this.#shuffles.next()
    const secondsUntil = (span: Span): number => sumOf(this.#missing(peer, span).unitSeconds)
    const { moveTo } = rule.check({ view: this.view(), peerId: peer.id, balanceQuality, random, secondsUntil })
    if (moveTo !== null) this.#begin(peer, moveTo, 'balance')
  }

  #lookSoon(seconds: number): void {
    if (this.#isLooking) return
    this.#isLooking = true
    this.#options.clock.after(seconds, () => {
      this.#isLooking = false
      this.#look()
    })
  }

  /** Units that nobody serves or loads: those whom the plan names go at once. */
  #look(): void {
    if (!hasHole(this.view())) return
    for (const [id, span] of urgentMoves(this.#options.rule.rule, this.view())) {
      const peer = this.#peer(id)
      // A crashed peer that is still seen may be named; it does not answer.
      if (peer.isPresent) this.#begin(peer, span, 'hole')
    }
    if (hasHole(this.view())) this.#lookSoon(LOOK_AGAIN_SECONDS)
  }

  #begin(peer: SimulatedPeer, span: Span, why: Why): void {
    const { clock, onEntry } = this.#options
    if (peer.served !== null && sameSpan(peer.served, span)) return
    if (peer.claim !== null) {
      if (sameSpan(peer.claim.span, span)) return
      this.#giveUpDownload(peer, span)
    }
    const { missing, bytes, unitSeconds } = this.#missing(peer, span)
    peer.claim = { span, claimedAt: clock.now, startedAt: clock.now, missing, unitSeconds, isUrgent: why === 'hole' }
    peer.claims += 1
    onEntry({ t: clock.now, peer: peer.id, event: 'claim', ...span, why, bytes })
    this.#changed(peer)
    const { presence, claims } = peer
    clock.after(sumOf(unitSeconds), () => {
      if (peer.presence === presence && peer.claims === claims) this.#finish(peer, why)
    })
  }

  /** Units of a span that a peer has yet to download: their bytes together, and the seconds that each takes. */
  #missing(peer: SimulatedPeer, span: Span): { missing: number[]; bytes: number; unitSeconds: number[] } {
    const { cluster } = this.#options
    const missing: number[] = []
    for (let unit = span.start; unit < span.end; unit += 1) if (peer.cached[unit] === 0) missing.push(unit)
    const bytes = missing.map((unit) => (cluster.unitWeights[unit] as number) * cluster.bytesPerUnit)
    return { missing, bytes: sumOf(bytes), unitSeconds: bytes.map((each) => each / peer.spec.downloadBytesPerSecond) }
  }

  /**
   * What has come so far is kept, and counted: as the peer's first load, or beside it. Of a first load that begins again
   * elsewhere (`instead`) only what goes on being wanted is of the first.
   */
  #giveUpDownload(peer: SimulatedPeer, instead?: Span): void {
    const { claim } = peer
    if (claim === null) return
    let left = this.#options.clock.now - claim.startedAt
    for (const [index, unit] of claim.missing.entries()) {
      const needed = claim.unitSeconds[index] as number
      const isWhole = left >= needed - WHOLE_SLACK_SECONDS
      const bytes = Math.min(needed, left) * peer.spec.downloadBytesPerSecond
      const isWanted = instead === undefined || (isWhole && instead.start <= unit && unit < instead.end)
      if (peer.served === null && isWanted) this.counts.firstLoadBytes += bytes
      else this.counts.moveBytes += bytes
      if (!isWhole) break
      peer.cached[unit] = 1
      left -= needed
    }
    peer.claim = null
    peer.claims += 1
  }

  #finish(peer: SimulatedPeer, why: Why): void {
    const { clock, onEntry, onServed } = this.#options
    const { span } = peer.claim as { span: Span }
    const from = peer.served
    this.#giveUpDownload(peer)
    if (from !== null && blocksLostByMove(this.view(), peer.id, from, span).length > 0) {
      this.counts.stays += 1
      onEntry({ t: clock.now, peer: peer.id, event: 'stay', ...from })
      this.#changed(peer)
      return
    }
    peer.served = span
    peer.servedSince = clock.now
    if (from !== null) {
      this.counts.moves += 1
      if (why === 'hole') this.counts.urgentMoves += 1
    }
    const replaces = from === null ? {} : { from: [from.start, from.end] as [number, number] }
    onEntry({ t: clock.now, peer: peer.id, event: 'serve', ...span, why, ...replaces })
    this.#changed(peer)
    onServed()
  }
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0)
}
