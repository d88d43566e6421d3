/**
 * Seeded randomness for the simulator: the same seed and label give the same numbers on every machine. Each use has a
 * stream of its own, so that drawing more often for one thing does not change another.
 */
export class Random {
  #a: number
  #b: number
  #c: number
  #counter = 1
  #spareNormal: number | null = null

  /** `label`: what the stream is for, for example `checks`. */
  constructor(seed: number, label: string) {
    const hash = hashText(`${seed}/${label}`)
    this.#a = hash
    this.#b = Math.imul(hash, 0x9e37_79b1) ^ 0x85eb_ca6b
    this.#c = Math.imul(hash, 0xc2b2_ae35) ^ 0x27d4_eb2f
    // The first numbers of close seeds look alike.
    for (let i = 0; i < 12; i += 1) this.next()
  }

  /** Uniform in [0, 1); Chris Doty-Humphrey's sfc32. */
  next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return (sum >>> 0) / 2 ** 32
  }

  uniform(least: number, most: number): number {
    return least + (most - least) * this.next()
  }

  /** Both ends included. */
  integer(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1))
  }

  normal(): number {
    if (this.#spareNormal !== null) {
      const spare = this.#spareNormal
      this.#spareNormal = null
      return spare
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.next()))
    const angle = 2 * Math.PI * this.next()
    this.#spareNormal = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }

  /** `sigma`: standard deviation of the logarithm. */
  logNormal(median: number, sigma: number): number {
    return median * Math.exp(sigma * this.normal())
  }

  exponential(mean: number): number {
    return -mean * Math.log(1 - this.next())
  }

  /** Pareto of the second kind (Lomax) with the given mean: heavy-tailed, `shape` > 1; the lower, the heavier. */
  lomax(mean: number, shape: number): number {
    return mean * (shape - 1) * ((1 - this.next()) ** (-1 / shape) - 1)
  }
}

/** FNV-1a, 32 bits. */
function hashText(words: string): number {
  let hash = 0x811c_9dc5
  for (let i = 0; i < words.length; i += 1) hash = Math.imul(hash ^ words.charCodeAt(i), 0x0100_0193)
  return hash | 0
}
