/**
 * The requesting peer's view of the directory → a route, through the planner's pure functions. Only peers that serve
 * exactly this model (repository and revision) and take new sessions are looked at.
 */
import type { SwarmNode } from '../net/types.ts'
import { WEIGHT_FORMATS } from '../swarm/model/config.ts'
import type { PeerRecord } from '../swarm/peer-record.ts'
import { routeLine } from '../swarm/planner/route-line.ts'
import { FASTER, planRoute, routeMs } from '../swarm/planner/route.ts'
import type { RouteHop, RouteRequest, SwarmView } from '../swarm/planner/types.ts'
import { viewOf } from '../swarm/planner/view.ts'
import { formatBlockRanges, type Span } from '../swarm/span.ts'
import type { Bans } from './bans.ts'
import type { BrokenRoute } from './broken-route.ts'
import { kindOf } from './peer-kind.ts'
import { estimatedRtt, knownRtt } from './round-trips.ts'
import type { PromptModel } from './types.ts'

export interface RouteNeeds {
  /** KV tokens that the answer needs. */
  needTokens: number
  /** KV tokens wished for, so that later turns fit too; at least `needTokens`. */
  wishTokens: number
  /** The weight format that hops must have, of an answer that has begun with it; null: the most exact one that has a route. */
  weights: string | null
  /**
   * By block: the kind (`kindOf`) of peer that computed it so far, of an answer that has begun. Another of the same kind is preferred, whose
   * numbers agree best with those that the text was made of; null: nothing was computed yet.
   */
  kinds: readonly string[] | null
  /** Hops of any formats may follow one another. Otherwise a text would depend on who happens to serve which block. */
  mixWeights: boolean
}

export type RouteChoice =
  | { ok: true; hops: readonly RouteHop[]; maxTokens: number }
  /** `missingBlocks` is empty when peers exist for every block but have no room. */
  | { ok: false; missingBlocks: readonly number[]; reason: string }

export interface RouteChooser {
  node: SwarmNode
  model: Pick<PromptModel, 'id' | 'unitWeights'>
  bans: Bans
  /** Monotonic ms. */
  now: () => number
  /** Uniform in [0, 1). */
  random: () => number
  /** Pairs of hops that could not connect to each other (`pairOf`), as long as the chat lives: this peer carries between them. */
  forwarded: Set<string>
}

export function chooseRoute(chooser: RouteChooser, needs: RouteNeeds): RouteChoice {
  const all = servingRecords(chooser)
  const kinds = kindsOf(all, needs)
  let full: RouteChoice | null = null
  let nearest: Extract<RouteChoice, { ok: false }> | null = null
  for (const { weights, records } of kinds) {
    const same = needs.kinds === null ? [] : ofSameKind(records, needs.kinds)
    const alike = chooseAmong(chooser, same, needs)
    if (alike.ok && hasRoom(same, alike.hops, alike.maxTokens)) return alike
    const choice = chooseAmong(chooser, records, needs)
    if (choice.ok && hasRoom(records, choice.hops, choice.maxTokens)) return choice
    if (choice.ok) full ??= choice
    else if (nearest === null || choice.missingBlocks.length < nearest.missingBlocks.length) {
      nearest = { ...choice, reason: `${choice.reason} as ${weights}` }
    }
  }
  // Where nobody has room by its record the planner still names a route: records are up to half a minute old, the peers'
  // own answer counts, and a refusal costs one round trip.
  if (full !== null) return full
  const mixed = chooseAmong(chooser, all, needs)
  // Blocks that nobody serves in any format are what a person can do something about.
  if (!mixed.ok || nearest === null) return mixed
  const kept =
    needs.weights === null
      ? 'a text keeps to one format unless formats may mix (--mix-weights, or the setting of the page)'
      : 'this text began with that format'
  return { ...nearest, reason: `${nearest.reason}, and ${kept}` }
}

/**
 * A route on which the hops that a broken one has left go on with the blocks they hold, and others take the place of those that were
 * lost: of the kind that these were, if there are such. Null: there is none with room.
 */
export function chooseRepair(
  chooser: RouteChooser,
  needs: RouteNeeds,
  { hops: left, maxTokens }: Pick<BrokenRoute, 'hops' | 'maxTokens'>,
): Extract<RouteChoice, { ok: true }> | null {
  const { node, model, bans } = chooser
  if (left.length === 0 || maxTokens < needs.needTokens) return null
  const holding = left.flatMap(({ peerId, span }): PeerRecord[] => {
    const record = node.directory.get(peerId)
    // It may take no new sessions, or serve other blocks to those.
    return record === undefined ? [] : [{ ...record, state: 'online', span, cacheTokensLeft: maxTokens }]
  })
  const isOpen = (block: number): boolean => !holding.some(({ span }) => span.start <= block && block < span.end)
  const others = servingRecords(chooser).filter(
    ({ peerId, weights }) =>
      !left.some((hop) => hop.peerId === peerId) && (needs.mixWeights || weights === needs.weights),
  )
  const { kinds } = needs
  for (const isAlike of kinds === null ? [false] : [true, false]) {
    const parts = withParts(others, (record, block) => {
      return isOpen(block) && (!isAlike || kinds?.[block] === kindOf(record))
    })
    const records = [...holding, ...parts]
    const exclude = bans.excluded(parts, chooser.now()).add(node.peerId)
    const choice = plan(chooser, viewOf(records, model.id.blocks, model.unitWeights), exclude, maxTokens)
    if (choice.ok && hasRoom(records, choice.hops, maxTokens)) return { ok: true, hops: choice.hops, maxTokens }
  }
  return null
}

