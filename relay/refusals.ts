/**
 * Counts refusals by reason and writes the canonical line `PEER_STATUS peer=… reason=…`: the first of a kind at once,
 * the rest of the same second as one line with a count, so that a flood does not fill the log.
 */
import type { RelayLog } from './log.ts'

const WINDOW_MS = 1_000

export class Refusals {
  readonly #log: RelayLog
  readonly #onRefusal: (reason: string) => void
  readonly #windows = new Map<string, { hidden: number; timer: NodeJS.Timeout }>()

  constructor(log: RelayLog, onRefusal: (reason: string) => void = () => undefined) {
    this.#log = log
    this.#onRefusal = onRefusal
  }

  /** `reason` is the name of the limit; `peer` the peer id, or `-` before it is known. */
  note(peer: string, reason: string, text: string): void {
    this.#onRefusal(reason)
    const window = this.#windows.get(reason)
    if (window !== undefined) {
      window.hidden += 1
      return
    }
    this.#log.warn(`PEER_STATUS peer=${peer} reason=${reason}`, { text })
    const timer = setTimeout(() => this.#close(reason), WINDOW_MS)
    timer.unref()
    this.#windows.set(reason, { hidden: 0, timer })
  }

  stop(): void {
    for (const reason of this.#windows.keys()) this.#close(reason)
  }

  #close(reason: string): void {
    const window = this.#windows.get(reason)
    if (window === undefined) return
    clearTimeout(window.timer)
    this.#windows.delete(reason)
    if (window.hidden > 0) this.#log.warn(`PEER_STATUS peer=- reason=${reason}`, { more: window.hidden })
  }
}
