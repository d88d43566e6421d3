/**
 * `SpanRunner` on WebGPU: sessions, their order and their failures. The compute is in `forward.ts` and `head.ts`. Runs wherever
 * `navigator.gpu` is, normally in a dedicated Worker; the Worker's message passing is not here.
 */
import type { SwarmError } from '../../swarm/errors.ts'
import type { KvFormat, LlamaConfig } from '../../swarm/model/config.ts'
import type { Span } from '../../swarm/span.ts'
import { spanLength } from '../../swarm/span.ts'
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
import { allocating } from '../gpu/buffers.ts'
import type { Gpu } from '../gpu/device.ts'
import { KernelSet, sharedHeadsOf } from '../gpu/kernels/kernel-set.ts'
import type { KernelChoice } from '../gpu/kernels/kernel-choice.ts'
import type { BatchSession, JobPart } from './batch.ts'
import { askedRows, takeLogits } from './batch.ts'
import type { SessionPlan } from './forward.ts'
import { Forward } from './forward.ts'
import { Head } from './head.ts'
import { KeptPrefixes } from './kept-prefixes.ts'
import { KvBudget } from './kv-cache.ts'
import type { KvCache } from './kv-cache.ts'
import { SerialWork } from './serial-work.ts'
import { checkOpening, cutSession, findSession, gpuLost, noLogits } from './session-rules.ts'
import { StepQueue } from './step-queue.ts'
import { calibrate, chooseKernels, type TuningOptions } from './warm-up.ts'
import type { SpanWeights } from './weights.ts'

export interface SpanRunnerOptions {
  /** KV tokens set aside over the whole span, for all sessions together. */
  cacheTokens: number
  /** f32 where it is left out. */
  kv?: KvFormat
  /** What it leaves out is chosen by the kind of adapter. */
  choice?: Partial<KernelChoice>
  /** Null or left out: nothing is timed, `choice` holds. */
  tuning?: TuningOptions | null
  /** Rotary frequencies `[headDim / 2]` in place of the config's: for references that were computed with others. */
  ropeFrequencies?: Float32Array
}

interface Session extends BatchSession {
  cache: KvCache
  plan: SessionPlan
  /** Logits of the session's last step, on the GPU; null for a span without the head. */
  logits: GPUBuffer | null
}

/**
 * Warm when it resolves: pipelines are compiled, every buffer but the sessions' caches is there, and a block was timed. The runner owns the weights
 * from here on, also when this rejects. @throws SwarmError OUT_OF_MEMORY, ADAPTER_TOO_SMALL, BAD_SAFETENSORS (incomplete weights)
 */
export async function createSpanRunner(
  gpu: Gpu,
  config: LlamaConfig,
  weights: SpanWeights,
  options: SpanRunnerOptions,
): Promise<SpanRunner & { readonly choice: KernelChoice }> {
  const parts: { destroy(): void }[] = [weights]
  try {
    weights.finish()
    const sharedHeads = sharedHeadsOf(config.numAttentionHeads / config.numKeyValueHeads)
    const kernels = await KernelSet.create(gpu, { ...options, format: weights.format, sharedHeads })
    parts.push(kernels)
    const { value, ready } = allocating(gpu, 'activations', () => {
      const forward = new Forward(gpu, kernels, config, weights, options)
      parts.push(forward)
      const head = weights.head === null ? null : new Head(gpu, kernels, config, weights)
      if (head !== null) parts.push(head)
      return { forward, head }
    })
    await ready
    const budget = new KvBudget(gpu, config, weights.span, options)
    const warmUp = { gpu, config, budget, span: weights.span, forward: value.forward }
    const formats = { format: weights.format, kv: options.kv ?? 'f32' }
    const { tuning = null } = options
    if (tuning !== null) await chooseKernels(warmUp, formats, tuning)
    await calibrate(warmUp)
    return new GpuSpanRunner(gpu, config, weights.span, { ...value, kernels, budget, parts })
  } catch (error) {
    for (const part of parts) part.destroy()
    throw error
  }
}

interface RunnerParts {
  kernels: KernelSet
  forward: Forward
  head: Head | null
  budget: KvBudget
  /** Everything to destroy. */
  parts: { destroy(): void }[]
}

class GpuSpanRunner implements SpanRunner {
  readonly span: Span
  readonly hasHead: boolean
  readonly #gpu: Gpu
  readonly #config: LlamaConfig
  readonly #kernels: KernelSet
  readonly #forward: Forward
  readonly #head: Head | null
  readonly #budget: KvBudget
  readonly #parts: { destroy(): void }[]
  readonly #sessions = new Map<string, Session>()
  readonly #prefixes = new KeptPrefixes<KvCache>((cache) => cache.free())
  readonly #work = new SerialWork()
  readonly #steps: StepQueue<Session>

