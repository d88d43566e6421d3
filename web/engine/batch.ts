/** Steps as every backend runs them: which rows are in the next chunk, and what becomes of a session when its rows are through. */
import type { SwarmError } from '../../swarm/errors.ts'
import type { LlamaConfig } from '../../swarm/model/config.ts'
import type { LogitsRow, StepFailure, StepInput, StepOutput } from '../../swarm/span-runner.ts'
import type { PrefixHolder } from './kept-prefixes.ts'
import { cutSession, findSession } from './session-rules.ts'
import type { StepRows } from './step-checks.ts'
import { checkStep, failureOf, refuseNotFinite } from './step-checks.ts'

export interface BatchSession extends PrefixHolder {
  /** Whether the last step asked for logits and nothing was cut since. */
  hasLogits: boolean
}

/** An input that passed its checks. */
export interface Job<S extends BatchSession> {
  input: StepInput
  rows: StepRows
  session: S
  /** Rows that have been run. */
  done: number
  /** `[rows, hiddenSize]`; null where the session ends with the head. */
  hidden: Float32Array | null
  /** Of the rows asked for that have been run, in order. */
  logits: LogitsRow[]
  /** What is wrong with them. */
  failure: SwarmError | null
}

/** Rows of a job within a chunk. */
export interface JobPart<S extends BatchSession> {
  job: Job<S>
  /** First row of the input that is in this chunk. */
  from: number
  rows: number
  /** Of that row. */
  position: number
}

/** An input that may run now: what it forgets is cut. @throws SwarmError what `checkStep` does, NO_SESSION */
export function makeJob<S extends BatchSession>(
  input: StepInput,
  sessions: ReadonlyMap<string, S>,
  config: LlamaConfig,
): Job<S> {
  const session = findSession(sessions, input.session)
  const rows = checkStep(input, session, config)
  if (input.position < session.length) cutSession(session, input.position)
  const endsWithHead = session.span.end === config.numHiddenLayers
  const hidden = endsWithHead ? null : new Float32Array(input.rows * config.hiddenSize)
  return { input, rows, session, done: 0, hidden, logits: [], failure: null }
}

/**
 * The next rows of the jobs, at most `room` together. The fewest come first and each job may have its share of what is left: a token
 * never waits behind a long prefill, which gets what tokens leave. `fit` tells how many of a session's rows at a position may be in
 * one chunk, at least one.
 */
export function nextChunk<S extends BatchSession>(
  jobs: readonly Job<S>[],
  room: number,
  fit: (position: number, rows: number) => number = (_, rows) => rows,
): JobPart<S>[] {
  const chunk: JobPart<S>[] = []
  let left = room
  const fewestFirst = jobs.toSorted((a, b) => a.input.rows - a.done - (b.input.rows - b.done))
  for (const [i, job] of fewestFirst.entries()) {
    const share = Math.ceil(left / (jobs.length - i))
    const wanted = Math.min(share, job.input.rows - job.done)
    if (wanted === 0) continue
    const position = job.input.position + job.done
    const rows = fit(position, wanted)
    chunk.push({ job, from: job.done, rows, position })
    left -= rows
  }
  return chunk
}

/** A row whose logits are asked for. */
export interface AskedRow<S extends BatchSession> {
  job: Job<S>
  /** Among the rows of the chunk. */
  row: number
}

/** In order: the last one of a job comes after its others. */
export function askedRows<S extends BatchSession>(chunk: readonly JobPart<S>[]): AskedRow<S>[] {
  const asked: AskedRow<S>[] = []
  let first = 0
  for (const { job, from, rows } of chunk) {
    const { logits, rows: all } = job.input
    const begin = logits === undefined ? rows : Math.max(0, all - (logits.rows ?? 1) - from)
    for (let row = begin; row < rows; row += 1) asked.push({ job, row: first + row })
    first += rows
  }
  return asked
}

/** Takes what the head gave for a row, rows of a job in their order. */
export function takeLogits<S extends BatchSession>(job: Job<S>, result: LogitsRow | SwarmError): void {
  if ('ids' in result) job.logits.push(result)
  else job.failure ??= result
}

/** The job's output; commits its rows to the session unless what came out is an error or not finite. */
export function commit<S extends BatchSession>({
  input,
  session,
  hidden,
  logits,
  failure,
}: Job<S>): StepOutput | StepFailure {
  const output: StepOutput = { session: input.session, position: input.position, rows: input.rows, computeMs: 0 }
  try {
    if (failure !== null) throw failure
    if (hidden !== null) {
      refuseNotFinite(hidden, `the hidden states after block ${session.span.end - 1}`)
      output.hidden = hidden
    }
  } catch (error) {
    return failureOf(input, error)
  }
  const last = logits.pop()
  if (last !== undefined) output.logits = last
  if (logits.length > 0) output.earlierLogits = logits
  // Committed only now: a failed step leaves the session as it was; what it wrote past its length is overwritten.
  session.length += input.rows
  session.hasLogits = output.logits !== undefined
  return output
}
