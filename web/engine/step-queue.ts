/**
 * The steps of all sessions of a runner, whichever calls they came in, chunk by chunk: between two chunks of a long prefill others'
 * rows join, sessions open, are cut and close. What concerns one session keeps the order in which it was given. Knows no backend.
 */
import type { SwarmError } from '../../swarm/errors.ts'
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { sameSpan, type Span } from '../../swarm/span.ts'
import type { StepFailure, StepInput, StepOutput } from '../../swarm/span-runner.ts'
import { commit, makeJob, nextChunk, type BatchSession, type Job, type JobPart } from './batch.ts'
import type { SerialWork } from './serial-work.ts'
import { failureOf } from './step-checks.ts'

export interface ChunkRunner<S extends BatchSession> {
  readonly config: LlamaConfig
  readonly sessions: ReadonlyMap<string, S>
  /** Rows are waiting where there were none. */
  onStart: () => void
  /** Rows that the next chunk may have together; `position`: the farthest of its first ones. */
  room: (span: Span, position: number) => number
  /** How many of a session's rows at a position may be in one chunk, at least one. */
  fit: (position: number, rows: number) => number
  /** Runs rows of sessions with that span; hidden states and logits go into their jobs, and `done` grows. */
  run: (span: Span, chunk: readonly JobPart<S>[]) => Promise<void>
}

interface Given {
  input: StepInput
  resolve: (result: StepOutput | StepFailure) => void
  reject: (error: unknown) => void
}

interface Running<S extends BatchSession> extends Given {
  job: Job<S>
  computeMs: number
}

/** What a session was last given. */
interface Last {
  settled: Promise<unknown>
  /** What steps behind it wait for; null: they go to the queue at once. */
  gate: Promise<unknown> | null
}

export class StepQueue<S extends BatchSession> {
  readonly #work: SerialWork
  readonly #runner: ChunkRunner<S>
  readonly #last = new Map<string, Last>()
  #waiting: Given[] = []
  #running: Running<S>[] = []
  #isDriven = false

  constructor(work: SerialWork, runner: ChunkRunner<S>) {
    this.#work = work
    this.#runner = runner
  }

  /** @throws SwarmError what the work was stopped with, and what no input is to blame for */
  step(batch: readonly StepInput[]): Promise<(StepOutput | StepFailure)[]> {
    if (batch.length === 0) return this.#work.run(async () => [])
    return this.#work.orStopped(Promise.all(batch.map((input) => this.#give(input))))
  }

  /** After everything that the session was given before, between two chunks. @throws what `work` does */
  after<T>(session: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(session)
    const result = before === undefined ? this.#work.run(work) : before.settled.then(() => this.#work.run(work))
    this.#remember(session, result, (settled) => settled)
    return this.#work.orStopped(result)
  }

  #give(input: StepInput): Promise<StepOutput | StepFailure> {
    const gate = this.#last.get(input.session)?.gate ?? null
    const given = new Promise<StepOutput | StepFailure>((resolve, reject) => {
      const put = (): void => {
        this.#waiting.push({ input, resolve, reject })
        if (!this.#isDriven) void this.#drive()
      }
      if (gate === null) put()
      else void gate.then(put)
    })
    this.#remember(input.session, given, () => gate)
    return given
  }

  #remember(
    session: string,
    given: Promise<unknown>,
    gateOf: (settled: Promise<unknown>) => Promise<unknown> | null,
  ): void {
    const settled = given.then(
      () => undefined,
      () => undefined,
    )
    const last: Last = { settled, gate: gateOf(settled) }
    this.#last.set(session, last)
    void settled.then(() => {
      if (this.#last.get(session) === last) this.#last.delete(session)
    })
  }

  async #drive(): Promise<void> {
    this.#isDriven = true
    this.#runner.onStart()
    while (this.#waiting.length + this.#running.length > 0) {
      try {
        await this.#work.run(() => this.#runChunk())
      } catch (error) {
        for (const { reject } of [...this.#running.splice(0), ...this.#waiting.splice(0)]) reject(error)
      }
    }
    this.#isDriven = false
  }

  async #runChunk(): Promise<void> {
    this.#admit()
    const first = this.#running[0]
    if (first === undefined) return
    const { span } = first.job.session
    const together = this.#running.filter(({ job }) => sameSpan(job.session.span, span))
    const position = Math.max(...together.map(({ job }) => job.input.position + job.done))
    const { room, fit, run } = this.#runner
    const chunk = nextChunk(
      together.map(({ job }) => job),
      room(span, position),
      fit,
    )
    const started = performance.now()
    await run(span, chunk)
    const ms = performance.now() - started
    const jobs = new Set(chunk.map(({ job }) => job))
    const took = this.#running.filter(({ job }) => jobs.has(job))
    // Whoever had no place in this chunk, or has another span, comes first in the next one.
    this.#running = this.#running.filter(({ job }) => !jobs.has(job))
    for (const each of took) {
      each.computeMs += ms
      if (each.job.done < each.job.input.rows) this.#running.push(each)
      else this.#end(each)
    }
  }

  /** At most one step of each session runs; those behind it wait. An input that may not run gets its failure. */
  #admit(): void {
    const busy = new Set(this.#running.map(({ input }) => input.session))
    const { sessions, config } = this.#runner
    const waiting = this.#waiting.splice(0)
    for (const given of waiting) {
      const { input } = given
      if (busy.has(input.session)) {
        this.#waiting.push(given)
        continue
      }
      busy.add(input.session)
      try {
        this.#running.push({ ...given, job: makeJob(input, sessions, config), computeMs: 0 })
      } catch (error) {
        settle(given, () => failureOf(input, error))
      }
    }
  }

  #end(running: Running<S>): void {
    settle(running, () => {
      const result = commit(running.job)
      return 'error' in result ? result : { ...result, computeMs: running.computeMs }
    })
  }
}

/** An error that is no input's own fault is thrown to its caller alone. */
function settle({ resolve, reject }: Given, resultOf: () => StepOutput | StepFailure): void {
  try {
    resolve(resultOf())
  } catch (error) {
    reject(error as SwarmError)
  }
}
