/**
 * The queue in front of one runner. Whatever waits when the runner becomes free is given to it as one batch: at most one
 * step of each session (their order is kept), together at most MAX_STEP_ROWS rows. Tokens do not wait behind a prefill: there are two
 * lanes, and the runner lets the one's rows in between the chunks of the other.
 */
import { SwarmError, toPlainError } from '../../swarm/errors.ts'
import { MAX_LOGITS_ROWS, MAX_STEP_ROWS } from '../../swarm/limits.ts'
import type { SpanRunner, StepFailure, StepInput, StepOutput } from '../../swarm/span-runner.ts'
import type { Pacer } from './pacer.ts'

export interface Job {
  input: StepInput
  /** Blocks that the session runs here. */
  blocks: number
  arrivedAtMs: number
  /** Called once, in the order of the session's steps; must not throw. */
  done: (result: StepOutput | StepFailure) => void
}

type Lane = 'tokens' | 'prefill'
const LANES: readonly Lane[] = ['tokens', 'prefill']

export class Batcher {
  readonly #runner: SpanRunner
  readonly #pacer: Pacer | null
  readonly #queue: Job[] = []
  /** Sessions with a step at the runner. */
  readonly #running = new Set<string>()
  readonly #waiters: { session: string | null; resolve: () => void }[] = []
  readonly #busy = new Set<Lane>()

  constructor(runner: SpanRunner, pacer: Pacer | null) {
    this.#runner = runner
    this.#pacer = pacer
  }

  enqueue(job: Job): void {
    this.#queue.push(job)
    this.#start()
  }

  /** Forgets what has not begun of a session; its `done` is not called. Returns how many steps. */
  drop(session: string): number {
    const before = this.#queue.length
    const kept = this.#queue.filter((job) => job.input.session !== session)
    this.#queue.splice(0, before, ...kept)
    this.#wake()
    return before - kept.length
  }

  /** Resolves when nothing of this session (null: of any) waits or runs. */
  idle(session: string | null): Promise<void> {
    if (this.#isIdle(session)) return Promise.resolve()
    return new Promise((resolve) => this.#waiters.push({ session, resolve }))
  }

  /** Each lane that rests and may have something to do. */
  #start(): void {
    for (const lane of LANES) if (!this.#busy.has(lane)) void this.#run(lane)
  }

  async #run(lane: Lane): Promise<void> {
    this.#busy.add(lane)
    // A moment for steps that arrive in the same turn of the event loop: they share one batch.
    await Promise.resolve()
    for (let batch = this.#take(lane); batch.length > 0; batch = this.#take(lane)) {
      const results = await this.#step(batch)
      for (const [i, job] of batch.entries()) {
        await this.#pacer?.pay(job.input, job.blocks, job.arrivedAtMs)
        this.#running.delete(job.input.session)
        job.done(results[i] ?? missing(job))
      }
      // What waited behind these steps may belong to the other lane.
      if (this.#queue.some((job) => laneOf(job) !== lane)) this.#start()
      this.#wake()
    }
    this.#busy.delete(lane)
    this.#wake()
  }

  async #step(batch: Job[]): Promise<(StepOutput | StepFailure)[]> {
    // `rows` is read again after the call, the arrays are not: they belong to the runner from here on.
    try {
      return await this.#runner.step(batch.map(({ input }) => input))
    } catch (error) {
      const plain = toPlainError(error)
      return batch.map(({ input }) => ({ session: input.session, position: input.position, error: plain }))
    }
  }

  #take(lane: Lane): Job[] {
    const batch: Job[] = []
    const sessions = new Set<string>()
    let rows = 0
    for (const job of this.#queue) {
      const { session, rows: jobRows } = job.input
      if (sessions.has(session) || this.#running.has(session)) continue
      sessions.add(session)
      if (laneOf(job) !== lane || (batch.length > 0 && rows + jobRows > MAX_STEP_ROWS)) continue
      batch.push(job)
      rows += jobRows
    }
    const taken = new Set(batch)
    this.#queue.splice(0, this.#queue.length, ...this.#queue.filter((job) => !taken.has(job)))
    for (const { input } of batch) this.#running.add(input.session)
    return batch
  }

  #isIdle(session: string | null): boolean {
    if (session === null) return this.#busy.size === 0 && this.#queue.length === 0
    return !this.#running.has(session) && !this.#queue.some((job) => job.input.session === session)
  }

  #wake(): void {
    for (const waiter of this.#waiters.splice(0)) {
      if (this.#isIdle(waiter.session)) waiter.resolve()
      else this.#waiters.push(waiter)
    }
  }
}

/** A token, or one with guesses behind it; more rows are a prefill. */
function laneOf({ input }: Job): Lane {
  return input.rows <= MAX_LOGITS_ROWS ? 'tokens' : 'prefill'
}

function missing({ input }: Job): StepFailure {
  const error = new SwarmError('GPU_LOST', 'the runner gave no answer for a step')
  return { session: input.session, position: input.position, error: toPlainError(error) }
}
