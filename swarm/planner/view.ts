/**
 * From peer records to the planner's view, and the two readings of a view that placement needs: where each peer will be
 * (its claim counts) and who can be relied on to go on holding a block. Freshness is the directory's business.
 */
import type { PeerRecord } from '../peer-record.ts'
import { isValidSpan, type Span } from '../span.ts'
import type { PlannerPeer, SwarmView } from './types.ts'

/**
 * A peer that serves one span and loads another appears twice under its id: `online` with the span it serves and
 * `claimed` with the one it loads. Records of another block count are left out: they are of another model.
 */
export function viewOf(records: readonly PeerRecord[], blocks: number, unitWeights?: readonly number[]): SwarmView {
  const usable = records.filter((r) => r.state !== 'gone' && r.model.blocks === blocks && isValidSpan(r.span, blocks))
  const typical = typicalSpeed(usable)
  const peers: PlannerPeer[] = []
  for (const record of usable) {
    const peer: PlannerPeer = {
      peerId: record.peerId,
      span: record.span,
      state: record.state === 'joining' ? 'claimed' : record.state === 'leaving' ? 'leaving' : 'online',
      // A peer that has not measured itself yet counts as a typical one: counted as nothing, its blocks would look
      // poor to everybody who joins while it loads.
      blockStepsPerSecond: record.blockStepsPerSecond > 0 ? record.blockStepsPerSecond : typical,
      ...(record.blockStepsPerSecond > 0 ? {} : { isUnmeasured: true }),
      maxBlocks: record.maxBlocks,
      fixed: record.fixed === true,
      weights: record.weights,
      ...(record.cached === undefined ? {} : { cached: record.cached.filter((span) => isValidSpan(span, blocks)) }),
      claimedAt: record.claimedAt,
      sessions: record.sessions,
      ...(record.sessionBlocks === undefined ? {} : { sessionBlocks: record.sessionBlocks }),
      cacheTokensLeft: record.cacheTokensLeft,
    }
    peers.push(peer)
    if (record.state === 'online' && record.next !== undefined && isValidSpan(record.next, blocks)) {
      peers.push({ ...peer, span: record.next, state: 'claimed' })
    }
  }
  return { blocks, peers, ...(unitWeights === undefined ? {} : { unitWeights }) }
}

/** What a peer that has not measured itself counts as, in block-steps a second: the median of those that have, 1 where nobody has. */
export function typicalSpeed(peers: readonly { blockStepsPerSecond: number }[]): number {
  return median(peers.map((peer) => peer.blockStepsPerSecond).filter((speed) => speed > 0)) ?? 1
}

/**
 * Where everybody is or is going: one entry for each peer, its claim in place of what it still serves, without those
 * that leave. Ordered by peer id, so that sums over peers come out bit-equal for everybody.
 */
export function placedPeers(view: SwarmView): PlannerPeer[] {
  const placed = new Map<string, PlannerPeer>()
  for (const peer of view.peers) {
    if (peer.state === 'leaving') continue
    if (peer.state === 'claimed' || !placed.has(peer.peerId)) placed.set(peer.peerId, peer)
  }
  return [...placed.values()].toSorted((a, b) => compareText(a.peerId, b.peerId))
}

/** The blocks that a peer serves now and will go on serving: none of a peer that joins or leaves. */
export function lastingSpans(view: SwarmView): Map<string, Span> {
  const lasting = new Map<string, Span>()
  for (const peer of view.peers) {
    if (peer.state === 'online') lasting.set(peer.peerId, peer.span)
  }
  for (const peer of view.peers) {
    const served = lasting.get(peer.peerId)
    if (peer.state !== 'claimed' || served === undefined) continue
    const kept = { start: Math.max(served.start, peer.span.start), end: Math.min(served.end, peer.span.end) }
    if (kept.start < kept.end) lasting.set(peer.peerId, kept)
    else lasting.delete(peer.peerId)
  }
  return lasting
}

/** The view without one peer: what others see of the swarm when it is not there. */
export function withoutPeer(view: SwarmView, peerId: string): SwarmView {
  return { ...view, peers: view.peers.filter((peer) => peer.peerId !== peerId) }
}

/** Claim order: the lower goes first; ties by peer id. */
export function compareClaims(a: ClaimOrder, b: ClaimOrder): number {
  return a.claimedAt - b.claimedAt || compareText(a.peerId, b.peerId)
}
export interface ClaimOrder {
  claimedAt: number
  peerId: string
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function median(values: number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[values.length >> 1]
}
