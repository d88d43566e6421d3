/**
 * How many peers of one address may have a record, and how often one peer may publish. Loopback has no counted address, so
 * that one machine can run a swarm of any size.
 */
const PUBLISH_BURST = 20
const PUBLISHES_PER_SECOND = 5

interface Bucket {
  tokens: number
  at: number
}

export class RecordQuota {
  readonly #maxPerAddress: number
  readonly #now: () => number
  readonly #peersOf = new Map<string, Set<string>>()
  readonly #buckets = new Map<string, Bucket>()

  constructor(maxPerAddress: number, now: () => number = () => performance.now()) {
    this.#maxPerAddress = maxPerAddress
    this.#now = now
  }

  /** Whether a peer may publish once more at this moment. */
  takePublish(peerId: string): boolean {
    const now = this.#now()
    const bucket = this.#buckets.get(peerId) ?? { tokens: PUBLISH_BURST, at: now }
    bucket.tokens = Math.min(PUBLISH_BURST, bucket.tokens + ((now - bucket.at) / 1_000) * PUBLISHES_PER_SECOND)
    bucket.at = now
    this.#buckets.set(peerId, bucket)
    if (bucket.tokens < 1) return false
    bucket.tokens -= 1
    return true
  }

  /** Counts the peer for its address; false when others of that address have used it up. */
  takePlace(peerId: string, address: string | null): boolean {
    if (address === null) return true
    const peers = this.#peersOf.get(address) ?? new Set()
    if (!peers.has(peerId) && peers.size >= this.#maxPerAddress) return false
    this.#peersOf.set(address, peers.add(peerId))
    return true
  }

  /** The peer is gone. */
  release(peerId: string): void {
    this.#buckets.delete(peerId)
    for (const [address, peers] of this.#peersOf) {
      if (peers.delete(peerId) && peers.size === 0) this.#peersOf.delete(address)
    }
  }
}
