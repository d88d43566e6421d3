/** Values that each held for some time: their mean and percentiles, weighted by that time. */
export class WeightedValues {
  readonly #entries: { value: number; weight: number }[] = []
  #sum = 0
  #weight = 0

  add(value: number, weight: number): void {
    if (weight <= 0) return
    this.#entries.push({ value, weight })
    this.#sum += value * weight
    this.#weight += weight
  }

  get weight(): number {
    return this.#weight
  }

  /** Null while nothing was added. */
  mean(): number | null {
    return this.#weight === 0 ? null : this.#sum / this.#weight
  }

  /** The least value that at least `share` of the weight does not exceed; null while nothing was added. */
  percentile(share: number): number | null {
    const sorted = this.#entries.toSorted((a, b) => a.value - b.value)
    let seen = 0
    for (const entry of sorted) {
      seen += entry.weight
      // Sums of weights do not come out exactly.
      if (seen >= share * this.#weight * (1 - 1e-12)) return entry.value
    }
    return sorted.at(-1)?.value ?? null
  }
}
