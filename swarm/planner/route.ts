/**
 * Which way a session goes: through as few peers as hold the model, and among those routes the one with the least expected
 * time a token, queues included. Where that route is busy already, a longer one that is clearly faster is taken: one
 * session has the fewest hops, many use all peers. A hop may run part of its peer's span. Replicas that are about
 * equally good share sessions by chance.
 *
 * In a route of the fewest hops the peers' spans overlap only with their direct neighbours (otherwise one could be left
 * out), so each hand-over point can be chosen by itself, and the search is over sequences of peers alone. Longer routes are
 * searched in the same way, which finds good ones and not always the best.
 */
import { missingBlocks } from './coverage.ts'
import type { PlannerPeer, RouteHop, RouteRequest, RouteResult, SwarmView } from './types.ts'
import type { Span } from '../span.ts'

/** What a round trip costs where nobody has measured it: a home connection. */
const UNKNOWN_RTT_MS = 50
/** How much worse a replica may look and still get sessions by chance. */
const JITTER = 0.2
/**
 * What another route's time may be of the one at hand to be taken in its place: further hops are further peers that may
 * leave, and opening again costs a moment.
 */
export const CLEARLY_FASTER = 0.75
/** A peer that is about to move will send its sessions away: taken only where others are clearly slower. */
const MOVING_PENALTY = 2
/** More than any route costs: peers without room for the session are used only where nobody else is. */
const NO_CACHE_PENALTY_MS = 1e9

/** Never throws: blocks that nobody (who is not excluded) serves are named. */
export function planRoute(request: RouteRequest): RouteResult {
  const range = request.range ?? { start: 0, end: request.view.blocks }
  const candidates = candidatesOf(request, range)
  const withRoom = candidates.filter((candidate) => candidate.hasRoom)
  const hops = cheapestRoute(withRoom, range, request) ?? cheapestRoute(candidates, range, request)
  if (hops !== null) return { ok: true, hops }
  const served: SwarmView = { blocks: request.view.blocks, peers: candidates.map((candidate) => candidate.peer) }
  const missing = missingBlocks(served).filter((block) => block >= range.start && block < range.end)
  return { ok: false, missingBlocks: missing }
}

/** Expected time of a token on a route, ms, without chance: for comparing two of them. */
export function routeMs(request: RouteRequest, hops: readonly RouteHop[]): number {
  const { rttMs, view } = request
  const candidates = candidatesOf({ ...request, random: () => 0 }, { start: 0, end: view.blocks })
  const halfRtt = (from: string | null, to: string): number => (rttMs(from, to) ?? UNKNOWN_RTT_MS) / 2
  const last = hops.at(-1)
  return hops.reduce(
    (sum, { peerId, span }, index) => {
      const candidate = candidates.find(({ peer }) => peer.peerId === peerId)
      const blockMs = candidate?.blockMs ?? Infinity
      return sum + halfRtt(hops[index - 1]?.peerId ?? null, peerId) + (span.end - span.start) * blockMs
    },
    last === undefined ? 0 : halfRtt(null, last.peerId),
  )
}

interface Candidate {
  peer: PlannerPeer
  hasRoom: boolean
  isBusy: boolean
  /** Expected time of one block and one token, queue included, ms. */
  blockMs: number
}

function candidatesOf(request: RouteRequest, range: Span): Candidate[] {
  const { view, exclude, maxTokens, random } = request
  const moving = new Set(view.peers.filter((peer) => peer.state === 'claimed').map((peer) => peer.peerId))
  const queueAt = queues(view)
  return view.peers
    .filter((peer) => peer.state === 'online' && !exclude.has(peer.peerId))
    .filter((peer) => peer.span.start < range.end && peer.span.end > range.start)
    .map((peer) => {
      const penalty = moving.has(peer.peerId) ? MOVING_PENALTY : 1
      const blockMs = (1000 / peer.blockStepsPerSecond) * (1 + queueAt(peer)) * penalty * (1 + JITTER * random())
      return { peer, hasRoom: peer.cacheTokensLeft >= maxTokens, isBusy: peer.sessions > 0, blockMs }
    })
}

/**
 * How many of a peer's sessions stand before a step that comes to it, in the mean. A session's token is at one hop at a time:
 * at this one for its time here, at others for what the rest of the model takes where its holders are typical.
 */
