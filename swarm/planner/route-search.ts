/**
 * The cheapest way through the units: at each, a token is with one of its holders, and may go to another before any. So the
 * search is exact over every sequence of peers and every hand-over point, in (units × holders²) at most.
 */
import type { Span } from '../span.ts'
import type { RouteHop } from './types.ts'

export interface Holder {
  peerId: string
  span: Span
  /** Expected time of a unit of weight 1 and one token, queue included, ms. */
  blockMs: number
  /** What it costs to go there at all, beyond the way. */
  entryMs: number
}

export interface SearchOptions {
  range: Span
  /** Way from one to another, or from whoever asks (null); and, with `to` null, back. */
  wayMs: (from: string | null, to: string | null) => number
  /** Cost of each hop, on top. */
  hopMs: number
  /** By unit; absent: 1 each. */
  unitWeights?: readonly number[]
}

/** Null where a unit has no holder. Ties go to the holder that is named first. */
export function searchRoute(
  holders: readonly Holder[],
  { range, wayMs, hopMs, unitWeights = [] }: SearchOptions,
): RouteHop[] | null {
  const firstWeight = unitWeights[range.start] ?? 1
  const cameFrom: Int32Array[] = []
  let costs = holders.map((holder) =>
    holder.span.start <= range.start && range.start < holder.span.end
      ? wayMs(null, holder.peerId) + holder.entryMs + hopMs + holder.blockMs * firstWeight
      : Infinity,
  )
  for (let unit = range.start + 1; unit < range.end; unit += 1) {
    const before = costs
    const weight = unitWeights[unit] ?? 1
    // In the order of their cost, so that looking ends where nobody can be cheaper: ways cost at least nothing.
    const reached = before
      .flatMap((cost, index) => (cost < Infinity ? [{ cost, index }] : []))
      .toSorted((a, b) => a.cost - b.cost || a.index - b.index)
    const from = new Int32Array(holders.length).fill(-1)
    costs = holders.map((holder, index) => {
      if (unit < holder.span.start || unit >= holder.span.end) return Infinity
      let best = before[index] as number
      from[index] = best < Infinity ? index : -1
      const entry = holder.entryMs + hopMs
      for (const { cost, index: other } of reached) {
        if (cost + entry >= best) break
        const coming = cost + entry + wayMs((holders[other] as Holder).peerId, holder.peerId)
        if (coming >= best) continue
        best = coming
        from[index] = other
      }
      return best + holder.blockMs * weight
    })
    cameFrom.push(from)
  }
  return wayBack(holders, costs, cameFrom, { range, wayMs, hopMs })
}

function wayBack(
  holders: readonly Holder[],
  costs: readonly number[],
  cameFrom: readonly Int32Array[],
  { range, wayMs }: SearchOptions,
): RouteHop[] | null {
  let last = -1
  let least = Infinity
  for (const [index, cost] of costs.entries()) {
    // The way back to whoever asks is part of every token.
    const whole = cost + (cost < Infinity ? wayMs((holders[index] as Holder).peerId, null) : 0)
    if (whole >= least) continue
    least = whole
    last = index
  }
  if (last === -1) return null
  const hops: RouteHop[] = []
  let end = range.end
  for (let unit = range.end - 1; unit >= range.start; unit -= 1) {
    const previous = unit === range.start ? -1 : ((cameFrom[unit - range.start - 1] as Int32Array)[last] as number)
    if (previous === last) continue
    hops.unshift({ peerId: (holders[last] as Holder).peerId, span: { start: unit, end } })
    end = unit
    last = previous
  }
  return hops
}