function chooseAmong(chooser: RouteChooser, records: readonly PeerRecord[], needs: RouteNeeds): RouteChoice {
  const { node, model, bans } = chooser
  const view = viewOf(records, model.id.blocks, model.unitWeights)
  // A peer cannot dial itself.
  let exclude = bans.excluded(records, chooser.now()).add(node.peerId)
  let wished = plan(chooser, view, exclude, needs.wishTokens)
  if (!wished.ok) {
    exclude = bans.excluded(records, chooser.now(), true).add(node.peerId)
    wished = plan(chooser, view, exclude, needs.wishTokens)
  }
  if (!wished.ok) return noRoute(chooser, records, wished.missingBlocks)
  if (hasRoom(records, wished.hops, needs.wishTokens)) {
    return { ok: true, hops: wished.hops, maxTokens: needs.wishTokens }
  }
  const needed = plan(chooser, view, exclude, needs.needTokens)
  return { ok: true, hops: needed.ok ? needed.hops : wished.hops, maxTokens: needs.needTokens }
}

/**
 * A faster route than `hops`, which were just opened and told how many sessions they had (`told`, by peer): what
 * records say of the others is as old as a record, and many that come at once all choose the same. Null: there is none.
 */
export function lessCrowded(
  chooser: RouteChooser,
  needs: RouteNeeds,
  hops: readonly RouteHop[],
  told: ReadonlyMap<string, number>,
): Extract<RouteChoice, { ok: true }> | null {
  const { node, model, bans } = chooser
  const serving = servingRecords(chooser)
  const weights = serving.find(({ peerId }) => peerId === hops[0]?.peerId)?.weights
  const ofFormat = serving.filter((record) => needs.mixWeights || record.weights === weights)
  const records = (needs.kinds === null ? ofFormat : ofSameKind(ofFormat, needs.kinds)).map((record) => {
    const sessions = told.get(record.peerId)
    return sessions === undefined ? record : withSessions(record, sessions)
  })
  const view = viewOf(records, model.id.blocks, model.unitWeights)
  const exclude = bans.excluded(records, chooser.now()).add(node.peerId)
  const request = requestOf({ ...chooser, random: () => 0 }, view, exclude, needs.wishTokens)
  const other = planRoute(request)
  if (!other.ok || !hasRoom(records, other.hops, needs.wishTokens)) return null
  if (routeMs(request, other.hops) >= routeMs(request, hops) * FASTER) return null
  return { ok: true, hops: other.hops, maxTokens: needs.wishTokens }
}

/** Sessions that a record does not know of yet are like those that it knows. */
function withSessions(record: PeerRecord, sessions: number): PeerRecord {
  if (record.sessionBlocks === undefined) return { ...record, sessions }
  const { sessions: known, sessionBlocks: blocks, span } = record
  const each = known === 0 ? span.end - span.start : blocks / known
  return { ...record, sessions, sessionBlocks: sessions * each }
}

interface Kind {
  weights: string
  records: readonly PeerRecord[]
}

/** Peers that may be hops of one route, the most exact format first. */
function kindsOf(records: readonly PeerRecord[], { weights, mixWeights }: RouteNeeds): Kind[] {
  if (mixWeights) return [{ weights: 'any format', records }]
  const formats = weights === null ? new Set(records.map((record) => record.weights)) : [weights]
  const exactness = (format: string): number => {
    const known = WEIGHT_FORMATS.findIndex((name) => name === format)
    return known === -1 ? WEIGHT_FORMATS.length : known
  }
  return [...formats]
    .toSorted((a, b) => exactness(a) - exactness(b))
    .map((format) => ({ weights: format, records: records.filter((record) => record.weights === format) }))
}

/** Peers with that part of their blocks which their kind computed before, the longest of such parts. */
function ofSameKind(records: readonly PeerRecord[], kinds: readonly string[]): PeerRecord[] {
  return withParts(records, (record, block) => kinds[block] === kindOf(record))
}

/** Peers with the longest part of their blocks that fits; those of which nothing fits are left out. */
function withParts(records: readonly PeerRecord[], fits: (record: PeerRecord, block: number) => boolean): PeerRecord[] {
  return records.flatMap((record) => {
    const span = longestRun(record.span, (block) => fits(record, block))
    return span === null ? [] : [{ ...record, span }]
  })
}

function longestRun({ start, end }: Span, fits: (block: number) => boolean): Span | null {
  let longest: Span | null = null
  let from = start
  for (let block = start; block < end; block += 1) {
    if (!fits(block)) from = block + 1
    else if (longest === null || block + 1 - from > longest.end - longest.start)
      longest = { start: from, end: block + 1 }
  }
  return longest
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

/** The route for a person, with the ways that were measured. */
export function lineOf(chooser: Pick<RouteChooser, 'node' | 'forwarded'>, hops: readonly RouteHop[]): string {
  return routeLine(hops, knownRttOf(chooser))
}

function knownRttOf({ node, forwarded }: Pick<RouteChooser, 'node' | 'forwarded'>): RouteRequest['rttMs'] {
  return knownRtt(node, (peerId) => node.directory.get(peerId), forwarded)
}

function requestOf(
  chooser: RouteChooser,
  view: SwarmView,
  exclude: ReadonlySet<string>,
  maxTokens: number,
): RouteRequest {
  return { view, rttMs: estimatedRtt(knownRttOf(chooser)), maxTokens, exclude, random: chooser.random }
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
