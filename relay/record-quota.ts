/**
 * How many peers of one address may have a record, and how often a peer and an address may publish and say hello: each hello
 * is answered with all records, a few bytes with megabytes. Loopback has no counted address, so that one machine can run a
 * swarm of any size.
 */
import { TokenBuckets } from './token-buckets.ts'

export class RecordQuota {
  readonly #maxPerAddress: number
  readonly #peersOf = new Map<string, Set<string>>()
  /** A record is published every 25 s and on change; loading tells of itself several times a second. */
  readonly #publishes: TokenBuckets
  readonly #publishesOfAddress: TokenBuckets
  /** A stream that ended is opened again after a second; a class of students joins in one moment. */
  readonly #hellos: TokenBuckets
  readonly #hellosOfAddress: TokenBuckets

  constructor(maxPerAddress: number, now: () => number = () => performance.now()) {
    this.#maxPerAddress = maxPerAddress
    this.#publishes = new TokenBuckets(20, 5, now)
    this.#publishesOfAddress = new TokenBuckets(400, 50, now)
    this.#hellos = new TokenBuckets(8, 0.5, now)
    this.#hellosOfAddress = new TokenBuckets(200, 10, now)
  }

  /** Whether a peer may publish once more at this moment. `address`: null for loopback. */
  takePublish(peerId: string, address: string | null): boolean {
    return this.#publishes.take(peerId) && (address === null || this.#publishesOfAddress.take(address))
  }

  /** Whether it may say hello once more, and be sent all records. */
  takeHello(peerId: string, address: string | null): boolean {
    return this.#hellos.take(peerId) && (address === null || this.#hellosOfAddress.take(address))
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
    for (const [address, peers] of this.#peersOf) {
      if (peers.delete(peerId) && peers.size === 0) this.#peersOf.delete(address)
    }
  }
}
