/**
 * Two timers for a machine that is busy. Our own event loop may stand still for seconds (a page that lays out, a process
 * that computes): what the other side said meanwhile waits unread, and timers come before it is read.
 */

const SLICE_MS = 50
/** A slice that took this many times as long was not spent waiting: the loop stood still. */
const STALL_FACTOR = 2
/** However busy we are, an end comes. */
const MAX_STRETCH = 5

/** A hidden page's timers come once a second, whatever they ask for: that is no standing still. */
const HIDDEN_GRAIN_MS = 1_000

/** How late a timer may come without our own loop having stood still. */
export function timerGrainMs(): number {
  return typeof document !== 'undefined' && document.hidden ? HIDDEN_GRAIN_MS : 0
}

/** Calls `onTime` after `ms` in which this side really waited, at the latest after MAX_STRETCH times that. */
export function afterWaiting(ms: number, onTime: () => void): { cancel: () => void } {
  const startedAt = performance.now()
  let waitedMs = 0
  let sliceAt = startedAt
  let timer = setTimeout(look, Math.min(ms, SLICE_MS))
  function look(): void {
    const now = performance.now()
    const sliceMs = now - sliceAt
    sliceAt = now
    if (sliceMs < SLICE_MS * STALL_FACTOR + timerGrainMs()) waitedMs += sliceMs
    // A timer may come a fraction of a millisecond early.
    const leftMs = ms - waitedMs
    if (leftMs < 1 || now - startedAt > ms * MAX_STRETCH) onTime()
    else timer = setTimeout(look, Math.min(leftMs, SLICE_MS))
  }
  return { cancel: () => clearTimeout(timer) }
}

/** Aborts after `quietMs` without `progress`, or after `totalMs`. To be stopped when what it guards is over. */
export class ProgressDeadline {
  readonly #controller = new AbortController()
  readonly #quietMs: number
  readonly #total: ReturnType<typeof setTimeout>
  #quiet: ReturnType<typeof setTimeout>
  #isOver = false
  #reason: string | null = null

  constructor(quietMs: number, totalMs: number) {
    this.#quietMs = quietMs
    this.#quiet = setTimeout(() => this.#abort(`no progress for ${quietMs} ms`), quietMs)
    this.#total = setTimeout(() => this.#abort(`not done after ${totalMs} ms`), totalMs)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Why it aborted; null while it has not. */
  get reason(): string | null {
    return this.#reason
  }

  progress(): void {
    if (this.#isOver) return
    clearTimeout(this.#quiet)
    this.#quiet = setTimeout(() => this.#abort(`no progress for ${this.#quietMs} ms`), this.#quietMs)
  }

  stop(): void {
    this.#isOver = true
    clearTimeout(this.#quiet)
    clearTimeout(this.#total)
  }

  #abort(reason: string): void {
    this.stop()
    this.#reason = reason
    this.#controller.abort(new Error(reason))
  }
}
