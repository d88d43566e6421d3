/**
 * The developer option `--simulate-speed R`: answers come no sooner than (rows × blocks + what logits cost) ÷ R seconds, one step after
 * another, those of every session paying; the first row of a step counts as one, the others as an eighth, and tokens pass between the
 * parts of a prefill, as they do in the engine. Tabs on one machine share its adapter; this makes their speeds known.
 */
import { MAX_LOGITS_ROWS } from '../../swarm/limits.ts'
import type { StepInput } from '../../swarm/span-runner.ts'

/**
 * Rows of a prompt go through the weights together. What one costs beside a token's: 1/6.8 on the software adapter (227 ms for 128, 12.1
 * ms for one; `docs/engine.md`), less on a GPU. At a full row each, an answer that goes on elsewhere would cost what it had cost.
 */
const FURTHER_ROW = 1 / 8
/** Of a prefill; a submit of the engine takes no longer. Where a token does, a part is as long, or prefills would hardly get on beside tokens. */
const PART_MS = 100

export class Pacer {
  readonly #blockStepsPerSecond: number
  readonly #headSteps: number
  #freeAtMs = 0

  /** `headSteps`: what logits cost, in steps of a block. */
  constructor(blockStepsPerSecond: number, headSteps = 0) {
    this.#blockStepsPerSecond = blockStepsPerSecond
    this.#headSteps = headSteps
  }

  /** Resolves when a step through `blocks` blocks that arrived at `arrivedAtMs` (performance.now) may be answered. */
  async pay({ rows, logits }: Pick<StepInput, 'rows' | 'logits'>, blocks: number, arrivedAtMs: number): Promise<void> {
    const blockSteps = (1 + (rows - 1) * FURTHER_ROW) * blocks + (logits === undefined ? 0 : this.#headSteps)
    const msOf = (steps: number): number => (steps / this.#blockStepsPerSecond) * 1_000
    const ms = msOf(blockSteps)
    const partMs = rows > MAX_LOGITS_ROWS ? Math.max(PART_MS, msOf(blocks)) : ms
    // From the arrival, not from now: a timer that wakes late must not slow a busy tab down.
    let from = arrivedAtMs
    for (let leftMs = ms; leftMs > 0; leftMs -= partMs) {
      from = Math.max(this.#freeAtMs, from) + Math.min(partMs, leftMs)
      this.#freeAtMs = from
      const waitMs = from - performance.now()
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
    }
  }
}
