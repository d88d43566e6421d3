/**
 * `SpanRunner`: the boundary between the network and the compute. Behind it a Worker owns the GPU, the weights of one
 * span and the KV caches; in front of it `net/serve` owns streams and sessions. Tests put a fake or the plain reference
 * engine behind it. All methods may be called from the page's main thread; buffers are transferred, never shared.
 *
 * Order: what concerns one session is done in the order in which it was given. A batch may hold steps of several sessions. Calls may
 * overlap: rows of other sessions pass between the chunks of a long step.
 * Ownership: input arrays belong to the runner after the call; output arrays belong to the caller.
 */
import type { Span } from './span.ts'

export interface StepInput {
  /** 32 hex digits. */
  session: string
  /** Index of the first new token; must equal the session's committed length, or with `cut` be at most that. */
  position: number
  /** Tokens from `position` on are forgotten first: guesses of the step before that were wrong. */
  cut?: true
  /** Number of new tokens T, 1..MAX_STEP_ROWS. */
  rows: number
  /** Token ids `[T]`, for the runner whose session span starts at block 0. */
  tokens?: Uint32Array
  /** Hidden states `[T, hiddenSize]` row-major f32, for every other runner. */
  hidden?: Float32Array
  /** Asked of the last hop: logits of the last row or rows. Without it a last hop returns nothing but `computeMs` (prefill chunks before the last). */
  logits?: LogitsRequest
}

export interface LogitsRequest {
  /** The best `topK` logits come back; 0 asks for the whole row. */
  topK: number
  /** Of how many rows, the step's last ones: 1 where it is left out, at most MAX_LOGITS_ROWS. Of several not more than MAX_TOP_K each. */
  rows?: number
}

export interface StepOutput {
  session: string
  position: number
  rows: number
  /** Hidden states `[T, hiddenSize]` f32 after the session span's last block; absent when the span ends with the head. */
  hidden?: Float32Array
  /** Of the last row. */
  logits?: LogitsRow
  /** Of the rows before it, in order, where more than one was asked for. */
  earlierLogits?: LogitsRow[]
  /** Time on the device for the chunks this step was in, others' rows in them included, milliseconds. */
  computeMs: number
}

/** Best logits of one row, best first, ties to the lower id. */
export interface LogitsRow {
  ids: Uint32Array
  values: Float32Array
  /** log Σ exp(logit) over the whole vocabulary. */
  logSumExp: number
  vocabSize: number
}

export interface SessionRequest {
  session: string
  /** The part of the runner's span that this session runs. */
  span: Span
  /** KV cache set aside at once, in tokens. */
  maxTokens: number
  /** The session's first tokens by name, so that it may begin with rows that another one left. */
  prefix?: PrefixNames
}

/** Equal names under the same owner and source stand for the same first tokens, run in the same way before they come here. */
export interface PrefixNames {
  /** Peer id of the requesting peer: only its own sessions share. */
  owner: string
  /** Names the hops before this one. */
  source: string
  /** Tokens from name to name. */
  stride: number
  /** Name i stands for the first `(i + 1) · stride` tokens. */
  names: readonly string[]
}

export interface RunnerStatus {
  span: Span
  sessions: number
  /** KV tokens still free for new sessions over the whole span, those included that are only kept for prefixes. */
  cacheTokensLeft: number
}

export interface SpanRunner {
  readonly span: Span
  /** Whether the runner holds norm and output projection (its span ends at the last block). */
  readonly hasHead: boolean
  /**
   * Sets KV cache aside. Resolves with the number of tokens that the session begins with: those of the longest named prefix whose
   * rows are there, else 0. @throws SwarmError CACHE_FULL, NO_ROUTE (span not held)
   */
  openSession(request: SessionRequest): Promise<number>
  /** Frees the session's cache, or keeps it for a prefix until somebody needs the room; unknown sessions are ignored. */
  closeSession(session: string): Promise<void>
  /** Forgets tokens from `length` on: the next step's position is `length`. @throws SwarmError WRONG_POSITION when longer than committed */
  truncateSession(session: string, length: number): Promise<void>
  /**
   * Runs one batch. One output for each input, same order. An input that fails (wrong position, not finite, unknown
   * session) gives a `StepFailure` in its place and leaves its session as it was; the others are not touched by it.
   */
  step(batch: StepInput[]): Promise<(StepOutput | StepFailure)[]>
  /** The best `topK` logits of the last row of the session's last step again, without running it again. */
  lastLogits(session: string, request: LogitsRequest): Promise<LogitsRow>
  status(): RunnerStatus
  /** Frees everything; pending steps reject with GPU_LOST. */
  dispose(): Promise<void>
}

export interface StepFailure {
  session: string
  position: number
  error: import('./errors.ts').PlainError
}
