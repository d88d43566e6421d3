/**
 * Petals' measure of a placement: a peer gives `speed ÷ length` one-token steps a second to each block of its span, and
 * the swarm is worth its poorest block. `BlockThroughput` keeps the sums while peers are tried in other places.
 */
import type { Span } from '../span.ts'
import type { PlannerPeer } from './types.ts'

/** Relative and absolute slack of the published rule: places that differ by less count as equal. */
export const EPSILON = 1e-3

/** What a peer gives to each block of a span. */
export function shareOf(peer: { blockStepsPerSecond: number }, length: number): number {
  return peer.blockStepsPerSecond / length
}

export class BlockThroughput {
  readonly #values: Float64Array

  constructor(blocks: number, peers: readonly PlannerPeer[]) {
    this.#values = new Float64Array(blocks)
    for (const peer of peers) this.add(peer.span, shareOf(peer, peer.span.end - peer.span.start))
  }

  add(span: Span, share: number): void {
    for (let block = span.start; block < span.end; block += 1) {
      this.#values[block] = (this.#values[block] as number) + share
    }
  }

  poorest(): number {
    return Math.min(...this.#values)
  }

  /**
   * The start whose window of `length` blocks has the lexicographically smallest sorted throughputs: the window with the
   * poorest block, then the next poorest, and so on; ties to the lower start.
   */
  poorestWindow(length: number): number {
    let best = 0
    let bestSorted = this.#values.slice(0, length).toSorted()
    for (let start = 1; start + length <= this.#values.length; start += 1) {
      const sorted = this.#values.slice(start, start + length).toSorted()
      if (isBelow(sorted, bestSorted)) {
        best = start
        bestSorted = sorted
      }
    }
    return best
  }
}

function isBelow(a: Float64Array, b: Float64Array): boolean {
  for (let i = 0; i < a.length; i += 1) {
    const x = a[i] as number
    const y = b[i] as number
    if (x !== y) return x < y
  }
  return false
}
