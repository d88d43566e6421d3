/** Placements of a whole swarm that is described by block-steps a second: one peer after another, and moves until nobody gains. */
import type { Span } from '../../span.ts'
import { blockStepsOf, longestSpan, type ModelPeer, type Objective, type Placement, type SwarmModel } from '../model.ts'
import { firstOfPair } from './pairs.ts'
import { LATENCY_SHARE, nearerSpan } from './nearer.ts'
import { isBetter, JOIN_SLACK, Placing, type PlacedPeer, type Worth } from './placing.ts'

/** A placement, and the moves that led to it after everybody had joined. */
export interface FlowPlan {
  placement: Placement
  moves: number
}

const GLOBAL_GAIN = 1e-4
const MAX_SWEEPS = 50

/** Peers arrive in the model's order, each choosing for itself; then all look around in turn until no one and no two gain enough. */
export function planStepsJoins(model: SwarmModel, objective: Objective, gain: number): FlowPlan {
  const order = peersOf(model)
  const placing = joined(model, objective, order)
  let moves = rebalance(placing, order, gain)
  // Pairs are looked at for capacity alone: what is expected after losses costs so many times as much for each as there are peers.
  if (objective !== 'capacity') {
    moves += shorten(placing, order, gain)
    return { placement: placementOf(model, placing), moves }
  }
  for (let sweep = 0; sweep < MAX_SWEEPS && startPair(placing, order, gain); sweep += 1) {
    moves += 1 + rebalance(placing, order, gain)
  }
  return { placement: placementOf(model, placing), moves }
}

/** For all at once: joins in several orders, each settled to the end, and the best of them. */
export function planSteps(model: SwarmModel, objective: Objective): FlowPlan {
  const peers = peersOf(model)
  const bySpeed = peers.toSorted((a, b) => b.blockSteps - a.blockSteps || compareText(a.id, b.id))
  const byRoom = peers.toSorted((a, b) => b.longest - a.longest || compareText(a.id, b.id))
  const orders = [peers, bySpeed, bySpeed.toReversed(), byRoom, interleaved(bySpeed)]
  let best: { placing: Placing; worth: Worth } | null = null
  for (const order of orders) {
    const placing = joined(model, objective, order)
    rebalance(placing, order, GLOBAL_GAIN)
    const worth = placing.worth()
    if (best === null || isBetter(worth, best.worth)) best = { placing, worth }
  }
  if (best === null) throw new Error('a plan of no order')
  // Nobody has moved: it is where they start.
  return { placement: placementOf(model, best.placing), moves: 0 }
}

function joined(model: SwarmModel, objective: Objective, order: readonly PlacedPeer[]): Placing {
  const placing = new Placing(model.unitWeights, objective)
  for (const peer of order) placing.place(peer, placing.bestSpan(peer, JOIN_SLACK).span)
  return placing
}

/** Until nobody gains enough by moving alone. Returns how many moved. */
function rebalance(placing: Placing, order: readonly PlacedPeer[], gain: number): number {
  return inTurn(placing, order, (peer) => betterSpan(placing, peer, gain))
}

/** Until nobody shortens the best route of one session. Returns how many moved. */
function shorten(placing: Placing, order: readonly PlacedPeer[], gain: number): number {
  const floor = (1 - LATENCY_SHARE) * placing.worth().objective
  return inTurn(placing, order, (peer) => nearerSpan(placing, peer, floor, gain)?.span ?? null)
}

/** Everybody looks around in turn, until nobody has where to go. Returns how many moved. */
function inTurn(placing: Placing, order: readonly PlacedPeer[], where: (peer: PlacedPeer) => Span | null): number {
  let moves = 0
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep += 1) {
    const before = moves
    for (const peer of order) {
      const to = peer.fixed ? null : where(peer)
      if (to === null) continue
      placing.place(peer, to)
      moves += 1
    }
    if (moves === before) break
  }
  return moves
}

function placementOf({ peers }: SwarmModel, placing: Placing): Placement {
  return new Map(peers.map(({ id }) => [id, placing.spanOf(id) as Span]))
}

/** The first peer in order that gains with another moves; the other follows in the next sweep. Two moves gain twice what one must. */
function startPair(placing: Placing, order: readonly PlacedPeer[], gain: number): boolean {
  for (const peer of order) {
    const first = peer.fixed ? null : firstOfPair(placing, peer, (1 + gain) ** 2 - 1)
    if (first === null) continue
    placing.place(peer, first.span)
    return true
  }
  return false
}

/** Where a placed peer would raise what the swarm is worth by more than `gain`, relative; null: nowhere. */
export function betterSpan(placing: Placing, peer: PlacedPeer, gain: number): Span | null {
  const from = placing.spanOf(peer.id) as Span
  const now = placing.worth()
  placing.take(peer.id)
  const { span, worth } = placing.bestSpan(peer)
  placing.place(peer, from)
  if (span.start === from.start && span.end === from.end) return null
  if (worth.covered !== now.covered) return worth.covered > now.covered ? span : null
  return worth.objective > now.objective * (1 + gain) ? span : null
}

function peersOf(model: SwarmModel): PlacedPeer[] {
  return model.peers.map((peer) => placedPeer(peer, model.unitWeights.length))
}

export function placedPeer(peer: ModelPeer, units: number): PlacedPeer {
  return {
    id: peer.id,
    blockSteps: blockStepsOf(peer, units),
    longest: longestSpan(peer, units),
    leaveChance: peer.leaveChance,
    fixed: peer.fixed === true,
  }
}

/** Fast and slow in turn. */
function interleaved<T>(sorted: readonly T[]): T[] {
  return sorted.map((_, i) => sorted[i % 2 === 0 ? i / 2 : sorted.length - 1 - (i - 1) / 2] as T)
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
