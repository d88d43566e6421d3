/**
 * Limits on reservations and circuits, by the hooks that the library offers: it has caps of its own only for the number of
 * reservations. Reservations of a peer that is gone are removed at once, because a reloaded tab is a new peer and would
 * otherwise fill the relay in two hours; circuits are death sensors, so they last a day and many are allowed.
 */
import type { CircuitRelayService } from '@libp2p/circuit-relay-v2'
import type { Connection, ConnectionGater, Libp2p, PeerId } from '@libp2p/interface'
import { countedAddress } from '../addresses.ts'
import type { RelayLimits } from '../limits.ts'
import type { Refusal } from './admission.ts'

/** Streams of a circuit: `hop` comes in from the peer that dials, `stop` goes out to the one that is dialled. */
const HOP = '/libp2p/circuit/relay/0.2.0/hop'
const STOP = '/libp2p/circuit/relay/0.2.0/stop'

/** What the library's reservation store shows; the map is the store's own. */
type ReservationMap = CircuitRelayService['reservations']

export interface CircuitGuardOptions {
  limits: RelayLimits
  /** Bytes sent since the day began. */
  egressBytes: () => number
  onRefused: (peer: PeerId, refusal: Refusal) => void
}

export class CircuitGuard {
  readonly #options: CircuitGuardOptions
  #libp2p: Libp2p | null = null
  #reservations: ReservationMap | null = null

  constructor(options: CircuitGuardOptions) {
    this.#options = options
  }

  /** The hooks for `createLibp2p`; they act once `attach` was called. */
  readonly gater: Pick<ConnectionGater, 'denyInboundRelayReservation' | 'denyOutboundRelayedConnection'> = {
    denyInboundRelayReservation: (peer) => this.#isDenied(peer, this.#refuseReservation(peer)),
    denyOutboundRelayedConnection: (source, target) => this.#isDenied(source, this.#refuseCircuit(source, target)),
  }

  attach(libp2p: Libp2p, reservations: ReservationMap): void {
    this.#libp2p = libp2p
    this.#reservations = reservations
    libp2p.addEventListener('peer:disconnect', (event) => this.#release(event.detail))
  }

  get reservationCount(): number {
    return this.#reservations?.size ?? 0
  }

  /** Circuits open now: each has one stream in and one out. */
  get circuitCount(): number {
    return countStreams(this.#libp2p?.getConnections() ?? [], STOP)
  }

  #isDenied(peer: PeerId, refusal: Refusal | null): boolean {
    if (refusal !== null) this.#options.onRefused(peer, refusal)
    return refusal !== null
  }

  #refuseReservation(peer: PeerId): Refusal | null {
    const reservations = this.#reservations
    if (reservations === null) return { limit: 'starting', text: 'the relay is starting' }
    const { maxReservations, maxReservationsPerAddress } = this.#options.limits
    const known = reservations.get(peer)
    if (known !== undefined) {
      // A renewal. The library would re-time the old signal, whose first timer then still fires and removes the
      // reservation of whoever has it by then; taking the old one away makes it start afresh.
      known.signal.clear()
      reservations.delete(peer)
      return null
    }
    if (reservations.size >= maxReservations) {
      return { limit: 'max-reservations', text: `this relay holds ${maxReservations} reservations; use another one` }
    }
    const address = this.#addressOf(peer)
    if (address === null) return null
    const same = [...reservations.keys()].filter((other) => this.#addressOf(other) === address).length
    if (same < maxReservationsPerAddress) return null
    const text = `${maxReservationsPerAddress} reservations from your address; close other tabs or use another relay`
    return { limit: 'max-reservations-per-address', text }
  }

  #refuseCircuit(source: PeerId, target: PeerId): Refusal | null {
    const { maxCircuits, maxCircuitsPerPeer, egressBytesPerDay, circuitBytes, circuitDurationMs } = this.#options.limits
    const { signallingBytes, signallingDurationMs } = this.#options.limits
    if (this.circuitCount >= maxCircuits) {
      return { limit: 'max-circuits', text: `this relay carries ${maxCircuits} connections; use another one` }
    }
    for (const peer of [source, target]) {
      // The request under way is one of the source's own streams.
      if (this.#circuitsOf(peer) - (peer === source ? 1 : 0) >= maxCircuitsPerPeer) {
        const text = `peer ${peer.toString()} has ${maxCircuitsPerPeer} connections through this relay`
        return { limit: 'max-circuits-per-peer', text }
      }
    }
    const reservation = this.#reservations?.get(target)
    if (reservation !== undefined) {
      const isSpent = this.#options.egressBytes() >= egressBytesPerDay
      reservation.limit = isSpent
        ? { duration: signallingDurationMs, data: BigInt(signallingBytes) }
        : { duration: circuitDurationMs, data: BigInt(circuitBytes) }
    }
    return null
  }

  #circuitsOf(peer: PeerId): number {
    const connections = this.#libp2p?.getConnections(peer) ?? []
    return countStreams(connections, HOP) + countStreams(connections, STOP)
  }

  #addressOf(peer: PeerId): string | null {
    const connection = this.#libp2p?.getConnections(peer)[0]
    return connection === undefined ? null : addressOfConnection(connection)
  }

  #release(peer: PeerId): void {
    const reservation = this.#reservations?.get(peer)
    if (reservation === undefined) return
    reservation.signal.clear()
    this.#reservations?.delete(peer)
  }
}

/** What limits for each address count by; null for loopback. */
export function addressOfConnection(connection: Connection): string | null {
  const host = connection.remoteAddr.getComponents()[0]?.value
  return host === undefined ? null : countedAddress(host)
}

function countStreams(connections: readonly Connection[], protocol: string): number {
  let count = 0
  for (const connection of connections) {
    for (const stream of connection.streams) {
      if (stream.protocol === protocol && stream.status === 'open') count += 1
    }
  }
  return count
}
