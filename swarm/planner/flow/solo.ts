/**
 * What a token takes on the best route of one session alone, no queues: for telling places of a joiner apart. Cheapest ways to
 * every unit and from it are worked out once, so a place costs one pass over its span. A hop costs what it does where nobody
 * has measured the way. Exact as long as the joiner is one hop of the route, which it is but where another runs a part within
 * its span so much faster that two more ways pay.
 */
import type { Span } from '../../span.ts'
import { UNKNOWN_RTT_MS } from '../route.ts'

/** Half a round trip where nobody has measured it, ms. */
const HOP_MS = UNKNOWN_RTT_MS / 2

export interface SoloPeer {
  span: Span
  blockSteps: number
}

export class Solo {
  readonly #weights: readonly number[]
  /** `[unit]`: what all units before it take, and all from it on with the way back; Infinity where one has no holder. */
  readonly #before: Float64Array
  readonly #after: Float64Array

  constructor(unitWeights: readonly number[], peers: readonly SoloPeer[]) {
    const units = unitWeights.length
    this.#weights = unitWeights
    const reversed = peers.map(({ span, blockSteps }) => ({
      span: { start: units - span.end, end: units - span.start },
      blockSteps,
    }))
    this.#before = costsBefore(unitWeights, peers)
    this.#after = costsBefore(unitWeights.toReversed(), reversed).toReversed()
  }

  /** Ms; Infinity where a unit has no holder. */
  get ms(): number {
    return (this.#before.at(-1) as number) + HOP_MS
  }

  /** With one more. */
  msWith({ span, blockSteps }: SoloPeer): number {
    let least = Infinity
    // The best way to have come to it by here, with all that it has run since.
    let inside = Infinity
    for (let unit = span.start; unit < span.end; unit += 1) {
      const entering = (this.#before[unit] as number) + HOP_MS
      inside = Math.min(inside, entering) + (1000 * (this.#weights[unit] as number)) / blockSteps
      least = Math.min(least, inside + (this.#after[unit + 1] as number))
    }
    return Math.min(this.ms, least + HOP_MS)
  }
}

function costsBefore(weights: readonly number[], peers: readonly SoloPeer[]): Float64Array {
  const costs = new Float64Array(weights.length + 1)
  const inside = new Float64Array(peers.length).fill(Infinity)
  for (const [unit, weight] of weights.entries()) {
    const entering = (costs[unit] as number) + HOP_MS
    let least = Infinity
    for (const [index, { span, blockSteps }] of peers.entries()) {
      if (unit < span.start || unit >= span.end) continue
      const cost = Math.min(inside[index] as number, entering) + (1000 * weight) / blockSteps
      inside[index] = cost
      least = Math.min(least, cost)
    }
    costs[unit + 1] = least
  }
  return costs
}
