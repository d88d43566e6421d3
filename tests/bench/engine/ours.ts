/** Our two engines over the same random block: steps at any position, without the tokens before it having been computed. */
import type { SpanRunner, StepInput } from '../../../swarm/span-runner.ts'
import type { LlamaConfig } from '../../../swarm/model/config.ts'
import type { RunnerNews } from '../../../web/donor/worker-handler.ts'
import { Forward, type SessionPlan } from '../../../web/engine/forward.ts'
import { KvBudget, type KvCache } from '../../../web/engine/kv-cache.ts'
import { SpanWeights } from '../../../web/engine/weights.ts'
import type { Gpu } from '../../../web/gpu/device.ts'
import type { KernelChoice } from '../../../web/gpu/kernels/kernel-choice.ts'
import { KernelSet, sharedHeadsOf } from '../../../web/gpu/kernels/kernel-set.ts'
import { ok } from '../../support/span-chain.ts'
import { FIRST_BLOCK, putBlocks, randomValues, type BenchFormat, type BlockTensors } from './block-model.ts'

/** As many as onnxruntime gets. */
export const THREADS = 2

/** A warning would be of fewer threads, and its figures of something else. */
export const STRICT: RunnerNews = {
  warn: (warning) => {
    throw new Error(warning)
  },
  note: () => undefined,
  tuned: () => undefined,
}

export interface OursOptions {
  config: LlamaConfig
  tensors: BlockTensors
  format: BenchFormat
  blocks: number
  sessions: number
  /** Of each session. */
  maxTokens: number
  /** Of WGSL; what it leaves out is chosen by the kind of adapter. */
  choice?: Partial<KernelChoice>
}

/** One engine, whichever. */
export interface Ours {
  /** `x` `[rows, hiddenSize]` for as many sessions from `first` on, all at `position`; their hidden states after the blocks. */
  step(xs: readonly Float32Array[], position: number, first?: number): Promise<Float32Array[]>
  dispose(): Promise<void>
}

/** The caches are zeros where nothing was computed: that changes no time. */
export class OurGpu implements Ours {
  readonly kernels: KernelSet
  readonly weights: SpanWeights
  readonly forward: Forward
  readonly caches: KvCache[]
  readonly plans: SessionPlan[]
  readonly #config: LlamaConfig

  private constructor(
    config: LlamaConfig,
    kernels: KernelSet,
    weights: SpanWeights,
    forward: Forward,
    caches: KvCache[],
  ) {
    this.#config = config
    this.kernels = kernels
    this.weights = weights
    this.forward = forward
    this.caches = caches
    this.plans = caches.map((cache) => forward.sessionPlan(cache))
  }

  static async create(gpu: Gpu, options: OursOptions): Promise<OurGpu> {
    const { config, tensors, format, blocks, sessions, maxTokens, choice = {} } = options
    const span = { start: FIRST_BLOCK, end: FIRST_BLOCK + blocks }
    const weights = SpanWeights.create(gpu, config, span, format)
    await putBlocks(weights, config, tensors, blocks)
    weights.finish()
    const sharedHeads = sharedHeadsOf(config.numAttentionHeads / config.numKeyValueHeads)
    const kernels = await KernelSet.create(gpu, { format, sharedHeads, choice })
    const cacheTokens = sessions * maxTokens
    const forward = new Forward(gpu, kernels, config, weights, { cacheTokens })
    const budget = new KvBudget(gpu, config, span, { cacheTokens })
    const caches: KvCache[] = []
    for (let i = 0; i < sessions; i += 1) caches.push(await budget.allocate(String(i), span, maxTokens))
    return new OurGpu(config, kernels, weights, forward, caches)
  }

  async step(xs: readonly Float32Array[], position: number, first = 0): Promise<Float32Array[]> {
    const { hiddenSize: width } = this.#config
    const outs = xs.map((x) => new Float32Array(x.length))
    const rowsOf = xs.map((x) => x.length / width)
    for (let done = 0; done < rowsOf[0]!;) {
      const rows = Math.min(rowsOf[0]! - done, Math.floor(this.forward.maxRows(position + done, null) / xs.length))
      const parts = xs.map((hidden, i) => {
        return { plan: this.plans[first + i]!, input: { hidden }, from: done, rows, position: position + done }
      })
      const run = { readHidden: true, checkStopped: () => undefined }
      const hidden = (await this.forward.run(this.weights.span, parts, run))!
      outs.forEach((out, i) => out.set(hidden.subarray(i * rows * width, (i + 1) * rows * width), done * width))
      done += rows
    }
    return outs
  }

  async dispose(): Promise<void> {
    for (const plan of this.plans) plan.step.destroy()
    for (const cache of this.caches) cache.free()
    for (const part of [this.forward, this.kernels, this.weights]) part.destroy()
  }
}

export class OurWasm implements Ours {
  readonly #runner: SpanRunner
  readonly #config: LlamaConfig
  /** Committed tokens of each session. */
  readonly #lengths: number[]

  private constructor(runner: SpanRunner, config: LlamaConfig, sessions: number) {
    this.#runner = runner
    this.#config = config
    this.#lengths = Array.from({ length: sessions }, () => 0)
  }

  static async create(options: OursOptions): Promise<OurWasm> {
    const { config, tensors, format, blocks, sessions, maxTokens } = options
    const span = { start: FIRST_BLOCK, end: FIRST_BLOCK + blocks }
    // With the threads of a real tab; loaded here, because only a browser has such Workers.
    const { openWasmCompute } = await import('../../../web/donor/wasm-compute.ts')
    const compute = await openWasmCompute('asked', THREADS)
    const weights = await compute.createWeights(config, span, format)
    await putBlocks(weights, config, tensors, blocks)
    const runner = await compute.createRunner(
      config,
      weights,
      { cacheTokens: sessions * maxTokens, kv: 'f32', autotune: 'off' },
      STRICT,
    )
    for (let i = 0; i < sessions; i += 1) await runner.openSession({ session: idOf(i), span, maxTokens })
    return new OurWasm(runner, config, sessions)
  }

  /** Fills the cache of each session up to its length of tokens. */
  async fill(lengths: readonly number[]): Promise<void> {
    for (const [session, length] of lengths.entries()) {
      for (let at = 0; at < length;) {
        const rows = Math.min(64, length - at)
        await this.step([randomValues(rows * this.#config.hiddenSize, 1, at + session)], at, session)
        at += rows
      }
    }
  }

  async step(xs: readonly Float32Array[], position: number, first = 0): Promise<Float32Array[]> {
    const batch: StepInput[] = []
    for (const [index, x] of xs.entries()) {
      const i = first + index
      if (this.#lengths[i] !== position) await this.#runner.truncateSession(idOf(i), position)
      batch.push({ session: idOf(i), position, rows: x.length / this.#config.hiddenSize, hidden: x })
    }
    const outs = (await this.#runner.step(batch)).map(ok)
    outs.forEach(({ rows }, i) => (this.#lengths[first + i] = position + rows))
    return outs.map(({ hidden }) => hidden!)
  }

  dispose(): Promise<void> {
    return this.#runner.dispose()
  }
}

const idOf = (index: number): string => index.toString(16).padStart(32, '0')
