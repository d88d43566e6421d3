/** What a step must fulfil before it may touch the GPU: everything in it may come from a stranger. */
import { SwarmError, toPlainError } from '../../swarm/errors.ts'
import { MAX_LOGITS_ROWS, MAX_STEP_ROWS, MAX_TOP_K } from '../../swarm/limits.ts'
import type { LlamaConfig } from '../../swarm/model/config.ts'
import type { Span } from '../../swarm/span.ts'
import type { LogitsRequest, StepFailure, StepInput } from '../../swarm/span-runner.ts'

/** Exactly one of the two. */
export type StepRows = { tokens: Uint32Array } | { hidden: Float32Array }

export interface SessionLimits {
  span: Span
  maxTokens: number
  /** Committed tokens. */
  length: number
}

/** The step's rows. @throws SwarmError WRONG_POSITION, CACHE_FULL, BAD_FRAME, BAD_TOKEN_ID, NOT_FINITE */
export function checkStep(input: StepInput, session: SessionLimits, config: LlamaConfig): StepRows {
  const { position, rows, cut, logits } = input
  if (!Number.isInteger(rows) || rows < 1 || rows > MAX_STEP_ROWS) {
    throw new SwarmError('BAD_FRAME', `a step of ${rows} rows; 1 to ${MAX_STEP_ROWS} are allowed`)
  }
  if (position !== session.length && !(cut === true && position < session.length)) {
    throw new SwarmError('WRONG_POSITION', `the step is at position ${position}, the session is at ${session.length}`, {
      details: { position, expected: session.length },
    })
  }
  if (position + rows > session.maxTokens) {
    const message = `the step ends at ${position + rows} tokens, the session's cache holds ${session.maxTokens}`
    throw new SwarmError('CACHE_FULL', message, { details: { asked: position + rows, limit: session.maxTokens } })
  }
  if (logits !== undefined && session.span.end !== config.numHiddenLayers) {
    throw new SwarmError('BAD_FRAME', `logits were asked of a session that ends at block ${session.span.end}`)
  }
  if (logits !== undefined) checkLogits(logits, rows)
  return session.span.start === 0 ? { tokens: checkTokens(input, config) } : { hidden: checkHidden(input, config) }
}

function checkLogits({ rows: asked = 1, topK }: LogitsRequest, rows: number): void {
  if (!Number.isInteger(asked) || asked < 1 || asked > Math.min(rows, MAX_LOGITS_ROWS)) {
    const most = Math.min(rows, MAX_LOGITS_ROWS)
    throw new SwarmError(
      'BAD_FRAME',
      `logits of ${asked} rows were asked of a step of ${rows}; 1 to ${most} are allowed`,
    )
  }
  if (asked > 1 && !(topK >= 1 && topK <= MAX_TOP_K)) {
    throw new SwarmError(
      'BAD_FRAME',
      `the best ${topK} logits of several rows were asked; 1 to ${MAX_TOP_K} are allowed`,
    )
  }
}

function checkTokens({ tokens, hidden, rows }: StepInput, config: LlamaConfig): Uint32Array {
  if (tokens === undefined || hidden !== undefined || tokens.length !== rows) {
    throw new SwarmError('BAD_FRAME', `the first span takes ${rows} token ids, got ${tokens?.length ?? 'none'}`)
  }
  const bad = tokens.find((id) => id >= config.vocabSize)
  if (bad === undefined) return tokens
  throw new SwarmError('BAD_TOKEN_ID', `token id ${bad} is not below the vocabulary size ${config.vocabSize}`)
}

function checkHidden({ tokens, hidden, rows }: StepInput, config: LlamaConfig): Float32Array {
  const expected = rows * config.hiddenSize
  if (hidden === undefined || tokens !== undefined || hidden.length !== expected) {
    throw new SwarmError(
      'BAD_FRAME',
      `${rows} rows of hidden states are ${expected} numbers, got ${hidden?.length ?? 'none'}`,
    )
  }
  refuseNotFinite(hidden, 'the hidden states that came in')
  return hidden
}

/** @throws SwarmError NOT_FINITE */
export function refuseNotFinite(values: Float32Array, what: string): void {
  let finite = true
  // A plain loop: `every(Number.isFinite)` takes ten times as long on the millions of values of a long prefill.
  for (const value of values) finite &&= Math.abs(value) < Infinity
  if (finite) return
  const at = values.findIndex((value) => !Number.isFinite(value))
  throw new SwarmError('NOT_FINITE', `${what} hold ${values[at]} at element ${at}`)
}

/** Only what is the input's own fault; anything else is the whole runner's. @throws the error, then */
export function failureOf(input: StepInput, error: unknown): StepFailure {
  if (!(error instanceof SwarmError) || error.code === 'GPU_LOST') throw error
  return { session: input.session, position: input.position, error: toPlainError(error) }
}
