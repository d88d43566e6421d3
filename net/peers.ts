/**
 * The connections to other peers, and the belief about who is gone. A peer is linked by a direct (WebRTC) connection for
 * everything and, beside it, by circuits through relays, which are kept because they end within milliseconds when a tab
 * dies while WebRTC takes seconds. What a closed circuit means depends on the relay: while it lives the peer is asked once
 * more, quickly; when the relay itself died, all its circuits closed and nobody has left.
 */
import type { Connection, Libp2p } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import type { Liveness } from './liveness.ts'
import { isCircuit, isDirect } from './multiaddr.ts'
import type { LossReason } from './types.ts'

/**
 * How long a peer has to answer a ping over WebRTC after its circuit closed while the relay lives. A live tab answers in
 * 2–10 ms (36 ms with a busy page); a dead one is found in under the promised 500 ms: the relay tells within 50 ms.
 */
const ASK_BACK_MS = 350
/** How long a circuit may take to end after the direct connection did, when a peer is gone. */
const SETTLE_MS = 50
/**
 * With the relay gone too nothing points at this peer, and everyone is asked in the same moment on a machine that may be
 * busy: two pings, and time. Peers with sessions are under heartbeats anyway.
 */
const ASK_BACK_WITHOUT_RELAY_MS = 1_500

export interface PeersOptions {
  libp2p: Libp2p
  /** Whether a connection that ends at this relay tells something about the peer behind it. */
  isRelayTrustworthy: (relayId: string) => boolean
  isRelay: (peerId: string) => boolean
  ask: (peerId: string, timeoutMs: number) => ReturnType<Liveness['ask']>
  /** Believed: the peer is gone (`isCertain`), or only its direct connection is lost. */
  onLost: (peerId: string, reason: LossReason, isCertain: boolean) => void
  onDirect: (connection: Connection) => void
}

export class Peers {
  readonly #options: PeersOptions
  /** Circuits that stand, or stood, beside a direct connection: only their end says something about the peer. */
  readonly #sensors = new WeakSet<Connection>()
  readonly #suspects = new Set<string>()
  /** Connections that this side closes on purpose: no sign of anything. */
  readonly #deliberate = new WeakSet<Connection>()
  #isStopped = false

