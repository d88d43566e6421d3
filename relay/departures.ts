/**
 * When to say that a peer is gone. A relay knows that its own connection to a peer ended; the peer may still be connected
 * to another relay of the swarm. So a peer whose record names a relay that we are linked with is reported gone only when
 * that relay has said so too. Bookkeeping only; no network.
 */
export interface DepartureView {
  isConnected: (peerId: string) => boolean
  /** Peer ids of the relays named by the peer's record. */
  relaysOf: (peerId: string) => readonly string[]
  isLinked: (relayId: string) => boolean
}

export class Departures {
  readonly #view: DepartureView
  /** By peer: relays that have reported it gone since its last record. */
  readonly #reports = new Map<string, Set<string>>()

  constructor(view: DepartureView) {
    this.#view = view
  }

  /** Our own connection to the peer ended. Whether it is gone for the swarm. */
  onDisconnect(peerId: string): boolean {
    return this.#isGone(peerId)
  }

  /** A linked relay reports that its connection to the peer ended. Whether it is gone for the swarm. */
  onReport(peerId: string, relayId: string): boolean {
    const relays = this.#view.relaysOf(peerId)
    // While a relay that holds the peer is linked, only it can report. Others hand on what they heard from further away.
    if (!relays.includes(relayId) && relays.some((id) => this.#view.isLinked(id))) return false
    const reports = this.#reports.get(peerId) ?? new Set()
    this.#reports.set(peerId, reports.add(relayId))
    return this.#isGone(peerId)
  }

  /** The peer published again, so it lives. */
  onRecord(peerId: string): void {
    this.#reports.delete(peerId)
  }

  #isGone(peerId: string): boolean {
    if (this.#view.isConnected(peerId)) return false
    const reports = this.#reports.get(peerId)
    const holders = this.#view.relaysOf(peerId).filter((id) => this.#view.isLinked(id))
    return holders.every((id) => reports?.has(id) === true)
  }
}
