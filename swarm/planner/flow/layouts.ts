/**
 * Layouts built for a flow: the units are cut into consecutive spans, each held by a group of peers that pass the flow
 * together. The largest flow for which the groups reach from the first unit to the last, in as few spans as asked for, is found
 * by halving. Peers that are left over double the groups that pass least.
 */
import type { Span } from '../../span.ts'
import { boundOf } from '../measures.ts'
import type { Placement, SwarmModel } from '../model.ts'
import { tablePeer, type TablePeer } from './tables.ts'

const HALVINGS = 30

interface Group {
  peers: readonly TablePeer[]
  /** The most units that the group passes the flow through. */
  length: number
}

/** One layout for each way of grouping: peers alone, and those that reach less than 2, 3, … units alone put together. */
export function layoutsOf(model: SwarmModel, maxHops: number): Placement[] {
  const units = model.unitWeights.length
  const peers = model.peers.map((peer) => tablePeer(peer, units))
  const longest = Math.max(...peers.map(({ tokens }) => tokens.length))
  const layouts: Placement[] = []
  for (let least = 1; least <= longest; least += 1) {
    const fits = (flow: number): Group[] | null => chain(peers, flow, least, units, maxHops)
    let low = 0
    let high = boundOf(model) * (1 + 1e-9)
    let groups: Group[] | null = null
    for (let i = 0; i < HALVINGS; i += 1) {
      const middle = (low + high) / 2
      const found = fits(middle)
      if (found === null) high = middle
      else {
        low = middle
        groups = found
      }
    }
    if (groups !== null) layouts.push(laidOut(groups, peers, units))
  }
  return layouts
}

/** Groups that reach over all units in at most `maxHops` spans, the longest first; null: they do not. */
function chain(
  peers: readonly TablePeer[],
  flow: number,
  least: number,
  units: number,
  maxHops: number,
): Group[] | null {
  const alone = peers
    .map((peer) => ({ peer, reach: reachOf([peer], flow) }))
    .toSorted((a, b) => b.reach - a.reach || (b.peer.tokens[0] as number) - (a.peer.tokens[0] as number))
  const groups: Group[] = []
  let open: TablePeer[] = []
  for (const { peer, reach } of alone) {
    if (reach >= least) {
      groups.push({ peers: [peer], length: reach })
      continue
    }
    open.push(peer)
    const length = reachOf(open, flow)
    if (length < least) continue
    groups.push({ peers: open, length })
    open = []
  }
  groups.sort((a, b) => b.length - a.length)
  const used: Group[] = []
  let covered = 0
  for (const group of groups) {
    if (covered >= units) break
    used.push(group)
    covered += group.length
  }
  return covered >= units && used.length <= maxHops ? used : null
}

function reachOf(peers: readonly TablePeer[], flow: number): number {
  const longest = Math.min(...peers.map(({ tokens }) => tokens.length))
  for (let length = longest; length >= 1; length -= 1) {
    if (peers.reduce((sum, { tokens }) => sum + (tokens[length - 1] as number), 0) >= flow) return length
  }
  return 0
}

function laidOut(groups: readonly Group[], peers: readonly TablePeer[], units: number): Placement {
  const lengths = groups.map(({ length }) => length)
  let surplus = lengths.reduce((sum, length) => sum + length, 0) - units
  // What is more than needed is taken from the ends of the longest: shorter spans pass more.
  while (surplus > 0) {
    const at = lengths.indexOf(Math.max(...lengths))
    lengths[at] = (lengths[at] as number) - 1
    surplus -= 1
  }
  const placement = new Map<string, Span>()
  const spans: { span: Span; passes: number }[] = []
  let at = 0
  for (const [i, group] of groups.entries()) {
    const length = lengths[i] as number
    if (length === 0) continue
    const span = { start: at, end: at + length }
    at += length
    let passes = 0
    for (const { id, tokens } of group.peers) {
      placement.set(id, span)
      passes += tokens[length - 1] as number
    }
    spans.push({ span, passes })
  }
  for (const { id, tokens } of peers) {
    if (placement.has(id)) continue
    const fitting = spans.filter(({ span }) => span.end - span.start <= tokens.length)
    const poorest = fitting.toSorted((a, b) => a.passes - b.passes)[0]
    if (poorest === undefined) {
      placement.set(id, { start: 0, end: tokens.length })
      continue
    }
    placement.set(id, poorest.span)
    poorest.passes += tokens[poorest.span.end - poorest.span.start - 1] as number
  }
  return placement
}
