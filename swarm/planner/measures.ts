/**
 * What a placement is worth, worked out plainly: the measuring stick of the rules and of the simulator. Capacity is the most tokens a second
 * that any routing can carry; the bound is what no placement can beat. Peers are described by block-steps a second (a peer
 * shifts its work within its span at will) or by a table (a peer passes so many tokens a second with a span of so many
 * units, whatever part of it a token uses). Swarms that mix both count each steps peer as the table that it amounts to.
 */
import { weightOfSpan } from '../model/unit-weights.ts'
import type { Span } from '../span.ts'
import { FlowNetwork } from './flow-network.ts'
import { longestSpan, type ModelPeer, type Placement, type SwarmModel } from './model.ts'

/** Halvings of the interval that holds the answer: to one part in 10^12. */
const HALVINGS = 40

/** Tokens a second that no placement of these peers can beat. */
export function boundOf({ unitWeights, peers }: SwarmModel): number {
  const work = sum(unitWeights)
  if (peers.every(({ speed }) => speed.kind === 'steps')) {
    return sum(peers.map(({ speed }) => (speed.kind === 'steps' ? speed.blockStepsPerSecond : 0))) / work
  }
  // The largest F with Σ max over k of k·min(tokens with k units, F) ≥ units·F.
  const units = unitWeights.length
  const mostOf = (peer: ModelPeer, flow: number): number => {
    let most = 0
    for (let length = 1; length <= longestSpan(peer, units); length += 1) {
      most = Math.max(most, length * Math.min(tokensOf(peer, length, work / units), flow))
    }
    return most
  }
  let low = 0
  let high = sum(peers.map((peer) => tokensOf(peer, 1, work / units)))
  for (let i = 0; i < HALVINGS; i += 1) {
    const flow = (low + high) / 2
    // Both sides are often equal over a range of flows, and sums do not come out exactly.
    if (sum(peers.map((peer) => mostOf(peer, flow))) >= units * flow * (1 - 1e-12)) low = flow
    else high = flow
  }
  return low
}

/** Tokens a second of a placement under the best routing; 0 where a unit is held by nobody. */
export function capacityOf(model: SwarmModel, placement: Placement): number {
  if (model.peers.some(({ speed }) => speed.kind === 'table')) return poorestUnit(model, placement)
  return stepsFlow(model, placement).flow
}

/**
 * Peers that a token passes in the mean, at full capacity. In table form the cheapest routing of the max flow; in steps form
 * that of the flow that walks the units in order, which is not always the cheapest.
 */
export function meanHopsOf(model: SwarmModel, placement: Placement): number {
  if (model.peers.some(({ speed }) => speed.kind === 'table')) return networkOf(model, placement).meanCost()
  const { flow, shares } = stepsFlow(model, placement)
  // A token stays with its peer from one unit to the next as far as the peer's shares of both allow.
  let hops = 1
  for (let unit = 1; unit < shares.length; unit += 1) {
    let staying = 0
    for (const [peer, share] of shares[unit] as Map<number, number>) {
      staying += Math.min(share, (shares[unit - 1] as Map<number, number>).get(peer) ?? 0)
    }
    hops += 1 - Math.min(1, staying / flow)
  }
  return hops
}

/** Petals' measure: a peer gives each unit of its span the same, and the swarm is worth its poorest unit. */
export function petalsCapacityOf({ unitWeights, peers }: SwarmModel, placement: Placement): number {
  const units = unitWeights.length
  const values = new Float64Array(units)
  for (const peer of peers) {
    const span = placement.get(peer.id)
    if (span === undefined) continue
    const weight = weightOfSpan(span, unitWeights)
    const { speed } = peer
    const share =
      speed.kind === 'steps'
        ? speed.blockStepsPerSecond / weight
        : (speed.tokensPerSecond[span.end - span.start - 1] as number)
    for (let unit = span.start; unit < span.end; unit += 1) values[unit] = (values[unit] as number) + share
  }
  return values.reduce((least, value) => Math.min(least, value), Infinity)
}

/**
 * Capacity now and after each possible single loss, weighted by the chance of it: `(1 − q)·F + q·Σ p_i·F(without i) ÷ Σ p_i`
 * with `q = 1 − Π(1 − p_i)`, the chance that anybody leaves before a replacement could be loaded.
 */
export function expectedCapacityOf(model: SwarmModel, placement: Placement): number {
  const whole = capacityOf(model, placement)
  let stays = 1
  let chances = 0
  let lost = 0
  for (const peer of model.peers) {
    if (peer.leaveChance <= 0 || !placement.has(peer.id)) continue
    stays *= 1 - peer.leaveChance
    chances += peer.leaveChance
    const others = new Map(placement)
    others.delete(peer.id)
    lost += peer.leaveChance * capacityOf(model, others)
  }
  return chances === 0 ? whole : stays * whole + ((1 - stays) * lost) / chances
}

