/**
 * The DHT as a source and a store of peer records: publishes our record and the provider entry of our model, finds the
 * providers of a model and their records. It is the cold start and the memory of the swarm, never on the token path.
 */
import type { DhtService } from './dht.ts'
import { providerCid, recordKeyBytes } from './dht.ts'

/** `findProviders` ends late although the first hits come in milliseconds: it is cut off. */
const FIND_PROVIDERS_MS = 4_000
const GET_RECORD_MS = 3_000
const PUT_MS = 10_000
/** Between two puts where others hear of this peer in quicker ways: each costs every tab some streams, and a move is a handful of records. */
const PUT_EVERY_MS = 5_000
const MAX_PROVIDERS = 100
const PARALLEL_GETS = 4
/** Copies of one record to look at: the first may be older than the second. */
const COPIES_WANTED = 2

export interface DhtDirectoryOptions {
  dht: DhtService
  selfId: string
  /** Whether the newest record of a peer is known already, and need not be asked for. */
  isKnown: (peerId: string) => boolean
  /** Merges a record; true when it was new. */
  take: (bytes: Uint8Array) => Promise<boolean>
  /**
   * A provider was found. Connecting to it apart from the DHT's own short-lived dials (one second) makes the queries that
   * lead through it answer at all on a busy machine.
   */
  onProvider: (peerId: string) => void
  debug: (text: string) => void
}

export class DhtDirectory {
  readonly #options: DhtDirectoryOptions
  readonly #stop = new AbortController()
  #next: { modelDigest: string; bytes: Uint8Array } | null = null
  #isPublishing = false
  #putAt = -Infinity
  /** Ends the rest between two puts. */
  #hurry: () => void = () => undefined

  constructor(options: DhtDirectoryOptions) {
    this.#options = options
  }

  /** Puts the record, at once where it `isUrgent`; of those that wait for the put before them only the newest is kept. */
  publish(modelDigest: string, bytes: Uint8Array, isUrgent: boolean): void {
    this.#next = { modelDigest, bytes }
    if (isUrgent) {
      this.#putAt = -Infinity
      this.#hurry()
    }
    if (!this.#isPublishing) void this.#publishAll()
  }

  /** Says that we serve the model. Receivers ignore it silently while we have no address. */
  async provide(modelDigest: string): Promise<void> {
    const cid = await providerCid(modelDigest)
    await this.#drain(this.#options.dht.provide(cid, { signal: this.#signal(PUT_MS) }), 'provide')
  }

  async withdraw(modelDigest: string): Promise<void> {
    await this.#options.dht.cancelReprovide(await providerCid(modelDigest), { signal: this.#signal(500) })
  }

  /** Asks once for a model's providers and their records. Returns how many records were new. */
  async refresh(modelDigest: string, signal?: AbortSignal): Promise<number> {
    const waiting: string[] = []
    const seen = new Set<string>([this.#options.selfId])
    let isSearching = true
    let added = 0
    const find = async (): Promise<void> => {
      try {
        const events = this.#options.dht.findProviders(await providerCid(modelDigest), {
          signal: this.#signal(FIND_PROVIDERS_MS, signal),
        })
        for await (const event of events) {
          const providers = event.name === 'PROVIDER' || event.name === 'PEER_RESPONSE' ? event.providers : []
          for (const { id } of providers) {
            const peerId = id.toString()
            if (seen.has(peerId) || seen.size > MAX_PROVIDERS) continue
            seen.add(peerId)
            if (!this.#options.isKnown(peerId)) waiting.push(peerId)
            this.#options.onProvider(peerId)
          }
        }
      } catch (error) {
        // Cut off by its time limit, as a rule: what was found by then is used.
        this.#options.debug(`DHT: search for providers ended: ${String(error)}`)
      }
      isSearching = false
    }
    const get = async (): Promise<void> => {
      while (isSearching || waiting.length > 0) {
        const peerId = waiting.shift()
        if (peerId === undefined) await new Promise((resolve) => setTimeout(resolve, 20))
        else added += await this.#getRecord(modelDigest, peerId, signal)
      }
    }
    await Promise.all([find(), ...Array.from({ length: PARALLEL_GETS }, get)])
    return added
  }

  stop(): void {
    this.#stop.abort()
    this.#hurry()
  }

  #rest(ms: number): Promise<void> {
    if (ms <= 0) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#hurry = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  async #publishAll(): Promise<void> {
    this.#isPublishing = true
    while (this.#next !== null && !this.#stop.signal.aborted) {
      await this.#rest(this.#putAt + PUT_EVERY_MS - performance.now())
      if (this.#stop.signal.aborted) break
      this.#putAt = performance.now()
      const { modelDigest, bytes } = this.#next
      this.#next = null
      const key = recordKeyBytes(modelDigest, this.#options.selfId)
      await this.#drain(this.#options.dht.put(key, bytes, { signal: this.#signal(PUT_MS) }), 'put')
    }
    this.#isPublishing = false
  }

  /** `get` itself ends with an error when one holder of an old copy cannot be corrected; the answers are read as they come. */
  async #getRecord(modelDigest: string, peerId: string, signal?: AbortSignal): Promise<number> {
    let copies = 0
    let added = 0
    try {
      const events = this.#options.dht.get(recordKeyBytes(modelDigest, peerId), {
        signal: this.#signal(GET_RECORD_MS, signal),
      })
      for await (const event of events) {
        const value =
          event.name === 'PEER_RESPONSE' ? event.record?.value : event.name === 'VALUE' ? event.value : undefined
        if (value === undefined) continue
        if (await this.#options.take(value)) added = 1
        copies += 1
        if (copies >= COPIES_WANTED) break
      }
    } catch (error) {
      this.#options.debug(`DHT: search for the record of ${peerId} ended: ${String(error)}`)
    }
    return added
  }

  async #drain(events: AsyncIterable<{ name: string }>, what: string): Promise<void> {
    try {
      for await (const event of events) {
        if (event.name === 'QUERY_ERROR') continue
      }
    } catch (error) {
      this.#options.debug(`DHT: ${what} ended: ${String(error)}`)
    }
  }

  #signal(timeoutMs: number, other?: AbortSignal): AbortSignal {
    const signals = [AbortSignal.timeout(timeoutMs), this.#stop.signal]
    return AbortSignal.any(other === undefined ? signals : [...signals, other])
  }
}
