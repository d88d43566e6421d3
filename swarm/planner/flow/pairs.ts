/**
 * Moves that pay only together with somebody else's: where nobody gains by moving alone, two peers may. The first goes where the swarm
 * loses nothing by it and another's move gains then; that other one finds the gain at its own next look, as an ordinary move.
 */
import type { Span } from '../../span.ts'
import { placesOf, type PlacedPeer, type Placing } from './placing.ts'

/** In larger swarms single moves come close to the bound, and pairs grow with the square of peers and places. */
const PAIRS_UP_TO_PEERS = 16
/** What a first move may cost, relative: rounding. */
const NO_LOSS = 1e-6

/**
 * Where a placed peer would go first, and what the swarm would be worth after the other's move; null: no pair raises the objective by
 * more than `gain`, relative. Exact over all pairs of places at their longest spans, (peers × places)² tests at the most.
 */
export function firstOfPair(
  placing: Placing,
  peer: PlacedPeer,
  gain: number,
): { span: Span; objective: number } | null {
  if (placing.placement.size > PAIRS_UP_TO_PEERS) return null
  const now = placing.worth()
  let enough = now.objective * (1 + gain)
  if (now.covered < placing.supplies.units || placing.mostOf() <= enough) return null
  const from = placing.spanOf(peer.id) as Span
  let best: { span: Span; objective: number } | null = null
  for (const span of placesOf(placing.supplies, peer)) {
    if (span.start === from.start) continue
    placing.place(peer, span)
    const between = placing.worth()
    if (between.covered === now.covered && between.objective >= now.objective * (1 - NO_LOSS)) {
      const objective = bestSecond(placing, peer.id, enough)
      if (objective !== null) {
        best = { span, objective }
        enough = objective
      }
    }
  }
  placing.place(peer, from)
  return best
}

/** The most that the swarm is worth after a move of somebody else, if that is more than `floor`. */
function bestSecond(placing: Placing, first: string, floor: number): number | null {
  const { supplies } = placing
  let best: number | null = null
  for (const other of placing.peers()) {
    if (other.id === first || other.fixed) continue
    const from = placing.spanOf(other.id) as Span
    for (const span of placesOf(placing.supplies, other)) {
      if (span.start === from.start) continue
      placing.place(other, span)
      // What is expected is never more than the capacity: one quick test leaves out nearly all.
      const least = (best ?? floor) * (1 + NO_LOSS)
      if (supplies.covered() === supplies.units && supplies.carries(least)) {
        const { objective } = placing.worth()
        if (objective > least) best = objective
      }
    }
    placing.place(other, from)
  }
  return best
}
