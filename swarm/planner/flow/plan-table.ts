/**
 * Placements of swarms whose peers are described by tables: what a peer passes falls faster than its span grows, so the length
 * is as much a choice as the start. The flow is what the holders of the poorest unit pass together; while places are tried
 * all units count, the poorer the more.
 */
import type { Span } from '../../span.ts'
import { boundOf, capacityOf, meanHopsOf } from '../measures.ts'
import type { Placement, SwarmModel } from '../model.ts'
import { layoutsOf } from './layouts.ts'
import type { FlowPlan } from './plan-steps.ts'
import { tablePeer, type TablePeer } from './tables.ts'

/** How strongly the poorest units count before the others; 2 as in block-steps form, where evenness is a sum of squares. */
const EVEN = 2
/** A plan for all is improved with the poorest units counting more and more. */
const POWERS = [2, 4, 8, 16, 32]
const EQUAL = 1e-9
/** Of the bound: a plan that good is not looked at further. */
const NEAR_BOUND = 0.995
const MAX_SWEEPS = 60

/**
 * Peers arrive in the model's order, each choosing for itself; then all look around in turn until nobody gains more than
 * `gain`, relative, in the evenness of what the units pass. Nobody leaves a unit without a holder.
 */
export function planTableJoins(model: SwarmModel, gain: number): FlowPlan {
  const units = model.unitWeights.length
  const sums = new UnitSums(units)
  const peers = model.peers.map((peer) => tablePeer(peer, units))
  const spans = joined(sums, peers)
  const moves = settle(sums, spans, peers, gain)
  return { placement: new Map(model.peers.map(({ id }) => [id, spans.get(id) as Span])), moves }
}

/** For all at once: built layouts and joins, each improved by moves; the one with most flow within `maxHops`. */
export function planTable(model: SwarmModel, maxHops: number): FlowPlan {
  const units = model.unitWeights.length
  const peers = model.peers.map((peer) => tablePeer(peer, units))
  const starts = [...layoutsOf(model, maxHops), joined(new UnitSums(units), peers)]
  let best: { placement: Placement; flow: number; hops: number } | null = null
  const judge = (placement: Placement): void => {
    const flow = capacityOf(model, placement)
    const hops = Number.isFinite(maxHops) && flow > 0 ? meanHopsOf(model, placement) : 0
    const isNearer = best !== null && best.hops > maxHops && hops < best.hops
    const isAllowed = hops <= maxHops && (best === null || best.hops > maxHops || flow > best.flow)
    if (best === null || isAllowed || isNearer) best = { placement, flow, hops }
  }
  const enough = boundOf(model) * NEAR_BOUND
  for (const start of starts) {
    judge(start)
    if (best !== null && (best as { flow: number }).flow >= enough) break
    if (Number.isFinite(maxHops)) continue
    let from: Placement = start
    for (const power of POWERS) {
      const sums = new UnitSums(units, power)
      const spans = new Map<string, Span>()
      for (const peer of peers) put(sums, spans, peer, from.get(peer.id) as Span)
      settle(sums, spans, peers, EQUAL)
      judge(spans)
      from = spans
    }
  }
  if (best === null) throw new Error('a plan of no layout')
  return { placement: (best as { placement: Placement }).placement, moves: 0 }
}

function joined(sums: UnitSums, peers: readonly TablePeer[]): Map<string, Span> {
  const spans = new Map<string, Span>()
  for (const peer of peers) put(sums, spans, peer, sums.bestSpan(peer).span)
  return spans
}

/** Moves until nobody gains enough. Returns how many. */
function settle(sums: UnitSums, spans: Map<string, Span>, peers: readonly TablePeer[], gain: number): number {
  let moves = 0
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep += 1) {
    const before = moves
    for (const peer of peers) if (!peer.fixed && moveBySums(sums, spans, peer, gain)) moves += 1
    if (moves === before) break
  }
  return moves
}

