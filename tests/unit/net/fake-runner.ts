/**
 * A `SpanRunner` with integers in place of a GPU: each block adds its index to every value, the embedding is the token id,
 * and the logits rank ids by the last row's value. It keeps the contract's rules on positions, so that a wrong caller is
 * noticed.
 */
import { SwarmError, toPlainError } from '../../../swarm/errors.ts'
import type {
  LogitsRequest,
  LogitsRow,
  PrefixNames,
  RunnerStatus,
  SessionRequest,
  SpanRunner,
  StepFailure,
  StepInput,
  StepOutput,
} from '../../../swarm/span-runner.ts'
import { blocksOf, containsSpan, type Span } from '../../../swarm/span.ts'

export const FAKE_VOCAB = 1_000

interface Session {
  span: Span
  maxTokens: number
  values: number[]
}

export class FakeRunner implements SpanRunner {
  readonly span: Span
  readonly hasHead: boolean
  readonly batches: StepInput[][] = []
  readonly sessions = new Map<string, Session>()
  /** Set to hold steps back until it resolves. */
  gate: Promise<void> = Promise.resolve()
  /** Set to hold the answer back that a session is open. */
  openGate: Promise<void> = Promise.resolve()
  /** Set to return it in place of every hidden value. */
  poison: number | null = null
  cacheTokens = 10_000
  /** Of every prefix that is named. */
  keptTokens = 0
  readonly prefixes: PrefixNames[] = []
  readonly #hiddenSize: number

  constructor(span: Span, blocks: number, hiddenSize: number) {
    this.span = span
    this.hasHead = span.end === blocks
    this.#hiddenSize = hiddenSize
  }

  async openSession(request: SessionRequest): Promise<number> {
    if (!containsSpan(this.span, request.span)) throw new SwarmError('NO_ROUTE', 'not held')
    if (request.maxTokens > this.status().cacheTokensLeft) {
      throw new SwarmError('CACHE_FULL', `${request.maxTokens} tokens asked, ${this.status().cacheTokensLeft} free`)
    }
    const { prefix } = request
    if (prefix !== undefined) this.prefixes.push(prefix)
    // Whoever names a prefix finds it here, where a test has set that up.
    const values = Array.from({ length: prefix === undefined ? 0 : this.keptTokens }, () => 0)
    this.sessions.set(request.session, { span: request.span, maxTokens: request.maxTokens, values })
    await this.openGate
    return values.length
  }

  async closeSession(session: string): Promise<void> {
    this.sessions.delete(session)
  }

  async truncateSession(session: string, length: number): Promise<void> {
    const state = this.#session(session)
    if (length > state.values.length) throw new SwarmError('WRONG_POSITION', 'longer than committed')
    state.values.length = length
  }

  async step(batch: StepInput[]): Promise<(StepOutput | StepFailure)[]> {
    this.batches.push(batch)
    await this.gate
    return batch.map((input) => this.#run(input))
  }

  async lastLogits(session: string, request: LogitsRequest): Promise<LogitsRow> {
    return logitsOf(this.#session(session).values.at(-1) ?? 0, request)
  }

  status(): RunnerStatus {
    const used = [...this.sessions.values()].reduce((sum, { maxTokens }) => sum + maxTokens, 0)
    return { span: this.span, sessions: this.sessions.size, cacheTokensLeft: this.cacheTokens - used }
  }

  async dispose(): Promise<void> {
    this.sessions.clear()
  }

  #session(id: string): Session {
    const state = this.sessions.get(id)
    if (state === undefined) throw new SwarmError('NO_SESSION', `session ${id} is not open`)
    return state
  }

  #run(input: StepInput): StepOutput | StepFailure {
    const { session, position, rows, cut } = input
    try {
      const state = this.#session(session)
      if (cut === true && position < state.values.length) state.values.length = position
      if (position !== state.values.length) throw new SwarmError('WRONG_POSITION', `at ${state.values.length}`)
      const width = this.#hiddenSize
      const sum = blocksOf(state.span).reduce((total, block) => total + block, 0)
      const input2 =
        input.hidden ??
        Float32Array.from({ length: rows * width }, (_, i) => input.tokens?.[Math.floor(i / width)] ?? 0)
      const hidden = input2.map((value) => this.poison ?? value + sum)
      for (let row = 0; row < rows; row += 1) state.values.push(hidden[row * width] ?? 0)
      const base = { session, position, rows, computeMs: 1 }
      const endsHere = this.hasHead && state.span.end === this.span.end
      if (!endsHere) return { ...base, hidden }
      const { logits: asked } = input
      if (asked === undefined) return base
      const found = Array.from({ length: asked.rows ?? 1 }, (_, i) => {
        return logitsOf(hidden[(rows - (asked.rows ?? 1) + i) * width] ?? 0, asked)
      })
      const logits = found.pop() as LogitsRow
      return { ...base, logits, ...(found.length === 0 ? {} : { earlierLogits: found }) }
    } catch (error) {
      return { session, position, error: toPlainError(error) }
    }
  }
}

/** The best id is the value itself, then the next higher ones. */
export function logitsOf(value: number, request: LogitsRequest): LogitsRow {
  const k = request.topK === 0 ? FAKE_VOCAB : request.topK
  return {
    ids: Uint32Array.from({ length: k }, (_, i) => (value + i) % FAKE_VOCAB),
    values: Float32Array.from({ length: k }, (_, i) => 10 - i * 0.01),
    logSumExp: 12,
    vocabSize: FAKE_VOCAB,
  }
}
