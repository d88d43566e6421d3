/**
 * What to do at once when blocks have no holder and nobody claims them: those who can move without taking another block's
 * last holder do, in claim order, and only as many as are needed. Everybody computes the same plan from the same view;
 * where views differ for a moment, claims settle it. Peers that are still loading go first: they have least to lose.
 */
import type { Span } from '../span.ts'
import { blocksLostByMove, unclaimedBlocks } from './coverage.ts'
import type { PlacementRule, PlannerPeer, SwarmView } from './types.ts'
import { compareClaims, placedPeers } from './view.ts'

/** Where `peerId` should move now, or null: nothing is missing, others are nearer in line, or it cannot be spared. */
export function urgentMove(rule: PlacementRule, view: SwarmView, peerId: string): Span | null {
  return urgentMoves(rule, view).get(peerId) ?? null
}

/** All moves of the plan, in order. */
export function urgentMoves(rule: PlacementRule, view: SwarmView): Map<string, Span> {
  const moves = new Map<string, Span>()
  let current = view
  let open = unclaimedBlocks(current)
  for (const peer of inLine(view)) {
    if (open.length === 0) break
    const target = helpfulMove(rule, current, peer, open)
    if (target === null) continue
    moves.set(peer.peerId, target)
    current = withClaim(current, peer, target)
    open = unclaimedBlocks(current)
  }
  return moves
}

/** Peers that may move: not fixed, not leaving, not on their way to somewhere else already. Those that load come first. */
function inLine(view: SwarmView): PlannerPeer[] {
  const entries = new Map<string, number>()
  for (const peer of view.peers) entries.set(peer.peerId, (entries.get(peer.peerId) ?? 0) + 1)
  return placedPeers(view)
    .filter((peer) => !peer.fixed && entries.get(peer.peerId) === 1)
    .toSorted((a, b) => Number(a.state === 'online') - Number(b.state === 'online') || compareClaims(a, b))
}

function helpfulMove(rule: PlacementRule, view: SwarmView, peer: PlannerPeer, open: readonly number[]): Span | null {
  const target = rule.chooseSpan(view, {
    peerId: peer.peerId,
    length: peer.span.end - peer.span.start,
    blockStepsPerSecond: peer.blockStepsPerSecond,
  })
  const closes = open.filter((block) => target.start <= block && block < target.end).length
  if (closes === 0) return null
  if (peer.state === 'online')
    return blocksLostByMove(view, peer.peerId, peer.span, target).length === 0 ? target : null
  // A peer that loads holds nothing yet; it must only not leave a wider hole in what is claimed.
  const after = unclaimedBlocks(withClaim(view, peer, target))
  return after.length < open.length ? target : null
}

function withClaim(view: SwarmView, peer: PlannerPeer, span: Span): SwarmView {
  const claim: PlannerPeer = { ...peer, span, state: 'claimed' }
  const others =
    peer.state === 'claimed'
      ? view.peers.filter((other) => other.peerId !== peer.peerId || other.state !== 'claimed')
      : view.peers
  return { blocks: view.blocks, peers: [...others, claim] }
}
