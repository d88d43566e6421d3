/**
 * Keeps a circuit beside every direct connection: without one (the relay was restarted) a death would be noticed late.
 */
import type { PeerRecord } from '../swarm/peer-record.ts'
import { peerIdOfAddress } from './multiaddr.ts'
import { relayOfCircuit, type Peers } from './peers.ts'

const RETRY_MS = 2_000

export interface SensorsOptions {
  peers: Pick<Peers, 'directPeers' | 'circuits'>
  record: (peerId: string) => PeerRecord | undefined
  connectedRelays: () => string[]
  /** Whether this side of the pair is the one that dials. */
  isOurs: (peerId: string) => boolean
  dialCircuit: (peerId: string, signal: AbortSignal) => Promise<void>
}

export class Sensors {
  readonly #options: SensorsOptions
  readonly #triedAt = new Map<string, number>()

  constructor(options: SensorsOptions) {
    this.#options = options
  }

  /** To be called about once a second. Failures are tried again; a peer that cannot be reached so is watched by heartbeats. */
  keep(): void {
    const { peers, record, isOurs, dialCircuit } = this.#options
    const relays = new Set(this.#options.connectedRelays().map(peerIdOfAddress))
    const linked = peers.directPeers()
    for (const peerId of linked) {
      const isReachable = (record(peerId)?.relays ?? []).some((address) => relays.has(peerIdOfAddress(address)))
      const hasSensor = peers.circuits(peerId).some((circuit) => relays.has(relayOfCircuit(circuit)))
      if (hasSensor || !isReachable || !isOurs(peerId)) continue
      const now = performance.now()
      if (now - (this.#triedAt.get(peerId) ?? -Infinity) < RETRY_MS) continue
      this.#triedAt.set(peerId, now)
      dialCircuit(peerId, AbortSignal.timeout(RETRY_MS)).catch(() => undefined)
    }
    const present = new Set(linked)
    for (const peerId of this.#triedAt.keys()) if (!present.has(peerId)) this.#triedAt.delete(peerId)
  }
}
