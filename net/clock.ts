/**
 * The clock corrected by the relays: every relay's hello gives an offset, the middle one counts, so that one relay with a
 * wrong clock does not carry the swarm away. Without a relay it is the local clock. Clocks ten minutes off do not matter.
 */
export class CorrectedClock {
  readonly #offsets = new Map<string, number>()
  #offsetMs = 0

  now(): number {
    return Date.now() + this.#offsetMs
  }

  /** What was taken for the difference to the swarm's time, ms. */
  get offsetMs(): number {
    return this.#offsetMs
  }

  /** `relayTime` was read at the relay about half of `roundTripMs` ago. */
  sample(relay: string, relayTime: number, roundTripMs: number): void {
    this.#offsets.set(relay, relayTime + roundTripMs / 2 - Date.now())
    const sorted = [...this.#offsets.values()].toSorted((a, b) => a - b)
    this.#offsetMs = Math.round(sorted[Math.floor((sorted.length - 1) / 2)] ?? 0)
  }
}
