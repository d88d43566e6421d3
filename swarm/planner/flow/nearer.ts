/**
 * Moves that serve one session alone: where nobody gains for the swarm any more, a peer may still shorten the best route that a
 * token can take, at next to no cost for what all sessions get together.
 */
import type { Span } from '../../span.ts'
import { placesOf, type PlacedPeer, type Placing } from './placing.ts'

/** What such moves may cost together of what the swarm is worth, relative. */
export const LATENCY_SHARE = 0.01

export interface Nearer {
  span: Span
  /** A token on the best route of one session alone, ms: now, and then at the most. */
  ms: number
  thenMs: number
}

/**
 * The place of a placed peer with the shortest best route, of those that keep every unit and at least `floor` of the objective; null
 * where none shortens it by more than `gain`, relative.
 */
export function nearerSpan(placing: Placing, peer: PlacedPeer, floor: number, gain: number): Nearer | null {
  const { supplies } = placing
  const from = placing.spanOf(peer.id) as Span
  const covered = supplies.covered()
  const { ms } = placing.solo()
  placing.take(peer.id)
  const solo = placing.solo()
  // Never below what it is, so what is found is a gain.
  const msAt = (span: Span): number => solo.msWith({ span, blockSteps: peer.blockSteps })
  const places = placesOf(supplies, peer)
    .map((span) => ({ span, ms, thenMs: msAt(span) }))
    .filter(({ thenMs }) => thenMs < ms * (1 - gain))
    .toSorted((a, b) => a.thenMs - b.thenMs || a.span.start - b.span.start)
  const found = places.find(({ span }) => {
    placing.place(peer, span)
    // What is expected is never more than the capacity.
    const keeps = supplies.covered() === covered && supplies.carries(floor) && placing.worth().objective >= floor
    placing.take(peer.id)
    return keeps
  })
  placing.place(peer, from)
  return found ?? null
}
