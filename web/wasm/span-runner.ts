/**
 * `SpanRunner` on WebAssembly SIMD, for tabs without a GPU: sessions, batches and their failures. The compute is in `forward.ts` and
 * `head.ts`. Runs in a dedicated Worker, which it keeps busy: between blocks it lets messages in.
 */
import { SwarmError } from '../../swarm/errors.ts'
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { ENGINE_MAX_ROWS, spanBytes } from '../../swarm/model/span-bytes.ts'
import type { Span } from '../../swarm/span.ts'
import { formatSpan } from '../../swarm/span.ts'
import type {
  LogitsRequest,
  LogitsRow,
  RunnerStatus,
  SessionRequest,
  SpanRunner,
  StepFailure,
  StepInput,
  StepOutput,
} from '../../swarm/span-runner.ts'
import type { BatchSession, JobPart } from '../engine/batch.ts'
import { askedRows, takeLogits } from '../engine/batch.ts'
import { KeptPrefixes } from '../engine/kept-prefixes.ts'
import { SerialWork } from '../engine/serial-work.ts'
import { checkOpening, cutSession, findSession, gpuLost, noLogits } from '../engine/session-rules.ts'
import { StepQueue } from '../engine/step-queue.ts'
import { WasmForward } from './forward.ts'
import { WasmHead } from './head.ts'
import { createKernels, type Kernels } from './kernels.ts'
import type { WasmKv } from './kv-arena.ts'
import { KvArena } from './kv-arena.ts'
import { usefulThreads, WasmThreads, type ThreadOptions } from './threads.ts'
import type { WasmWeights } from './weights.ts'

export interface WasmRunnerOptions {
  /** KV tokens set aside over the whole span, for all sessions together. */
  cacheTokens: number
  /** Rotary frequencies `[headDim / 2]` in place of the config's: for references that were computed with others. */
  ropeFrequencies?: Float32Array
  /** For weights in a shared memory. */
  threads?: ThreadOptions
  /** Told at most once, when a thread has died. */
  onLost?: (reason: string) => void
  /** Threads did not start, and the span is computed without them; where it is left out, that is an error. */
  onAlone?: (reason: string) => void
}

/** So long a step may keep the Worker from its messages: pings are answered and a tab that stops is heard. */
const BREATHE_EVERY_MS = 100
/** While others have sessions here, a chunk takes about so long: a token of theirs waits for it. */
const SHARED_CHUNK_MS = 300
/** Fewer hardly shorten the wait, since weights are read for one row as for eight. */
const MIN_SHARED_ROWS = 8

interface Session extends BatchSession {
  cache: WasmKv
  /** Logits of the session's last step; null for a span without the head. */
  logits: Float32Array | null
}

/**
 * Warm when it resolves. The runner owns the weights from here on, also when this rejects.
 * @throws SwarmError OUT_OF_MEMORY, BAD_SAFETENSORS (incomplete weights)
 */
export async function createWasmSpanRunner(
  module: WebAssembly.Module,
  weights: WasmWeights,
  options: WasmRunnerOptions,
): Promise<SpanRunner> {
  weights.finish()
  const { format, memory } = weights
  const threads = await startThreads(module, weights, options)
  const kernels = threads?.kernels ?? (await createKernels(module, memory.memory, format))
  try {
    return makeRunner(weights, options, { kernels, threads })
  } catch (error) {
    threads?.stop()
    throw error
  }
}

function makeRunner(
  weights: WasmWeights,
  options: WasmRunnerOptions,
  { kernels, threads }: { kernels: Kernels; threads: WasmThreads | null },
): SpanRunner {
  const { config, span, format, memory } = weights
  const planned = spanBytes(config, span, format, { cacheTokens: options.cacheTokens, maxRows: ENGINE_MAX_ROWS })
  const arena = new KvArena(memory, config, span, options.cacheTokens)
  const forward = new WasmForward(kernels, weights, options.ropeFrequencies)
  // What the plan leaves over: sessions' own rows of logits are counted in it, and are not in this memory.
  const logitsBytes = (planned.total - memory.bytes) / 2
  const head =
    weights.head === null ? null : new WasmHead(kernels, weights, { unpacked: forward.unpacked, logitsBytes })
  return new WasmSpanRunner(config, span, { arena, forward, head, threads })
}

async function startThreads(
  module: WebAssembly.Module,
  { config, span, format, memory }: WasmWeights,
  { threads, onLost, onAlone }: WasmRunnerOptions,
): Promise<WasmThreads | null> {
  if (threads === undefined || !memory.isShared) return null
  const count = Math.min(threads.count, usefulThreads(config, span, threads.worth))
  if (count < 2) return null
  try {
    const started = await WasmThreads.start(module, memory, { config, format }, { ...threads, count })
    if (onLost !== undefined) void started.lost.then(onLost)
    return started
  } catch (error) {
    // One thread computes the same, more slowly.
    if (!(error instanceof SwarmError) || error.code !== 'GPU_LOST' || onAlone === undefined) throw error
    onAlone(error.message)
    return null
  }
}

interface RunnerParts {
  arena: KvArena
  forward: WasmForward
  head: WasmHead | null
  threads: WasmThreads | null
}

class WasmSpanRunner implements SpanRunner {
  readonly span: Span
  readonly hasHead: boolean
  readonly #config: LlamaConfig
  readonly #sessions = new Map<string, Session>()
  readonly #prefixes = new KeptPrefixes<WasmKv>((cache) => cache.free())
  readonly #work = new SerialWork()
  readonly #steps: StepQueue<Session>
  /** Null once disposed, so that the memory goes. */
  #parts: RunnerParts | null
  #cacheTokensLeft: number
  #breathedAt = 0
  /** Of the last chunk of several rows. */
  #rowMs = 0