interface Row {
  steps: number
  span: Span
}

/**
 * An interval transportation problem: for a given flow, each unit in order is paid by the peers that cover it, the one whose
 * span ends first before the others, which is exact; the flow itself is found by halving.
 */
function stepsFlow(model: SwarmModel, placement: Placement): { flow: number; shares: Map<number, number>[] } {
  const rows: Row[] = []
  for (const { id, speed } of model.peers) {
    const span = placement.get(id)
    if (span !== undefined && speed.kind === 'steps') rows.push({ steps: speed.blockStepsPerSecond, span })
  }
  rows.sort((a, b) => a.span.end - b.span.end || a.span.start - b.span.start)
  const covering = model.unitWeights.map((_, unit) =>
    rows.flatMap(({ span }, index) => (span.start <= unit && unit < span.end ? [index] : [])),
  )
  const left = new Float64Array(rows.length)
  const carries = (flow: number, onShare: (unit: number, row: number, share: number) => void): boolean => {
    for (const [index, { steps }] of rows.entries()) left[index] = steps
    for (const [unit, weight] of model.unitWeights.entries()) {
      let need = flow * weight
      for (const index of covering[unit] as number[]) {
        const pays = Math.min(need, left[index] as number)
        left[index] = (left[index] as number) - pays
        need -= pays
        onShare(unit, index, pays / weight)
        if (need <= 0) break
      }
      if (need > 1e-12 * flow * weight) return false
    }
    return true
  }
  const nothing = (): void => undefined
  let low = 0
  let high = Math.min(...poorest(model, rows, covering), boundOf(model))
  if (high > 0 && carries(high, nothing)) low = high
  for (let i = 0; i < HALVINGS && high - low > 1e-12 * high; i += 1) {
    const middle = (low + high) / 2
    if (carries(middle, nothing)) low = middle
    else high = middle
  }
  const shares = model.unitWeights.map(() => new Map<number, number>())
  carries(low, (unit, row, share) => (shares[unit] as Map<number, number>).set(row, share))
  return { flow: low, shares }
}

/** No unit carries more than all who cover it. */
function poorest({ unitWeights }: SwarmModel, rows: readonly Row[], covering: readonly number[][]): number[] {
  return covering.map(
    (indices, unit) => sum(indices.map((i) => (rows[i] as Row).steps)) / (unitWeights[unit] as number),
  )
}

/**
 * The max flow of a swarm in table form is what its poorest unit's holders pass together. No flow is more: each token passes that
 * unit by one of them. And none less: of any cut, the peers that hold the unit after the last boundary on its near side are cut too
 * (a span is entered anywhere and left at its end), so a cut by one unit is never dearer. Tests hold it against the network.
 */
function poorestUnit({ unitWeights, peers }: SwarmModel, placement: Placement): number {
  const sums = new Float64Array(unitWeights.length)
  for (const peer of peers) {
    const span = placement.get(peer.id)
    if (span === undefined) continue
    const weight = weightOfSpan(span, unitWeights) / (span.end - span.start)
    const tokens = tokensOf(peer, span.end - span.start, weight)
    for (let unit = span.start; unit < span.end; unit += 1) sums[unit] = (sums[unit] as number) + tokens
  }
  return sums.reduce((least, tokens) => Math.min(least, tokens), Infinity)
}

/** Tokens go from boundary 0 to boundary N: into a span anywhere in it, and out at its end. Each peer passed costs 1. */
export function networkOf({ unitWeights, peers }: SwarmModel, placement: Placement): FlowNetwork {
  const units = unitWeights.length
  const placed = peers.flatMap((peer) => {
    const span = placement.get(peer.id)
    return span === undefined ? [] : [{ peer, span }]
  })
  const network = new FlowNetwork(units + 1 + 2 * placed.length, 0, units)
  for (const [index, { peer, span }] of placed.entries()) {
    const into = units + 1 + 2 * index
    const weight = weightOfSpan(span, unitWeights) / (span.end - span.start)
    for (let at = span.start; at < span.end; at += 1) network.edge(at, into, Infinity, 0)
    network.edge(into, into + 1, tokensOf(peer, span.end - span.start, weight), 1)
    network.edge(into + 1, span.end, Infinity, 0)
  }
  return network
}

/** Tokens a second with a span of `length` units of this weight each. */
function tokensOf({ speed }: ModelPeer, length: number, weight: number): number {
  if (speed.kind === 'steps') return speed.blockStepsPerSecond / (length * weight)
  return speed.tokensPerSecond[length - 1] ?? 0
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
