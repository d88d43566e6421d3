/**
 * Direct connections to peers: the address is built here (`RELAY/p2p-circuit/webrtc/p2p/PEER`) from the relays in the
 * peer's own signed record and those that we are connected to, because the DHT does not know a fresh tab for a second and
 * is never asked on the token path. Three tries, each given up when nothing moves for three seconds.
 */
import type { Connection, Libp2p } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { describeError, SwarmError } from '../swarm/errors.ts'
import { DIAL_TIMEOUT_MS, DIAL_TOTAL_MS, DIAL_TRIES, DIAL_TRY_MS } from '../swarm/limits.ts'
import type { PeerRecord } from '../swarm/peer-record.ts'
import type { PeerNode } from './libp2p.ts'
import { isDirect, parseInitialPeers, peerIdOfAddress } from './multiaddr.ts'
import { ProgressDeadline } from './timers.ts'

/** The other side dials when its id is smaller; it gets this long before we do it ourselves. */
const WAIT_FOR_OTHER_MS = 700
const PARALLEL_WARM_DIALS = 4

export interface DiallerOptions {
  libp2p: Libp2p
  direct: (peerId: string) => Connection | null
  record: (peerId: string) => PeerRecord | undefined
  connectedRelays: () => string[]
  dialCircuit: PeerNode['dialCircuit']
  /** Whether to leave the dial to the other side for a moment: it is a serving peer with a smaller id. */
  waitsFor: (peerId: string) => boolean
}

export class Dialler {
  readonly #options: DiallerOptions
  readonly #dials = new Map<string, Promise<Connection>>()
  readonly #warmQueue = new Set<string>()
  #warming = 0

  constructor(options: DiallerOptions) {
    this.#options = options
  }

  /**
   * The direct connection to a peer, dialled where there is none yet. Calls for one peer share one dial.
   * @throws SwarmError DIAL_FAILED with what the last try said, CANCELLED
   */
  async connect(peerId: string, signal: AbortSignal): Promise<Connection> {
    const open = this.#options.direct(peerId)
    if (open !== null) return open
    let dial = this.#dials.get(peerId)
    if (dial === undefined) {
      dial = this.#dial(peerId).finally(() => this.#dials.delete(peerId))
      this.#dials.set(peerId, dial)
    }
    return unlessAborted(dial, signal, peerId)
  }

  /** Dials ahead of need, a few at a time; failures are silent, because the dial in need tells of them. */
  warm(peerIds: readonly string[]): void {
    for (const peerId of peerIds) {
      if (this.#options.direct(peerId) === null && !this.#dials.has(peerId)) this.#warmQueue.add(peerId)
    }
    this.#warmNext()
  }

  /** A second circuit beside an open direct connection: the death sensor after a relay came back. */
  async dialCircuit(peerId: string, signal: AbortSignal): Promise<void> {
    const relay = this.#relaysOf(peerId)[0]
    if (relay === undefined) return
    await this.#options.libp2p.dial(multiaddr(`${relay}/p2p-circuit/p2p/${peerId}`), { signal, force: true })
  }

  /**
   * A circuit for a session's streams, beside those that are death sensors.
   * @throws SwarmError DIAL_FAILED, and what the last relay said
   */
  async dialSessionCircuit(peerId: string, signal: AbortSignal): Promise<Connection> {
    let last: unknown = new SwarmError('DIAL_FAILED', `no relay is known through which peer ${peerId} can be reached`, {
      retryable: true,
      peerId,
    })
    for (const relay of this.#relaysOf(peerId)) {
      signal.throwIfAborted()
      try {
        const within = AbortSignal.any([signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)])
        return await this.#options.dialCircuit(`${relay}/p2p-circuit/p2p/${peerId}`, within)
      } catch (error) {
        last = error
      }
    }
    throw last
  }

  #warmNext(): void {
    while (this.#warming < PARALLEL_WARM_DIALS) {
      const [peerId] = this.#warmQueue
      if (peerId === undefined) return
      this.#warmQueue.delete(peerId)
      this.#warming += 1
      this.connect(peerId, AbortSignal.timeout(DIAL_TOTAL_MS))
        .catch(() => undefined)
        .finally(() => {
          this.#warming -= 1
          this.#warmNext()
        })
    }
  }

  async #dial(peerId: string): Promise<Connection> {
    if (this.#options.waitsFor(peerId)) {
      const dialled = await this.#waitForOther(peerId)
      if (dialled !== null) return dialled
    }
    let reason = 'no relay is known through which it can be reached'
    const endsAt = performance.now() + DIAL_TOTAL_MS
    let joined = 0
    for (let attempt = 0; attempt < DIAL_TRIES && performance.now() < endsAt; attempt += 1) {
      const relays = this.#relaysOf(peerId)
      const relay = relays[attempt % Math.max(relays.length, 1)]
      if (relay === undefined) break
      const deadline = new ProgressDeadline(DIAL_TIMEOUT_MS, Math.min(DIAL_TRY_MS, endsAt - performance.now()))
      try {
        const connection = await this.#options.libp2p.dial(multiaddr(`${relay}/p2p-circuit/webrtc/p2p/${peerId}`), {
          signal: deadline.signal,
          onProgress: () => deadline.progress(),
        })
        if (isDirect(connection.remoteAddr)) return connection
        reason = 'only a relayed connection came about'
        // libp2p lets us join a dial that the DHT has begun, and that is content with less: ours was not tried yet.
        joined += 1
        if (joined <= DIAL_TRIES) attempt -= 1
      } catch (error) {
        reason = deadline.reason ?? describeError(error)
      } finally {
        deadline.stop()
      }
      const meanwhile = this.#options.direct(peerId)
      if (meanwhile !== null) return meanwhile
    }
    throw new SwarmError('DIAL_FAILED', `no direct connection to peer ${peerId}: ${reason}`, {
      retryable: true,
      peerId,
    })
  }

  /** Relays in common first, then the others that the peer's signed record names. */
  #relaysOf(peerId: string): string[] {
    const ours = this.#options.connectedRelays()
    const theirs = (this.#options.record(peerId)?.relays ?? []).flatMap(checkedAddress)
    const theirIds = new Set(theirs.map(peerIdOfAddress))
    const common = ours.filter((address) => theirIds.has(peerIdOfAddress(address)))
    const commonIds = new Set(common.map(peerIdOfAddress))
    const others = theirs.filter((address) => !commonIds.has(peerIdOfAddress(address)))
    // A record that was signed before its peer had a reservation names no relay: any of ours may have it by now.
    return theirs.length === 0 ? ours : [...common, ...others]
  }

  async #waitForOther(peerId: string): Promise<Connection | null> {
    const deadline = performance.now() + WAIT_FOR_OTHER_MS
    while (performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 50))
      const connection = this.#options.direct(peerId)
      if (connection !== null) return connection
    }
    return null
  }
}

function checkedAddress(address: string): string[] {
  try {
    return parseInitialPeers(address)
  } catch {
    // A record with a strange relay address is still good for its other relays.
    return []
  }
}

/** The dial itself goes on for others who wait for it. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal, peerId: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(new SwarmError('CANCELLED', `the dial to peer ${peerId} was given up`, { retryable: true, peerId }))
    }
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
