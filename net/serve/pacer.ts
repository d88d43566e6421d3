/**
 * The developer option `--simulate-speed R`: answers come no sooner than rows × blocks ÷ R seconds, one step after
 * another, the rows of every session paying. Tabs on one machine share its adapter; this makes their speeds known.
 */
export class Pacer {
  readonly #blockStepsPerSecond: number
  #freeAtMs = 0

  constructor(blockStepsPerSecond: number) {
    this.#blockStepsPerSecond = blockStepsPerSecond
  }

  /** Resolves when a step of `blockSteps` that arrived at `arrivedAtMs` (performance.now) may be answered. */
  async pay(blockSteps: number, arrivedAtMs: number): Promise<void> {
    // From the arrival, not from now: a timer that wakes late must not slow a busy tab down.
    this.#freeAtMs = Math.max(this.#freeAtMs, arrivedAtMs) + (blockSteps / this.#blockStepsPerSecond) * 1_000
    const waitMs = this.#freeAtMs - performance.now()
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
  }
}
