/** How often somebody may do a thing: a burst at once, then so many a second. One bucket a key; those that are full are forgotten. */
const MAX_KEPT = 10_000

interface Bucket {
  tokens: number
  at: number
}

export class TokenBuckets {
  readonly #burst: number
  readonly #perSecond: number
  readonly #now: () => number
  readonly #buckets = new Map<string, Bucket>()

  constructor(burst: number, perSecond: number, now: () => number) {
    this.#burst = burst
    this.#perSecond = perSecond
    this.#now = now
  }

  /** Whether `key` may do it once more at this moment. */
  take(key: string): boolean {
    const now = this.#now()
    if (this.#buckets.size >= MAX_KEPT) this.#forgetFull(now)
    const tokens = this.#tokens(this.#buckets.get(key), now)
    this.#buckets.set(key, { tokens: tokens < 1 ? tokens : tokens - 1, at: now })
    return tokens >= 1
  }

  #tokens(bucket: Bucket | undefined, now: number): number {
    if (bucket === undefined) return this.#burst
    return Math.min(this.#burst, bucket.tokens + ((now - bucket.at) / 1_000) * this.#perSecond)
  }

  #forgetFull(now: number): void {
    for (const [key, bucket] of this.#buckets) {
      if (this.#tokens(bucket, now) >= this.#burst) this.#buckets.delete(key)
    }
  }
}
