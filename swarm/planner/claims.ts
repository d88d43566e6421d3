/**
 * How peers that start at the same time end where they would have ended one after another: each chooses given only those
 * that go before it, and chooses again when what goes before it changes. What those before it claim may be as little
 * thought through as its own first claim: so it goes by where they will end, which it works out as they do, one after
 * another. Whoever has heard of all that go before it chooses right at once, however many they are; the order in which
 * records arrive does not matter. No clock: when to stop waiting is the caller's business.
 */
import { formatSpan, type Span } from '../span.ts'
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
  return { ...view, peers: view.peers.filter(goesBefore) }
}

/** The span that a joiner should claim if all claims before it stand as they are. */
export function chooseByClaim(rule: PlacementRule, view: SwarmView, joiner: Joiner): Span {
  const before = viewBefore(view, joiner)
  const blockStepsPerSecond = joiner.blockStepsPerSecond > 0 ? joiner.blockStepsPerSecond : typicalSpeed(before.peers)
  return rule.chooseSpan(before, { ...joiner, blockStepsPerSecond })
}

/**
 * Claims made within so long of each other may not know of each other yet. An older one has been settled with all that go
 * before it, and stands as it is: what it was settled with may be gone by now.
 */
export const TOGETHER_MS = 5_000

/** The span that a joiner should claim, given where those who start together with it will end. */
export function chooseTogether(rule: PlacementRule, view: SwarmView, joiner: Joiner): Span {
  const { settled, starting } = partedBefore(view, joiner)
  const peers = [...settled]
  for (const peer of starting) {
    const before = peers.filter((other) => !gaveWay(other, peer))
    const span = chooseByClaim(rule, { ...view, peers: before }, joinerOf(peer))
    peers.push({ ...peer, span })
  }
  return chooseByClaim(rule, { ...view, peers }, joiner)
}

/** What that depends on, as texts to compare: where those that start together claim to be does not count. */
export function startingBefore(view: SwarmView, joiner: ClaimOrder): string[] {
  const { settled, starting } = partedBefore(view, joiner)
  return [
    ...settled
      .filter((peer) => compareClaims(peer, joiner) < 0)
      .map((peer) => `${peer.peerId} ${formatSpan(peer.span)}`)
      .toSorted(),
    ...starting.map((peer) => `${peer.peerId} ${peer.span.end - peer.span.start}`),
  ]
}

/** Whether a peer started at the same time but after the joiner: whatever it serves by now, it chose after it. */
function gaveWay(peer: PlannerPeer, joiner: ClaimOrder): boolean {
  return compareClaims(peer, joiner) > 0 && peer.claimedAt - joiner.claimedAt <= TOGETHER_MS
}

function partedBefore(view: SwarmView, joiner: ClaimOrder): { settled: PlannerPeer[]; starting: PlannerPeer[] } {
  const before = viewBefore(view, joiner).peers.filter((peer) => !gaveWay(peer, joiner))
  const serving = new Set(before.filter((peer) => peer.state !== 'claimed').map((peer) => peer.peerId))
  const isStarting = (peer: PlannerPeer): boolean =>
    peer.state === 'claimed' &&
    !peer.fixed &&
    !serving.has(peer.peerId) &&
    joiner.claimedAt - peer.claimedAt <= TOGETHER_MS
  return {
    settled: before.filter((peer) => !isStarting(peer)),
    starting: before.filter(isStarting).toSorted(compareClaims),
  }
}

/** It chose as what it is to itself: without a speed as long as it has not measured one. */
function joinerOf({ peerId, claimedAt, span, blockStepsPerSecond, isUnmeasured }: PlannerPeer): Joiner {
  return {
    peerId,
    claimedAt,
    length: span.end - span.start,
    blockStepsPerSecond: isUnmeasured === true ? 0 : blockStepsPerSecond,
  }
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
