/**
 * Which way a session goes: through as few peers as hold the model, and among those routes the one with the least expected
 * time a token, queues included. Where that route is busy already, a longer one that is faster is taken: one session has the
 * fewest hops, many use all peers. Queues are told from the load that records carry (`queues.ts`), so sessions that choose one
 * after another fill replicas in proportion to what those can carry, as the flow solution does, over few hops. A hop may
 * run part of its peer's span. Replicas that are about equally good share sessions by chance.
 */
import { missingBlocks } from './coverage.ts'
import { queuesOf } from './queues.ts'
import { searchRoute, type Holder } from './route-search.ts'
import type { RouteHop, RouteRequest, RouteResult, SwarmView } from './types.ts'
import { weightOfSpan } from '../model/unit-weights.ts'
import type { Span } from '../span.ts'

/** What a round trip costs where nobody has measured it: a home connection. */
export const UNKNOWN_RTT_MS = 50
/** How much worse a replica may look and still get sessions by chance. */
const JITTER = 0.2
/**
 * What a longer route's time may be of the shortest's to be taken, since further hops are further peers that may leave; and another's of
 * one that is open already, since opening again costs a moment.
 */
export const FASTER = 0.9
/** A peer that is about to move will send its sessions away: taken only where others are clearly slower. */
const MOVING_PENALTY = 2
/** More than any route takes: the fewest hops come first. */
const FEWEST_HOPS_MS = 1e6
/** Where there is no route of peers with room alone, as few without as that many hops allow. */
const NO_CACHE_PENALTY_MS = 1e4

/** Never throws: blocks that nobody (who is not excluded) serves are named. */
export function planRoute(request: RouteRequest): RouteResult {
  const range = request.range ?? { start: 0, end: request.view.blocks }
  const holders = holdersOf(request, range)
  const withRoom = holders.filter(({ entryMs }) => entryMs === 0)
  const hops = routeThrough(withRoom, request, range) ?? routeThrough(holders, request, range)
  if (hops !== null) return { ok: true, hops }
  const served: SwarmView = { blocks: request.view.blocks, peers: onlinePeers(request) }
  const missing = missingBlocks(served).filter((block) => block >= range.start && block < range.end)
  return { ok: false, missingBlocks: missing }
}

/** Expected time of a token on a route, ms, without chance: for comparing two of them. */
export function routeMs(request: RouteRequest, hops: readonly RouteHop[]): number {
  const range = { start: 0, end: request.view.blocks }
  const holders = holdersOf({ ...request, random: () => 0 }, range)
  return timeOf(hops, holders, request)
}

interface Candidate extends Holder {
  isBusy: boolean
}

function routeThrough(holders: readonly Candidate[], request: RouteRequest, range: Span): RouteHop[] | null {
  const wayMs = waysOf(request)
  const { unitWeights } = request.view
  const options = { range, wayMs, ...(unitWeights === undefined ? {} : { unitWeights }) }
  const fewest = searchRoute(holders, { ...options, hopMs: FEWEST_HOPS_MS })
  if (fewest === null) return null
  const busy = new Set(holders.filter(({ isBusy }) => isBusy).map(({ peerId }) => peerId))
  if (!fewest.some(({ peerId }) => busy.has(peerId))) return fewest
  const fastest = searchRoute(holders, { ...options, hopMs: 0 }) ?? fewest
  return timeOf(fastest, holders, request) < timeOf(fewest, holders, request) * FASTER ? fastest : fewest
}

function onlinePeers({ view, exclude }: RouteRequest): SwarmView['peers'] {
  return view.peers.filter((peer) => peer.state === 'online' && !exclude.has(peer.peerId))
}

/** In the order of their ids: the order in which records came decides nothing. */
function holdersOf(request: RouteRequest, range: Span): Candidate[] {
  const { view, maxTokens, random } = request
  const moving = new Set(view.peers.filter((peer) => peer.state === 'claimed').map((peer) => peer.peerId))
  const queues = queuesOf(view, hopMsOf(request))
  return onlinePeers(request)
    .filter((peer) => peer.span.start < range.end && peer.span.end > range.start)
    .toSorted((a, b) => (a.peerId < b.peerId ? -1 : a.peerId > b.peerId ? 1 : 0))
    .map(({ peerId, span, blockStepsPerSecond, sessions, cacheTokensLeft }) => {
      const penalty = moving.has(peerId) ? MOVING_PENALTY : 1
      const queue = queues.get(peerId) ?? 0
      return {
        peerId,
        span,
        isBusy: sessions > 0,
        blockMs: (1000 / blockStepsPerSecond) * (1 + queue) * penalty * (1 + JITTER * random()),
        entryMs: cacheTokensLeft >= maxTokens ? 0 : NO_CACHE_PENALTY_MS,
      }
    })
}

/** Half a round trip to each hop, and (`to` null) half of one back. */
function waysOf({ rttMs }: RouteRequest): (from: string | null, to: string | null) => number {
  return (from, to) => {
    if (to !== null) return halfRtt(rttMs, from, to)
    return from === null ? 0 : halfRtt(rttMs, null, from)
  }
}

function halfRtt(rttMs: RouteRequest['rttMs'], from: string | null, to: string): number {
  return (rttMs(from, to) ?? UNKNOWN_RTT_MS) / 2
}

/** Of a hop, in the mean: as far as the peers are from whoever asks. */
function hopMsOf(request: RouteRequest): number {
  const peers = request.view.peers.filter(({ state }) => state === 'online')
  if (peers.length === 0) return UNKNOWN_RTT_MS / 2
  return peers.reduce((sum, { peerId }) => sum + halfRtt(request.rttMs, null, peerId), 0) / peers.length
}

function timeOf(hops: readonly RouteHop[], holders: readonly Holder[], request: RouteRequest): number {
  const wayMs = waysOf(request)
  const blockMs = new Map(holders.map((holder) => [holder.peerId, holder.blockMs]))
  const last = hops.at(-1)
  return hops.reduce(
    (sum, { peerId, span }, index) =>
      sum +
      wayMs(hops[index - 1]?.peerId ?? null, peerId) +
      weightOfSpan(span, request.view.unitWeights) * (blockMs.get(peerId) ?? Infinity),
    last === undefined ? 0 : wayMs(last.peerId, null),
  )
}
