/**
 * The planner's boundary: pure functions over a view of the swarm, used unchanged by every tab (which span, should I
 * move?), by the requesting peer (which route?) and by tests. No clock, no randomness: both are arguments.
 * `petals` is the published rule of Petals (server/block_selection.py, described in the design notes); other rules
 * implement the same `PlacementRule`.
 */
import type { Span } from '../span.ts'

/** A peer as the planner sees it; made from records by `view.ts`. */
export interface PlannerPeer {
  peerId: string
  span: Span
  /** `claimed`: not serving yet. `leaving` peers are left out of placement. */
  state: 'claimed' | 'online' | 'leaving'
  /** Block-steps a second; > 0. */
  blockStepsPerSecond: number
  /** It has not measured itself: `blockStepsPerSecond` is a typical one. */
  isUnmeasured?: true
  /** Longest span it can hold. */
  maxBlocks: number
  /** Fixed-mode peers never move. */
  fixed: boolean
  /** Format of its weights; absent: unknown. */
  weights?: string
  /** Spans whose weights it has on its disk, beside the one it serves. */
  cached?: readonly Span[]
  /** Claim order: (claimedAt, peerId). Lower goes first. */
  claimedAt: number
  /** Live queue, for routing. */
  sessions: number
  /** Blocks that its sessions run here, all together. Absent: unknown, whole spans. */
  sessionBlocks?: number
  cacheTokensLeft: number
}

export interface SwarmView {
  /** Number of blocks N. */
  blocks: number
  /** What each block costs for a token, in blocks: the last one has the head. Absent: 1 each. */
  unitWeights?: readonly number[]
  peers: readonly PlannerPeer[]
}

export interface PlacementRule {
  readonly name: string
  /** The span that a joining peer of `length` blocks should serve, given the others. Deterministic. */
  chooseSpan(view: SwarmView, joiner: { peerId: string; length: number; blockStepsPerSecond: number }): Span
  /** Whether the peer should move, and the figures of the "Swarm balance quality" line. `random` is in [0, 1). */
  checkBalance(view: SwarmView, peerId: string, options: BalanceOptions): BalanceCheck
}

export interface BalanceOptions {
  balanceQuality: number
  random: () => number
  /** How long until this peer would work at another span and there alone, seconds: weights have to come, answers to end. Absent: at once. */
  secondsUntil?: (span: Span) => number
}

export interface BalanceCheck {
  /** Throughput of the swarm's poorest block now and after everybody moved until stable, one-token steps a second. */
  initial: number
  simulated: number
  /** initial ÷ simulated, at most 1. */
  quality: number
  /** null: stay. */
  moveTo: Span | null
  /** `others-move`: enough peers are on their way already. */
  reason: 'balanced' | 'would-open-hole' | 'no-better-place' | 'others-move' | 'move' | 'fixed'
}

export interface RouteHop {
  peerId: string
  /** The part of the peer's span that this hop runs. */
  span: Span
}

export type RouteResult = { ok: true; hops: RouteHop[] } | { ok: false; missingBlocks: number[] }

export interface RouteRequest {
  view: SwarmView
  /** Round trip to a peer or between two, milliseconds; null when unknown. */
  rttMs: (from: string | null, to: string) => number | null
  /** KV tokens the session needs at each hop. */
  maxTokens: number
  /** Peers not to use (banned or already tried). */
  exclude: ReadonlySet<string>
  /** Draws among equally good replicas, in [0, 1): sessions spread over them. */
  random: () => number
  /** Only these blocks: the part of a route that a lost hop left open. Absent: the whole model. */
  range?: Span
}