  constructor(gpu: Gpu, config: LlamaConfig, span: Span, { kernels, forward, head, budget, parts }: RunnerParts) {
    this.span = span
    this.hasHead = head !== null
    this.#gpu = gpu
    this.#config = config
    this.#kernels = kernels
    this.#forward = forward
    this.#head = head
    this.#budget = budget
    this.#parts = parts
    this.#steps = new StepQueue(this.#work, {
      config,
      sessions: this.#sessions,
      onStart: () => undefined,
      room: (asked, position) => forward.maxRows(position, this.#sessions.size > 1 ? spanLength(asked) : null),
      fit: (position, rows) => forward.fit(position, rows),
      run: (asked, chunk) => this.#runChunk(asked, chunk),
    })
    void gpu.lost.then((reason) => this.#work.stop(gpuLost(`the GPU was lost (${reason})`)))
  }

  get choice(): KernelChoice {
    return this.#kernels.choice
  }

  openSession(request: SessionRequest): Promise<number> {
    return this.#steps.after(request.session, async () => {
      checkOpening(request, this.span, this.#config, this.#sessions)
      const { session, span, maxTokens, prefix = null } = request
      const { cache, tokens } = await this.#prefixes.begin(request, [...this.#sessions.values()], {
        fits: () => this.#budget.fits(span, maxTokens),
        allocate: () => this.#budget.allocate(session, span, maxTokens),
        copy: (from, to, count) => this.#budget.copyRows(from, to, count),
      })
      const head = span.end === this.#config.numHiddenLayers ? this.#head : null
      const { value: logits, ready } = allocating(this.#gpu, 'logits', () => head?.createRow() ?? null)
      const plan = this.#forward.sessionPlan(cache)
      const begun = { length: tokens, begun: tokens, prefix }
      this.#sessions.set(session, { span, maxTokens, ...begun, cache, plan, logits, hasLogits: false })
      try {
        await ready
      } catch (error) {
        this.#close(session)
        throw error
      }
      return tokens
    })
  }

  closeSession(session: string): Promise<void> {
    return this.#steps.after(session, async () => {
      this.#close(session)
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
      if (this.#head !== null && logits !== null && hasLogits) return this.#head.again(logits, request.topK)
      throw noLogits(session)
    })
  }

  status(): RunnerStatus {
    return {
      span: this.span,
      sessions: this.#sessions.size,
      cacheTokensLeft: this.#budget.tokensLeft(this.#prefixes.tokenBlocks),
    }
  }

  async dispose(): Promise<void> {
    this.#work.stop(gpuLost('the tab gave its blocks up'))
    // A step under way ends at its next submit; its buffers are destroyed after it.
    await this.#work.idle()
    for (const session of this.#sessions.keys()) this.#close(session)
    this.#prefixes.clear()
    for (const part of this.#parts.splice(0)) part.destroy()
  }

  async #runChunk(span: Span, chunk: readonly JobPart<Session>[]): Promise<void> {
    const readHidden = span.end !== this.#config.numHiddenLayers
    const parts = chunk.map(({ job, from, rows, position }) => {
      return { plan: job.session.plan, input: job.rows, from, rows, position }
    })
    const hidden = await this.#forward.run(span, parts, {
      readHidden,
      checkStopped: () => this.#work.check(),
      behind: () => this.#runHead(chunk),
    })
    const { hiddenSize: width } = this.#config
    let row = 0
    for (const { job, rows } of chunk) {
      if (hidden !== null) job.hidden?.set(hidden.subarray(row * width, (row + rows) * width), job.done * width)
      row += rows
      job.done += rows
    }
  }

  async #runHead(chunk: readonly JobPart<Session>[]): Promise<void> {
    const asked = askedRows(chunk)
    if (this.#head === null || asked.length === 0) return
    const rows = asked.map(({ job: { session, input }, row }) => {
      // Overwritten from here on, also when the new ones turn out not to be finite.
      session.hasLogits = false
      return { row, keep: session.logits as GPUBuffer, topK: (input.logits as LogitsRequest).topK }
    })
    const results = await this.#head.run(this.#forward.hidden, rows)
    for (const [i, { job }] of asked.entries()) takeLogits(job, results[i] as LogitsRow | SwarmError)
  }

  #close(session: string): void {
    const found = this.#sessions.get(session)
    if (found === undefined) return
    this.#sessions.delete(session)
    found.plan.step.destroy()
    if (found.logits !== null) this.#head?.forget(found.logits)
    found.logits?.destroy()
    this.#prefixes.keep(found)
  }
}
