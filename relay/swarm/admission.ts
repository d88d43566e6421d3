/**
 * Who may come in: the counters behind the limits on connections. Pure bookkeeping over an injected clock; who is refused
 * and how is said by the transport. Loopback has no counted address and is never limited by address.
 */
import type { RelayLimits } from '../limits.ts'

export interface Refusal {
  /** Name of the limit, as its flag is called. */
  limit: string
  /** For a person; fits into the reason of a WebSocket close (123 bytes). */
  text: string
}

export type AdmissionLimits = Pick<
  RelayLimits,
  | 'maxConnections'
  | 'maxConnectionsPerAddress'
  | 'maxPendingConnections'
  | 'maxPendingConnectionsPerAddress'
  | 'maxJoinsPerSecond'
>

const WINDOW_MS = 1_000
/** Refusals a second that are explained; more than that is a flood and is cut without a word. */
const EXPLAINED_REFUSALS = 20

export class Admission {
  readonly #limits: AdmissionLimits
  readonly #now: () => number
  readonly #joins = new Map<string, number[]>()
  readonly #connectionsOf = new Map<string, number>()
  readonly #pendingOf = new Map<string, number>()
  #connections = 0
  #pending = 0
  #refusals: number[] = []

  constructor(limits: AdmissionLimits, now: () => number = () => performance.now()) {
    this.#limits = limits
    this.#now = now
  }

  get connections(): number {
    return this.#connections
  }

  get pending(): number {
    return this.#pending
  }

  /** `address`: null for loopback. Null when admitted; then `settled` and `left` must follow, with the same address. */
  join(address: string | null): Refusal | null {
    const { maxConnections, maxPendingConnections, maxJoinsPerSecond } = this.#limits
    const { maxConnectionsPerAddress, maxPendingConnectionsPerAddress } = this.#limits
    if (this.#connections >= maxConnections) {
      return { limit: 'max-connections', text: `this relay holds ${maxConnections} connections; try another relay` }
    }
    if (this.#pending >= maxPendingConnections) {
      return { limit: 'max-pending-connections', text: `${maxPendingConnections} others are joining; try again` }
    }
    if (address !== null && countOf(this.#connectionsOf, address) >= maxConnectionsPerAddress) {
      const text = `${maxConnectionsPerAddress} connections from your address; close other tabs or use another relay`
      return { limit: 'max-connections-per-address', text }
    }
    // Else one address that never finishes its handshakes would keep everybody out.
    if (address !== null && countOf(this.#pendingOf, address) >= maxPendingConnectionsPerAddress) {
      const text = `${maxPendingConnectionsPerAddress} others of your address are joining; try again`
      return { limit: 'max-pending-connections-per-address', text }
    }
    if (address !== null && !this.#countJoin(address, maxJoinsPerSecond)) {
      const text = `more than ${maxJoinsPerSecond} joins a second from your address; try again in a second`
      return { limit: 'max-joins-per-second', text }
    }
    this.#connections += 1
    this.#pending += 1
    add(this.#connectionsOf, address, 1)
    add(this.#pendingOf, address, 1)
    return null
  }

  /** The handshake of an admitted connection ended, well or not. */
  settled(address: string | null): void {
    this.#pending -= 1
    add(this.#pendingOf, address, -1)
  }

  /** An admitted connection is gone. */
  left(address: string | null): void {
    this.#connections -= 1
    add(this.#connectionsOf, address, -1)
  }

  /** Whether one more refusal may be explained this second. */
  mayExplain(): boolean {
    const now = this.#now()
    this.#refusals = this.#refusals.filter((at) => now - at < WINDOW_MS)
    if (this.#refusals.length >= EXPLAINED_REFUSALS) return false
    this.#refusals.push(now)
    return true
  }

  #countJoin(address: string, most: number): boolean {
    const now = this.#now()
    if (this.#joins.size > 10_000) this.#forget(now)
    const recent = (this.#joins.get(address) ?? []).filter((at) => now - at < WINDOW_MS)
    const isRoom = recent.length < most
    if (isRoom) recent.push(now)
    this.#joins.set(address, recent)
    return isRoom
  }

  #forget(now: number): void {
    for (const [address, times] of this.#joins) {
      if (times.every((at) => now - at >= WINDOW_MS)) this.#joins.delete(address)
    }
  }
}

function countOf(counts: ReadonlyMap<string, number>, address: string): number {
  return counts.get(address) ?? 0
}

function add(counts: Map<string, number>, address: string | null, by: number): void {
  if (address === null) return
  const count = countOf(counts, address) + by
  if (count > 0) counts.set(address, count)
  else counts.delete(address)
}
