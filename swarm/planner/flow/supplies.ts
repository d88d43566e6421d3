/**
 * What the peers of a placement can give, kept so that a peer tried in another place is judged at once: block-steps a second
 * by span. Whether a flow can be carried is an interval transportation problem: walk the units in order and let the span that
 * ends first pay first, which is exact. Peers of one span are one sum, so a test costs (units × longest span) whatever the
 * number of peers.
 */
import type { Span } from '../../span.ts'

/** Of the flow: what is smaller is rounding. */
const SLACK = 1e-12
/** Halvings of the interval that holds the capacity: to a few parts in 10^9. */
const HALVINGS = 28

export class Supplies {
  readonly units: number
  readonly weights: readonly number[]
  readonly #totalWeight: number
  /** `[start * (units + 1) + end]`. */
  readonly #given: Float64Array
  /** Of all peers that hold the unit. */
  readonly #held: Float64Array
  readonly #holders: Int32Array
  /** The longest span of each start. */
  readonly #reach: Int32Array
  readonly #left: Float64Array
  #total = 0

  constructor(unitWeights: readonly number[]) {
    this.units = unitWeights.length
    this.weights = unitWeights
    this.#totalWeight = unitWeights.reduce((sum, weight) => sum + weight, 0)
    this.#given = new Float64Array(this.units * (this.units + 1))
    this.#held = new Float64Array(this.units)
    this.#holders = new Int32Array(this.units)
    this.#reach = new Int32Array(this.units)
    this.#left = new Float64Array(this.units + 1)
  }

  add({ start, end }: Span, blockSteps: number): void {
    const at = start * (this.units + 1) + end
    this.#given[at] = (this.#given[at] as number) + blockSteps
    this.#reach[start] = Math.max(this.#reach[start] as number, end)
    this.#total += blockSteps
    for (let unit = start; unit < end; unit += 1) {
      this.#held[unit] = (this.#held[unit] as number) + blockSteps
      this.#holders[unit] = (this.#holders[unit] as number) + 1
    }
  }

  remove({ start, end }: Span, blockSteps: number): void {
    const at = start * (this.units + 1) + end
    // Sums do not come out exactly: what is left of the last peer of a span is nothing.
    const left = (this.#given[at] as number) - blockSteps
    this.#given[at] = left <= blockSteps * 1e-9 ? 0 : left
    this.#total -= blockSteps
    for (let unit = start; unit < end; unit += 1) {
      const holders = (this.#holders[unit] as number) - 1
      this.#holders[unit] = holders
      this.#held[unit] = holders === 0 ? 0 : (this.#held[unit] as number) - blockSteps
    }
  }

  /** Units that somebody holds. */
  covered(): number {
    let covered = 0
    for (const holders of this.#holders) if (holders > 0) covered += 1
    return covered
  }

  holdersOf(unit: number): number {
    return this.#holders[unit] as number
  }

  /**
   * Where units are poor, as one figure that rises when any of them gains: −Σ (weight ÷ what its holders give)². It tells
   * places apart that are worth the same in capacity, which is only as high as the poorest place. Units that nobody holds do
   * not count.
   */
  evenness(): number {
    let sum = 0
    for (let unit = 0; unit < this.units; unit += 1) {
      if (this.#holders[unit] === 0) continue
      sum += ((this.weights[unit] as number) / (this.#held[unit] as number)) ** 2
    }
    return -sum
  }

  /** The most tokens a second through the units that somebody holds; those without a holder are passed over. */
  capacity(): number {
    let high = Infinity
    let weight = 0
    for (let unit = 0; unit < this.units; unit += 1) {
      if (this.#holders[unit] === 0) continue
      weight += this.weights[unit] as number
      high = Math.min(high, (this.#held[unit] as number) / (this.weights[unit] as number))
    }
    if (weight === 0) return 0
    high = Math.min(high, this.#total / weight)
    if (this.carries(high)) return high
    let low = 0
    for (let i = 0; i < HALVINGS; i += 1) {
      const middle = (low + high) / 2
      if (this.carries(middle)) low = middle
      else high = middle
    }
    return low
  }

  /** Whether every unit that is held can pass so many tokens a second. */
  carries(flow: number): boolean {
    const { units } = this
    const given = this.#given
    const left = this.#left
    left.fill(0)
    let reach = 0
    for (let unit = 0; unit < units; unit += 1) {
      const end = this.#reach[unit] as number
      const row = unit * (units + 1)
      for (let at = unit + 1; at <= end; at += 1) left[at] = (left[at] as number) + (given[row + at] as number)
      if (end > reach) reach = end
      if (this.#holders[unit] === 0) continue
      let need = flow * (this.weights[unit] as number)
      const slack = need * SLACK
      for (let at = unit + 1; at <= reach; at += 1) {
        const has = left[at] as number
        if (has >= need) {
          left[at] = has - need
          need = 0
          break
        }
        need -= has
        left[at] = 0
      }
      if (need > slack) return false
    }
    return true
  }

  get totalWeight(): number {
    return this.#totalWeight
  }

  /** Block-steps a second of all peers. */
  get total(): number {
    return this.#total
  }
}
