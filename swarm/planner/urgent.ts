/**
 * What to do at once when blocks have no holder and nobody claims them: those who can move without taking another block's
 * last holder do, in claim order, and only as many as are needed. Everybody computes the same plan from the same view;
 * where views differ for a moment, claims settle it. Whoever has weights of the hole on its disk goes first, since it is back in
 * seconds; then peers that are still loading: they have least to lose.
 */
import { spanLength, type Span } from '../span.ts'
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
  if (open.length === 0) return moves
  for (const peer of inLine(view, open)) {
    if (open.length === 0) break
    const target = helpfulMove(rule, current, peer, open)
    if (target === null) continue
    moves.set(peer.peerId, target)
    current = withClaim(current, peer, target)
    open = unclaimedBlocks(current)
  }
  return moves
}

/** Peers that may move: not fixed, not leaving, not on their way to somewhere else already. */
function inLine(view: SwarmView, open: readonly number[]): PlannerPeer[] {
  const entries = new Map<string, number>()
  for (const peer of view.peers) entries.set(peer.peerId, (entries.get(peer.peerId) ?? 0) + 1)
  return placedPeers(view)
    .filter((peer) => !peer.fixed && entries.get(peer.peerId) === 1)
    .map((peer) => ({ peer, kept: kept(peer, open) }))
    .toSorted(
      (a, b) =>
        b.kept - a.kept ||
        Number(a.peer.state === 'online') - Number(b.peer.state === 'online') ||
        compareClaims(a.peer, b.peer),
    )
    .map(({ peer }) => peer)
}

/** How many of the open blocks a peer need not download. */
function kept(peer: PlannerPeer, open: readonly number[]): number {
  return open.filter((block) => peer.cached?.some((span) => isIn(span, block)) === true).length
}

/** The place of the peer's length that holds most open blocks of those where it need not download any; null: there is none. */
function keptPlace(peer: PlannerPeer, open: readonly number[]): Span | null {
  const length = spanLength(peer.span)
  let best: Span | null = null
  let most = 0
  for (const { start: first, end: last } of peer.cached ?? []) {
    for (let start = first; start + length <= last; start += 1) {
      const place = { start, end: start + length }
      const closes = open.filter((block) => isIn(place, block)).length
      if (closes > most) [best, most] = [place, closes]
    }
  }
  return best
}

function isIn(span: Span, block: number): boolean {
  return span.start <= block && block < span.end
}

function helpfulMove(rule: PlacementRule, view: SwarmView, peer: PlannerPeer, open: readonly number[]): Span | null {
  const chosen = rule.chooseSpan(view, {
    peerId: peer.peerId,
    length: spanLength(peer.span),
    blockStepsPerSecond: peer.blockStepsPerSecond,
  })
  const closesOf = (span: Span): number => open.filter((block) => isIn(span, block)).length
  const back = keptPlace(peer, open)
  const targets = back !== null && closesOf(back) >= closesOf(chosen) ? [back, chosen] : [chosen]
  return targets.find((target) => closesOf(target) > 0 && maySpare(view, peer, target, open)) ?? null
}

function maySpare(view: SwarmView, peer: PlannerPeer, target: Span, open: readonly number[]): boolean {
  if (peer.state === 'online') return blocksLostByMove(view, peer.peerId, peer.span, target).length === 0
  // A peer that loads holds nothing yet; it must only not leave a wider hole in what is claimed.
  return unclaimedBlocks(withClaim(view, peer, target)).length < open.length
}

function withClaim(view: SwarmView, peer: PlannerPeer, span: Span): SwarmView {
  const claim: PlannerPeer = { ...peer, span, state: 'claimed' }
  const others =
    peer.state === 'claimed'
      ? view.peers.filter((other) => other.peerId !== peer.peerId || other.state !== 'claimed')
      : view.peers
  return { ...view, peers: [...others, claim] }
}
