/**
 * A trace of joins, losses, slow-downs and sessions over a cluster, under one rule. Pure: the same cluster, trace, options
 * and seed give the same result.
 */
import { CapacityMeter, type Reading, type Recovery } from './capacity-meter.ts'
import type { Cluster } from './cluster.ts'
import { Sessions, type SessionCounts, type TokenLatencies } from './sessions.ts'
import { SimulatedSwarm, type SwarmCounts } from './simulated-swarm.ts'
import type { SimulatedRule } from './rules.ts'
import { rounded, type RouteEntry, type TimelineEntry } from './timeline.ts'
import { joinLater, type TraceEvent } from './trace.ts'
import { VirtualClock } from './virtual-clock.ts'

export interface ChurnOptions {
  cluster: Cluster
  trace: readonly TraceEvent[]
  rule: SimulatedRule
  seed: number
  /** Default: the last event's time. */
  untilSeconds?: number
  /** Defaults of the product: 0.75 and 120 s. */
  balanceQuality?: number
  meanCheckSeconds?: number
  /** Until a crash is noticed; default 3 s. */
  noticeSeconds?: number
  /** Changes within so many seconds are measured together; default 0: each is measured. */
  sampleSeconds?: number
  onEntry?: (entry: TimelineEntry) => void
  onReading?: (reading: Reading) => void
  onRoute?: (entry: RouteEntry) => void
}

/** Shares are 0 to 1; null where nothing was there to measure. */
export interface ChurnResult {
  rule: string
  seconds: number
  /** Capacity in the rule's own measure ÷ bound, over the time in which the loaded peers could hold every unit. */
  capacityShare: { mean: number | null; p5: number | null }
  /** The same with max flow, whatever the rule. */
  flowShare: { mean: number | null; p5: number | null }
  /** Share of the time with every unit served, of that in which the peers present, or those loaded, could. */
  coveredShare: number | null
  coveredShareOfLoaded: number | null
  recovery: Recovery
  peerHours: number
  bytesPerPeerHour: number | null
  /** Share of all bytes that came on top of each peer's first load. */
  bytesBeyondFirstLoad: number | null
  moves: number
  urgentMoves: number
  givenUpMoves: number
  checks: number
  sessions: SessionCounts & { running: number }
  tokenMs: TokenLatencies
}

export const DEFAULT_NOTICE_SECONDS = 3
export const DEFAULT_BALANCE_QUALITY = 0.75
export const DEFAULT_MEAN_CHECK_SECONDS = 120

export function simulateChurn(options: ChurnOptions): ChurnResult {
  const { cluster, trace, rule, seed } = options
  const clock = new VirtualClock()
  const noticeSeconds = options.noticeSeconds ?? DEFAULT_NOTICE_SECONDS
  let meter: CapacityMeter | null = null
  let sessions: Sessions | null = null
  const swarm = new SimulatedSwarm({
    cluster,
    rule,
    clock,
    seed,
    noticeSeconds,
    balanceQuality: options.balanceQuality ?? DEFAULT_BALANCE_QUALITY,
    meanCheckSeconds: options.meanCheckSeconds ?? DEFAULT_MEAN_CHECK_SECONDS,
    onEntry: options.onEntry ?? (() => undefined),
    onServed: () => {
      meter?.changed()
      sessions?.servedChanged()
    },
    onSeen: () => sessions?.seenChanged(),
  })
  placeAtStart(swarm, cluster, trace, rule)
  meter = new CapacityMeter({
    cluster,
    clock,
    peers: swarm.peers,
    measure: rule.rule.name === 'petals' ? 'petals' : 'flow',
    sampleSeconds: options.sampleSeconds ?? 0,
    ...(options.onReading === undefined ? {} : { onReading: options.onReading }),
  })
  meter.changed()
  sessions = new Sessions({
    cluster,
    clock,
    seed,
    peers: swarm.peers,
    view: () => swarm.view(),
    noticeSeconds,
    onRoute: options.onRoute ?? (() => undefined),
  })
  const parts = { swarm, meter, sessions }
  for (const event of trace) clock.at(event.t, () => apply(event, parts))
  const seconds = options.untilSeconds ?? trace.at(-1)?.t ?? 0
  clock.runUntil(seconds)
  meter.finish()
  return resultOf(rule.rule.name, seconds, parts)
}

interface Parts {
  swarm: SimulatedSwarm
  meter: CapacityMeter
  sessions: Sessions
}

/** Those that are there from the start came one after another, in the file's order, and have loaded. */
function placeAtStart(
  swarm: SimulatedSwarm,
  cluster: Cluster,
  trace: readonly TraceEvent[],
  { rule }: SimulatedRule,
): void {
  const later = joinLater(trace)
  for (const { id } of cluster.peers) {
    if (later.has(id)) continue
    const peer = swarm.peers.get(id)
    if (peer === undefined) continue
    const joiner = { peerId: id, length: peer.length, blockStepsPerSecond: peer.announcedBlockSteps }
    swarm.placeAtStart(id, rule.chooseSpan(swarm.view(), joiner))
  }
}

function apply(event: TraceEvent, { swarm, meter, sessions }: Parts): void {
  switch (event.kind) {
    case 'join':
      swarm.join(event.peer)
      break
    case 'leave':
    case 'crash':
      meter.loss()
      if (event.kind === 'leave') swarm.leave(event.peer)
      else swarm.crash(event.peer)
      break
    case 'speed':
      swarm.setSpeed(event.peer, event.factor)
      break
    case 'session':
      sessions.start(event.session, event.promptTokens, event.newTokens)
      break
  }
}

function resultOf(rule: string, seconds: number, { swarm, meter, sessions }: Parts): ChurnResult {
  const { coverage } = meter
  const { firstLoadBytes, moveBytes, moves, urgentMoves, stays, checks }: SwarmCounts = swarm.counts
  const bytes = firstLoadBytes + moveBytes
  const peerHours = meter.peerSeconds / 3600
  const { losses, medianSeconds, p95Seconds, longestSeconds, unfinished } = meter.recovery()
  const tokens = sessions.latencies()
  return {
    rule,
    seconds,
    capacityShare: { mean: figure(meter.ownShare.mean()), p5: figure(meter.ownShare.percentile(0.05)) },
    flowShare: { mean: figure(meter.flowShare.mean()), p5: figure(meter.flowShare.percentile(0.05)) },
    coveredShare: quotient(coverage.presentDid, coverage.presentCould),
    coveredShareOfLoaded: quotient(coverage.loadedDid, coverage.loadedCould),
    recovery: {
      losses,
      medianSeconds: figure(medianSeconds),
      p95Seconds: figure(p95Seconds),
      longestSeconds: figure(longestSeconds),
      unfinished,
    },
    peerHours: rounded(peerHours, 6),
    bytesPerPeerHour: peerHours === 0 ? null : Math.round(bytes / peerHours),
    bytesBeyondFirstLoad: quotient(moveBytes, bytes),
    moves,
    urgentMoves,
    givenUpMoves: stays,
    checks,
    sessions: { ...sessions.counts, running: sessions.running },
    tokenMs: {
      p50: figure(tokens.p50),
      p95: figure(tokens.p95),
      longest: figure(tokens.longest),
      tokens: tokens.tokens,
    },
  }
}

/** More digits than anybody reads, fewer than rounding leaves to chance. */
function figure(value: number | null): number | null {
  return value === null ? null : rounded(value, 6)
}

function quotient(part: number, whole: number): number | null {
  return whole === 0 ? null : rounded(part / whole, 6)
}
