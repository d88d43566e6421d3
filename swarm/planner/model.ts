/**
 * The swarm as the planner's mathematics sees it: units and peers, no network. Units are the blocks, and a head is a unit of
 * its own; a peer is described by block-steps a second (it shifts its work within its span at will) or by a table (it passes
 * so many tokens a second with a span of so many units, whatever part of it a token uses).
 */
import type { Span } from '../span.ts'

export type PeerSpeed =
  | { kind: 'steps'; blockStepsPerSecond: number }
  | { kind: 'table'; tokensPerSecond: readonly number[] }

export interface ModelPeer {
  id: string
  speed: PeerSpeed
  maxBlocks: number
  /** The chance that it leaves before a replacement could be loaded. */
  leaveChance: number
  fixed?: boolean
}

export interface SwarmModel {
  unitWeights: readonly number[]
  peers: readonly ModelPeer[]
}

export type Placement = ReadonlyMap<string, Span>

/** `expected`: capacity now and after each possible loss; `capacity`: as long as all stay. */
export type Objective = 'expected' | 'capacity'

/** The longest span that a peer can hold, units: the end of its table, of its memory, or of the model. */
export function longestSpan(peer: ModelPeer, units: number): number {
  const known = peer.speed.kind === 'table' ? peer.speed.tokensPerSecond.length : Infinity
  return Math.min(peer.maxBlocks, known, units)
}

/**
 * Petals knows one figure for a peer, block-steps a second; of a table it is what the longest span gives, because that is
 * the span that Petals' servers take.
 */
export function blockStepsOf(peer: ModelPeer, units: number): number {
  if (peer.speed.kind === 'steps') return peer.speed.blockStepsPerSecond
  const length = longestSpan(peer, units)
  return length * (peer.speed.tokensPerSecond[length - 1] as number)
}