function moveBySums(sums: UnitSums, spans: Map<string, Span>, peer: TablePeer, gain: number): boolean {
  const from = spans.get(peer.id) as Span
  const now = sums.worth()
  sums.add(from, -tokensOf(peer, from))
  const { span, worth } = sums.bestSpan(peer)
  const isWorthIt =
    worth.covered > now.covered || (worth.covered === now.covered && worth.value > now.value * (1 + gain))
  put(sums, spans, peer, isWorthIt ? span : from)
  return isWorthIt
}

function put(sums: UnitSums, spans: Map<string, Span>, peer: TablePeer, span: Span): void {
  spans.set(peer.id, span)
  sums.add(span, tokensOf(peer, span))
}

function tokensOf({ tokens }: TablePeer, { start, end }: Span): number {
  return tokens[end - start - 1] as number
}

/** `value`: the power mean of what units pass, tokens a second, near that of the poorest; of those that somebody holds. */
interface TableWorth {
  covered: number
  value: number
}

class UnitSums {
  readonly #sums: Float64Array
  readonly #holders: Int32Array
  readonly #power: number

  constructor(units: number, power = EVEN) {
    this.#power = power
    this.#sums = new Float64Array(units)
    this.#holders = new Int32Array(units)
  }

  /** Negative tokens take a peer away. */
  add({ start, end }: Span, tokens: number): void {
    for (let unit = start; unit < end; unit += 1) {
      const holders = (this.#holders[unit] as number) + Math.sign(tokens)
      this.#holders[unit] = holders
      this.#sums[unit] = holders === 0 ? 0 : (this.#sums[unit] as number) + tokens
    }
  }

  worth(): TableWorth {
    const { covered, sum } = this.#total()
    return worthOf(covered, sum, this.#power)
  }

  /** Ties: the shorter span, then the lower start. A start's worth comes from the one before it: one unit less, one more. */
  bestSpan(peer: TablePeer): Candidate {
    const [first, ...others] = this.bestSpans(peer)
    let best = first as Candidate
    for (const other of others) if (isAbove(other.worth, best.worth)) best = other
    return best
  }

  /** The best place of each length, the shortest first. */
  bestSpans(peer: TablePeer): Candidate[] {
    const units = this.#sums.length
    const { covered, sum } = this.#total()
    const change = new Float64Array(units)
    const bests: Candidate[] = []
    for (let length = 1; length <= peer.tokens.length; length += 1) {
      let best: Candidate | null = null
      const tokens = peer.tokens[length - 1] as number
      for (let unit = 0; unit < units; unit += 1) {
        const now = this.#sums[unit] as number
        change[unit] = (now + tokens) ** -this.#power - (now === 0 ? 0 : now ** -this.#power)
      }
      let changed = 0
      let fresh = 0
      for (let unit = 0; unit < units; unit += 1) {
        changed += change[unit] as number
        if (this.#holders[unit] === 0) fresh += 1
        const start = unit + 1 - length
        if (start < 0) continue
        const worth = worthOf(covered + fresh, sum + changed, this.#power)
        if (best === null || isAbove(worth, best.worth)) best = { span: { start, end: start + length }, worth }
        changed -= change[start] as number
        if (this.#holders[start] === 0) fresh -= 1
      }
      bests.push(best as Candidate)
    }
    return bests
  }

  #total(): { covered: number; sum: number } {
    let covered = 0
    let sum = 0
    for (const tokens of this.#sums) {
      if (tokens === 0) continue
      covered += 1
      sum += tokens ** -this.#power
    }
    return { covered, sum }
  }
}

interface Candidate {
  span: Span
  worth: TableWorth
}

function isAbove(a: TableWorth, b: TableWorth): boolean {
  return a.covered === b.covered ? a.value > b.value * (1 + EQUAL) : a.covered > b.covered
}

function worthOf(covered: number, sum: number, power: number): TableWorth {
  return { covered, value: sum === 0 ? 0 : (sum / covered) ** (-1 / power) }
}