  constructor(options: PeersOptions) {
    this.#options = options
    options.libp2p.addEventListener('connection:open', (event) => this.#opened(event.detail))
    options.libp2p.addEventListener('connection:close', (event) => this.#closed(event.detail))
  }

  stop(): void {
    this.#isStopped = true
  }

  /** The open direct connection to a peer: where there are two, the one that both sides prefer. */
  direct(peerId: string): Connection | null {
    const open = this.#connections(peerId).filter(({ remoteAddr }) => isDirect(remoteAddr))
    return open.toSorted((a, b) => this.#rank(a) - this.#rank(b))[0] ?? null
  }

  circuits(peerId: string): Connection[] {
    return this.#connections(peerId).filter(({ remoteAddr }) => isCircuit(remoteAddr))
  }

  /** Peers with a direct connection. */
  directPeers(): string[] {
    const peers = this.#options.libp2p
      .getConnections()
      .filter((connection) => connection.status === 'open' && isDirect(connection.remoteAddr))
      .map((connection) => connection.remotePeer.toString())
    return [...new Set(peers)]
  }

  /** Whether this side is the one that dials when both could: the smaller peer id. */
  isDialler(peerId: string): boolean {
    return this.#options.libp2p.peerId.toString() < peerId
  }

  /** Something hints that the peer is gone; asks it and reports what is believed. Called again meanwhile: ignored. */
  async suspect(peerId: string, hint: LossReason, isRelayAlive: boolean): Promise<void> {
    if (this.#suspects.has(peerId) || this.#isStopped) return
    this.#suspects.add(peerId)
    try {
      const isAlive = await this.#isAlive(peerId, isRelayAlive)
      if (isAlive === true || this.#isStopped) return
      if (isAlive === false) this.lose(peerId, hint)
    } finally {
      this.#suspects.delete(peerId)
    }
  }

  /** After a time in which nothing ran here: whoever does not answer any more has given us up. Resolves when all were asked. */
  async check(): Promise<void> {
    await Promise.all(this.directPeers().map((peerId) => this.suspect(peerId, 'timeout', false)))
  }

  /** The peer is gone: everything to it is closed at once, so that whatever waits on a stream learns of it. */
  lose(peerId: string, reason: LossReason): void {
    this.#options.onLost(peerId, reason, true)
    this.#abortAll(peerId)
  }

  /**
   * Closes what is double: two direct connections, or two circuits through one relay, come from both sides dialling at
   * once. `isInUse` keeps a connection with session streams. Only the smaller peer id tidies, so that not both do.
   */
  tidy(isInUse: (connection: Connection) => boolean): void {
    for (const peerId of this.directPeers()) {
      if (!this.isDialler(peerId)) continue
      const kept = this.direct(peerId)
      const circuitRelays = new Set<string>()
      for (const connection of this.#connections(peerId)) {
        if (isDirect(connection.remoteAddr)) {
          if (connection !== kept && !isInUse(connection)) this.#close(connection)
        } else if (isCircuit(connection.remoteAddr)) {
          const relay = relayOfCircuit(connection) ?? ''
          if (circuitRelays.has(relay) && !isInUse(connection)) this.#close(connection)
          circuitRelays.add(relay)
        }
      }
    }
  }

  /** Synchronous goodbye: the others see it within tens of milliseconds. */
  abortEverything(reason: Error): void {
    this.#isStopped = true
    for (const connection of this.#options.libp2p.getConnections()) connection.abort(reason)
  }

  /** null: nothing can be known. */
  async #isAlive(peerId: string, isRelayAlive: boolean): Promise<boolean | null> {
    if (this.direct(peerId) !== null) {
      if (await this.#answers(peerId, ASK_BACK_MS)) return true
      if (this.direct(peerId) !== null) {
        if (isRelayAlive) return false
        return this.#answers(peerId, ASK_BACK_WITHOUT_RELAY_MS - ASK_BACK_MS)
      }
    }
    await delay(SETTLE_MS)
    if (this.circuits(peerId).length > 0) return null
    return isRelayAlive ? false : null
  }

  /** False at once when the connection ends meanwhile. */
  async #answers(peerId: string, timeoutMs: number): Promise<boolean> {
    const { libp2p, ask } = this.#options
    const connection = this.direct(peerId)
    let onClose: (event: CustomEvent<Connection>) => void = () => undefined
    const ended = new Promise<boolean>((resolve) => {
      onClose = ({ detail }) => {
        if (detail === connection) resolve(false)
      }
      libp2p.addEventListener('connection:close', onClose)
    })
    try {
      return await Promise.race([ask(peerId, timeoutMs), ended])
    } finally {
      libp2p.removeEventListener('connection:close', onClose)
    }
  }

  #opened(connection: Connection): void {
    const peerId = connection.remotePeer.toString()
    if (isDirect(connection.remoteAddr)) {
      for (const circuit of this.circuits(peerId)) this.#sensors.add(circuit)
      this.#options.onDirect(connection)
    } else if (isCircuit(connection.remoteAddr) && this.direct(peerId) !== null) {
      this.#sensors.add(connection)
    }
  }

  #closed(connection: Connection): void {
    const peerId = connection.remotePeer.toString()
    if (this.#isStopped || this.#deliberate.has(connection) || this.#options.isRelay(peerId)) return
    if (isDirect(connection.remoteAddr)) {
      if (this.direct(peerId) !== null) return
      // Sessions on it are broken whatever the peer's state; only the other signs say whether it is gone for good.
      this.#options.onLost(peerId, 'closed', false)
      if (this.circuits(peerId).length === 0) void this.suspect(peerId, 'closed', true)
    } else if (isCircuit(connection.remoteAddr) && this.circuits(peerId).length === 0) {
      // A circuit that only carried a dial also closes when our own dial runs out of time. The relay's notice comes anyway.
      if (this.#sensors.has(connection)) void this.#sensorClosed(peerId, relayOfCircuit(connection))
    }
  }

  /** When a relay dies its circuits may close a moment before our own connection to it: look again after the question. */
  async #sensorClosed(peerId: string, relay: string | null): Promise<void> {
    const isTrustworthy = (): boolean => relay !== null && this.#options.isRelayTrustworthy(relay)
    if (!isTrustworthy()) return this.suspect(peerId, 'closed', false)
    if (this.direct(peerId) !== null && (await this.#options.ask(peerId, ASK_BACK_MS))) return
    if (this.direct(peerId) === null) await delay(SETTLE_MS)
    if (this.#isStopped || this.circuits(peerId).length > 0) return
    if (isTrustworthy()) this.lose(peerId, 'closed')
    else await this.suspect(peerId, 'closed', false)
  }

  #connections(peerId: string): Connection[] {
    return this.#options.libp2p.getConnections(peerIdFromString(peerId)).filter(({ status }) => status === 'open')
  }

  /** Lower is preferred: dialled by the smaller peer id, then the older one. Both sides come to the same. */
  #rank(connection: Connection): number {
    const isOursBySide = this.isDialler(connection.remotePeer.toString()) === (connection.direction === 'outbound')
    return (isOursBySide ? 0 : 1e15) + connection.timeline.open
  }

  #close(connection: Connection): void {
    this.#deliberate.add(connection)
    connection.close().catch((error: unknown) => connection.abort(error as Error))
  }

  #abortAll(peerId: string): void {
    for (const connection of this.#options.libp2p.getConnections(peerIdFromString(peerId))) {
      this.#deliberate.add(connection)
      connection.abort(new Error('peer is gone'))
    }
  }
}

/** The relay that a circuit goes through. */
export function relayOfCircuit(connection: Connection): string | null {
  const match = /\/p2p\/([^/]+)\/p2p-circuit/u.exec(connection.remoteAddr.toString())
  return match?.[1] ?? null
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
