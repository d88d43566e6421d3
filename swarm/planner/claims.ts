/**
 * How peers that start at the same time end where they would have ended one after another: each chooses given only those
 * that go before it, and chooses again when what goes before it changes. The first in claim order never changes its
 * choice, so the second settles once it has heard of the first, and so on; the order in which records arrive does not
 * matter. No clock: when to stop waiting is the caller's business.
 */
import type { Span } from '../span.ts'
import { unclaimedBlocks } from './coverage.ts'
import type { PlacementRule, PlannerPeer, SwarmView } from './types.ts'
import { compareClaims, typicalSpeed, type ClaimOrder } from './view.ts'

export interface Joiner extends ClaimOrder {
  length: number
  /** 0: not measured yet; counts as a typical peer then, as it does for everybody else. */
  blockStepsPerSecond: number
}

/** The peers that a joiner must give way to: those that serve already, and claims that go before its own. */
export function viewBefore(view: SwarmView, joiner: ClaimOrder): SwarmView {
  const goesBefore = (peer: PlannerPeer): boolean =>
    peer.peerId !== joiner.peerId && (peer.state !== 'claimed' || compareClaims(peer, joiner) < 0)
  return { blocks: view.blocks, peers: view.peers.filter(goesBefore) }
}

/** The span that a joiner should claim, as the view stands. */
export function chooseByClaim(rule: PlacementRule, view: SwarmView, joiner: Joiner): Span {
  const before = viewBefore(view, joiner)
  const blockStepsPerSecond = joiner.blockStepsPerSecond > 0 ? joiner.blockStepsPerSecond : typicalSpeed(before.peers)
  return rule.chooseSpan(before, { ...joiner, blockStepsPerSecond })
}

/** Claims that go before the joiner's own, as a text to compare: a joiner that loads already chooses again only when it changes. */
export function claimsBefore(view: SwarmView, joiner: ClaimOrder): string[] {
  return view.peers
    .filter((peer) => peer.peerId !== joiner.peerId && compareClaims(peer, joiner) < 0)
    .map((peer) => `${peer.peerId} ${peer.span.start}:${peer.span.end}`)
    .toSorted()
}

/**
 * Whether a joiner that loads `current` should begin again with `choice`: when a block that nobody has or is going to
 * have would be covered by it. A better place alone is not worth a download thrown away.
 */
export function coversUnclaimed(view: SwarmView, current: Span, choice: Span): boolean {
  return unclaimedBlocks(view).some(
    (block) => choice.start <= block && block < choice.end && !(current.start <= block && block < current.end),
  )
}