  constructor(config: LlamaConfig, span: Span, parts: RunnerParts) {
    this.span = span
    this.hasHead = parts.head !== null
    this.#config = config
    this.#parts = parts
    this.#cacheTokensLeft = parts.arena.tokensLeft(0)
    this.#steps = new StepQueue(this.#work, {
      config,
      sessions: this.#sessions,
      onStart: () => {
        this.#breathedAt = performance.now()
      },
      room: () => (this.#sessions.size > 1 ? this.#sharedRows() : ENGINE_MAX_ROWS),
      fit: (_, rows) => rows,
      run: (asked, chunk) => this.#runChunk(asked, chunk),
    })
  }

  openSession(request: SessionRequest): Promise<number> {
    return this.#steps.after(request.session, async () => {
      checkOpening(request, this.span, this.#config, this.#sessions)
      const { session, span, maxTokens, prefix = null } = request
      const { arena } = this.#whole()
      const { cache, tokens } = await this.#prefixes.begin(request, [...this.#sessions.values()], {
        fits: () => arena.fits(span, maxTokens),
        allocate: () => arena.allocate(span, maxTokens),
        copy: (from, to, count) => arena.copyRows(from, to, count),
      })
      const logits = this.#endsWithHead(span) ? new Float32Array(this.#config.vocabSize) : null
      const begun = { length: tokens, begun: tokens, prefix }
      this.#sessions.set(session, { span, maxTokens, ...begun, cache, logits, hasLogits: false })
      this.#cacheTokensLeft = arena.tokensLeft(this.#prefixes.tokenBlocks)
      return tokens
    })
  }

  closeSession(session: string): Promise<void> {
    return this.#steps.after(session, async () => {
      const closed = this.#sessions.get(session)
      this.#sessions.delete(session)
      if (closed !== undefined) this.#prefixes.keep(closed)
      this.#cacheTokensLeft = this.#whole().arena.tokensLeft(this.#prefixes.tokenBlocks)
    })
  }

  truncateSession(session: string, length: number): Promise<void> {
    return this.#steps.after(session, async () => cutSession(findSession(this.#sessions, session), length))
  }

  step(batch: StepInput[]): Promise<(StepOutput | StepFailure)[]> {
    return this.#steps.step(batch)
  }

  lastLogits(session: string, request: LogitsRequest): Promise<LogitsRow> {
    return this.#steps.after(session, async () => {
      const { logits, hasLogits } = findSession(this.#sessions, session)
      const { head } = this.#whole()
      if (head !== null && logits !== null && hasLogits) return head.again(logits, request.topK)
      throw noLogits(session)
    })
  }

  status(): RunnerStatus {
    return { span: this.span, sessions: this.#sessions.size, cacheTokensLeft: this.#cacheTokensLeft }
  }

  async dispose(): Promise<void> {
    this.#work.stop(gpuLost('the tab gave its blocks up'))
    // A step under way ends at its next breath.
    await this.#work.idle()
    this.#sessions.clear()
    this.#prefixes.clear()
    this.#parts?.threads?.stop()
    this.#parts = null
  }

  async #runChunk(span: Span, chunk: readonly JobPart<Session>[]): Promise<void> {
    const { forward } = this.#whole()
    const started = performance.now()
    const parts = chunk.map(({ job, from, rows, position }) => {
      return { cache: job.session.cache, input: job.rows, from, rows, position }
    })
    await forward.run(span, parts, () => this.#breathe())
    let row = 0
    for (const { job, rows } of chunk) {
      if (job.hidden !== null) {
        job.hidden.set(forward.readHidden(row, rows), job.done * this.#config.hiddenSize)
      }
      row += rows
      job.done += rows
    }
    this.#runHead(chunk)
    if (row > 1) this.#rowMs = (performance.now() - started) / row
  }

  /** Rows of a chunk that others wait for, as fast as the last one was. */
  #sharedRows(): number {
    const rows = Math.floor(SHARED_CHUNK_MS / Math.max(this.#rowMs, 1e-3))
    return Math.max(MIN_SHARED_ROWS, Math.min(ENGINE_MAX_ROWS, rows))
  }

  #runHead(chunk: readonly JobPart<Session>[]): void {
    const { forward, head } = this.#whole()
    if (head === null) return
    const asked = askedRows(chunk)
    for (let begin = 0; begin < asked.length; begin += head.maxRows) {
      const some = asked.slice(begin, begin + head.maxRows)
      head.run(some.map(({ row }) => forward.hiddenRow(row)))
      for (const [i, { job }] of some.entries()) {
        // Overwritten from here on, also when the new ones turn out not to be finite.
        job.session.hasLogits = false
        const keep = job.session.logits as Float32Array
        const { topK } = job.input.logits as LogitsRequest
        takeLogits(
          job,
          valueOrError(() => head.best(i, topK, keep)),
        )
      }
    }
  }

  /** Lets messages in when their turn has come. @throws SwarmError GPU_LOST when one of them disposed of this runner */
  #breathe(): Promise<void> | void {
    this.#work.check()
    if (performance.now() - this.#breathedAt < BREATHE_EVERY_MS) return undefined
    return new Promise<void>((resolve) => setTimeout(resolve, 0)).then(() => {
      this.#breathedAt = performance.now()
      this.#work.check()
    })
  }

  #endsWithHead(span: Span): boolean {
    return this.hasHead && span.end === this.#config.numHiddenLayers
  }

  #whole(): RunnerParts {
    if (this.#parts === null) throw gpuLost(`blocks ${formatSpan(this.span)} were given up`)
    return this.#parts
  }
}

function valueOrError<T>(work: () => T): T | SwarmError {
  try {
    return work()
  } catch (error) {
    if (error instanceof SwarmError) return error
    throw error
  }
}