function queues(view: SwarmView): (peer: PlannerPeer) => number {
  const online = view.peers.filter((peer) => peer.state === 'online')
  const blockMs = (peer: PlannerPeer): number => 1000 / peer.blockStepsPerSecond
  const typicalMs = Array.from({ length: view.blocks }, (_, block) => {
    const times = online.filter(({ span }) => span.start <= block && block < span.end).map(blockMs)
    return times.length === 0 ? 0 : times.reduce((sum, ms) => sum + ms, 0) / times.length
  })
  return (peer) => {
    const { start, end } = peer.span
    const hereMs = (end - start) * blockMs(peer)
    const elsewhereMs = typicalMs.reduce((sum, ms, block) => (block < start || block >= end ? sum + ms : sum), 0)
    return (peer.sessions * hereMs) / (hereMs + elsewhereMs)
  }
}

/** Best way to have run everything up to the end of a candidate's span, with it as the last hop so far. */
interface PartialRoute {
  candidate: Candidate
  previous: PartialRoute | null
  /** Where its first block is handed over to it. */
  from: number
  costMs: number
}

function cheapestRoute(candidates: readonly Candidate[], range: Span, request: RouteRequest): RouteHop[] | null {
  const endOf = (candidate: Candidate): number => Math.min(candidate.peer.span.end, range.end)
  const halfRtt = (from: string | null, to: string): number => (request.rttMs(from, to) ?? UNKNOWN_RTT_MS) / 2
  const roomPenalty = (candidate: Candidate): number => (candidate.hasRoom ? 0 : NO_CACHE_PENALTY_MS)

  let layer: PartialRoute[] = candidates
    .filter((candidate) => candidate.peer.span.start <= range.start)
    .map((candidate) => ({
      candidate,
      previous: null,
      from: range.start,
      costMs:
        halfRtt(null, candidate.peer.peerId) +
        (endOf(candidate) - range.start) * candidate.blockMs +
        roomPenalty(candidate),
    }))
  let best: PartialRoute | null = null
  for (let hops = 1; layer.length > 0 && hops <= candidates.length; hops += 1) {
    const done = layer.filter((partial) => endOf(partial.candidate) === range.end)
    if (done.length > 0) {
      const found = cheapestWithReturn(done, halfRtt)
      if (best === null || found.costMs < best.costMs * CLEARLY_FASTER) best = found
    }
    if (best !== null) {
      if (!isBusy(best)) break
      // What costs as much already does not get cheaper by going on.
      const most = best.costMs * CLEARLY_FASTER
      layer = layer.filter((partial) => partial.costMs < most)
    }
    layer = candidates.flatMap((candidate) => {
      const extended = cheapestExtension(layer, candidate, endOf, halfRtt)
      return extended === null ? [] : [{ ...extended, costMs: extended.costMs + roomPenalty(candidate) }]
    })
  }
  return best === null ? null : hopsOf(best, range)
}

function isBusy(route: PartialRoute): boolean {
  for (let partial: PartialRoute | null = route; partial !== null; partial = partial.previous) {
    if (partial.candidate.isBusy) return true
  }
  return false
}

function cheapestExtension(
  layer: readonly PartialRoute[],
  candidate: Candidate,
  endOf: (candidate: Candidate) => number,
  halfRtt: (from: string | null, to: string) => number,
): PartialRoute | null {
  let best: PartialRoute | null = null
  const end = endOf(candidate)
  for (const previous of layer) {
    const previousEnd = endOf(previous.candidate)
    const { start } = candidate.peer.span
    if (start > previousEnd || end <= previousEnd) continue
    // The faster of the two runs the blocks that both hold. Its predecessor was costed up to its own end.
    const from = candidate.blockMs < previous.candidate.blockMs ? Math.max(start, previous.from + 1) : previousEnd
    const costMs =
      previous.costMs -
      (previousEnd - from) * previous.candidate.blockMs +
      (end - from) * candidate.blockMs +
      halfRtt(previous.candidate.peer.peerId, candidate.peer.peerId)
    if (best === null || costMs < best.costMs) best = { candidate, previous, from, costMs }
  }
  return best
}

function cheapestWithReturn(
  done: readonly PartialRoute[],
  halfRtt: (from: string | null, to: string) => number,
): PartialRoute {
  // The way back to the requesting peer is part of every token.
  const whole = done.map((partial) => ({
    ...partial,
    costMs: partial.costMs + halfRtt(null, partial.candidate.peer.peerId),
  }))
  return whole.reduce((best, partial) => (partial.costMs < best.costMs ? partial : best))
}

function hopsOf(last: PartialRoute, range: Span): RouteHop[] {
  const hops: RouteHop[] = []
  let end = range.end
  for (let partial: PartialRoute | null = last; partial !== null; partial = partial.previous) {
    hops.unshift({ peerId: partial.candidate.peer.peerId, span: { start: partial.from, end } })
    end = partial.from
  }
  return hops
}
