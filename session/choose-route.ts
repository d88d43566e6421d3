/**
 * The requesting peer's view of the directory → a route, through the planner's pure functions. Only peers that serve
 * exactly this model (repository and revision) and take new sessions are looked at.
 */
import type { SwarmNode } from '../net/types.ts'
import type { PeerRecord } from '../swarm/peer-record.ts'
import { CLEARLY_FASTER, planRoute, routeMs } from '../swarm/planner/route.ts'
import type { RouteHop, RouteRequest, SwarmView } from '../swarm/planner/types.ts'
import { viewOf } from '../swarm/planner/view.ts'
import { formatBlockRanges } from '../swarm/span.ts'
import type { Bans } from './bans.ts'
import type { PromptModel } from './types.ts'

export interface RouteNeeds {
  /** KV tokens that the answer needs. */
  needTokens: number
  /** KV tokens wished for, so that later turns fit too; at least `needTokens`. */
  wishTokens: number
}

export type RouteChoice =
  | { ok: true; hops: readonly RouteHop[]; maxTokens: number }
  /** `missingBlocks` is empty when peers exist for every block but have no room. */
  | { ok: false; missingBlocks: readonly number[]; reason: string }

export interface RouteChooser {
  node: SwarmNode
  model: Pick<PromptModel, 'id'>
  bans: Bans
  /** Monotonic ms. */
  now: () => number
  /** Uniform in [0, 1). */
  random: () => number
}

export function chooseRoute(chooser: RouteChooser, needs: RouteNeeds): RouteChoice {
  const { node, model, bans } = chooser
  const records = servingRecords(chooser)
  const view = viewOf(records, model.id.blocks)
  const exclude = bans.excluded(records, chooser.now())
  // A peer cannot dial itself.
  exclude.add(node.peerId)
  const wished = plan(chooser, view, exclude, needs.wishTokens)
  if (!wished.ok) return noRoute(chooser, records, wished.missingBlocks)
  if (hasRoom(records, wished.hops, needs.wishTokens)) {
    return { ok: true, hops: wished.hops, maxTokens: needs.wishTokens }
  }
  // Where nobody has room by its record the planner still names a route: records are up to half a minute old, the peers'
  // own answer counts, and a refusal costs one round trip.
  const needed = plan(chooser, view, exclude, needs.needTokens)
  return { ok: true, hops: needed.ok ? needed.hops : wished.hops, maxTokens: needs.needTokens }
}

/**
 * A clearly faster route than `hops`, which were just opened and told how many sessions they had (`told`, by peer): what
 * records say of the others is as old as a record, and many that come at once all choose the same. Null: there is none.
 */
export function lessCrowded(
  chooser: RouteChooser,
  needs: RouteNeeds,
  hops: readonly RouteHop[],
  told: ReadonlyMap<string, number>,
): Extract<RouteChoice, { ok: true }> | null {
  const { node, model, bans } = chooser
  const records = servingRecords(chooser).map((record) => {
    const sessions = told.get(record.peerId)
    return sessions === undefined ? record : { ...record, sessions }
  })
  const view = viewOf(records, model.id.blocks)
  const exclude = bans.excluded(records, chooser.now()).add(node.peerId)
  const request = requestOf({ ...chooser, random: () => 0 }, view, exclude, needs.wishTokens)
  const other = planRoute(request)
  if (!other.ok || !hasRoom(records, other.hops, needs.wishTokens)) return null
  if (routeMs(request, other.hops) >= routeMs(request, hops) * CLEARLY_FASTER) return null
  return { ok: true, hops: other.hops, maxTokens: needs.wishTokens }
}

function noRoute(
  chooser: RouteChooser,
  records: readonly PeerRecord[],
  missingBlocks: readonly number[],
): Extract<RouteChoice, { ok: false }> {
  const blocks = formatBlockRanges(missingBlocks)
  if (missingBlocks.every((block) => isRefused(chooser, records, block))) {
    return { ok: false, missingBlocks: [], reason: `no peer with blocks ${blocks} has room` }
  }
  return { ok: false, missingBlocks, reason: `nobody serves blocks ${blocks}` }
}

function hasRoom(records: readonly PeerRecord[], hops: readonly RouteHop[], tokens: number): boolean {
  const left = new Map(records.map((record) => [record.peerId, record.cacheTokensLeft]))
  return hops.every((hop) => (left.get(hop.peerId) ?? 0) >= tokens)
}

function plan(
  chooser: RouteChooser,
  view: SwarmView,
  exclude: ReadonlySet<string>,
  maxTokens: number,
): ReturnType<typeof planRoute> {
  return planRoute(requestOf(chooser, view, exclude, maxTokens))
}

function requestOf(
  { node, random }: RouteChooser,
  view: SwarmView,
  exclude: ReadonlySet<string>,
  maxTokens: number,
): RouteRequest {
  const rttMs = (from: string | null, to: string): number | null => (from === null ? node.rttMs(to) : null)
  return { view, rttMs, maxTokens, exclude, random }
}

function servingRecords({ node, model }: RouteChooser): PeerRecord[] {
  return node.directory
    .records(model.id.digest)
    .filter(
      (record) =>
        record.state === 'online' && record.model.digest === model.id.digest && record.model.blocks === model.id.blocks,
    )
}

/** Whether the block has holders of which some are there, without room. */
function isRefused({ bans, now }: RouteChooser, records: readonly PeerRecord[], block: number): boolean {
  const holders = records.filter((record) => record.span.start <= block && block < record.span.end)
  return holders.some((record) => bans.reasonOf(record.peerId, now()) === 'refused')
}
