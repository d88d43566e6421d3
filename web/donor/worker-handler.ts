/**
 * What the Worker does with a call: opens the GPU, loads spans from file or cache to the GPU, runs steps on them. Two spans
 * may be held at once while a tab moves. The engine and the model files come through `WorkerParts`, so that this runs in
 * tests without a GPU.
 */
import type { AutotuneMode } from '../../swarm/backend.ts'
import { describeError, SwarmError, toPlainError } from '../../swarm/errors.ts'
import type { KvFormat, LlamaConfig, WeightFormat } from '../../swarm/model/config.ts'
import type { TensorSink } from '../../swarm/model/tensors.ts'
import type { SpanRunner } from '../../swarm/span-runner.ts'
import type { Span } from '../../swarm/span.ts'
import { CANARY, CANARY_CACHE_TOKENS, CANARY_SPAN, putCanary, runCanary, type CanaryResult } from '../engine/canary.ts'
import type { SpanProgress } from '../weights/progress.ts'
import {
  transfersOf,
  type AdapterInfo,
  type EngineChoice,
  type FromWorker,
  type LoadInput,
  type ToWorker,
  type WorkerCallMessage,
  type WorkerCalls,
  type WorkerMethod,
} from './worker-messages.ts'

/** Weights of one span on the GPU, being filled. */
export interface WorkerSpan extends TensorSink {
  destroy(): void
}

export interface RunnerOptions {
  cacheTokens: number
  kv: KvFormat
  /** Whether kernels are timed; or a runner whose kernels are to be taken. */
  autotune: AutotuneMode | { like: SpanRunner }
}

export interface RunnerNews {
  warn: (text: string) => void
  note: (text: string) => void
  /** Its kernels were chosen anew. */
  tuned: () => void
}

export interface WorkerGpu<S extends WorkerSpan> {
  readonly adapter: AdapterInfo
  /** Resolves with the reason; never rejects. */
  readonly lost: Promise<string>
  createWeights(config: LlamaConfig, span: Span, format: WeightFormat): S | Promise<S>
  /** Takes the weights over: they are freed with the runner, also when this fails. */
  createRunner(config: LlamaConfig, weights: S, options: RunnerOptions, says: RunnerNews): Promise<SpanRunner>
  measure(runner: SpanRunner, config: LlamaConfig): Promise<{ blockStepsPerSecond: number }>
}

export interface FillOptions {
  input: LoadInput
  sink: TensorSink
  onProgress: (progress: SpanProgress) => void
  onWarning: (text: string) => void
  onFetched: (bytes: number) => void
  signal: AbortSignal
}

export interface WorkerParts<S extends WorkerSpan> {
  openGpu(choice: EngineChoice): Promise<WorkerGpu<S>>
  /** Reads the span's tensors into the sink. Resolves with the number of tensors that hold values that are not finite. */
  fill(options: FillOptions): Promise<number>
}

interface LoadedRunner {
  runner: SpanRunner
  config: LlamaConfig
  format: WeightFormat
  kv: KvFormat
}

type Post = (message: FromWorker, transfers: ArrayBuffer[]) => void

export class WorkerHandler<S extends WorkerSpan> {
  readonly #parts: WorkerParts<S>
  readonly #post: Post
  readonly #runners = new Map<number, LoadedRunner>()
  readonly #loads = new Map<number, AbortController>()
  #gpu: WorkerGpu<S> | null = null
  #fetchedBytes = 0

  constructor(parts: WorkerParts<S>, post: Post) {
    this.#parts = parts
    this.#post = post
  }

  async handle(message: ToWorker): Promise<void> {
    if (message.type === 'cancel') {
      this.#loads.get(message.call)?.abort()
      return
    }
    const { call } = message
    try {
      const result = await this.#run(message)
      this.#post({ type: 'answer', call, result, status: this.#statusFor(message) }, resultTransfers(result))
    } catch (error) {
      this.#post({ type: 'failed', call, error: toPlainError(error), status: this.#statusFor(message) }, [])
    }
  }

  async #run(message: WorkerCallMessage): Promise<WorkerCalls[WorkerMethod]['result']> {
    switch (message.method) {
      case 'open':
        return await this.#open(message.input)
      case 'load':
        return await this.#load(message.call, message.input)
      case 'check':
        return await this.#check(this.#loaded(message.input.runner))
      case 'measure': {
        const { runner, config } = this.#loaded(message.input.runner)
        return await this.#requireGpu().measure(runner, config)
      }
      case 'openSession':
        return await this.#loaded(message.input.runner).runner.openSession(message.input.request)
      case 'closeSession':
        await this.#loaded(message.input.runner).runner.closeSession(message.input.session)
        return null
      case 'truncateSession': {
        const { runner, session, length } = message.input
        await this.#loaded(runner).runner.truncateSession(session, length)
        return null
      }
      case 'step':
        return await this.#loaded(message.input.runner).runner.step(message.input.batch)
      case 'lastLogits':
        return await this.#loaded(message.input.runner).runner.lastLogits(message.input.session, message.input.request)
      case 'dispose': {
        const loaded = this.#runners.get(message.input.runner)
        this.#runners.delete(message.input.runner)
        await loaded?.runner.dispose()
        return null
      }
    }
  }

  async #open(choice: EngineChoice): Promise<AdapterInfo> {
    const gpu = await this.#parts.openGpu(choice)
    this.#gpu = gpu
    void gpu.lost.then((reason) => this.#post({ type: 'lost', reason }, []))
    return gpu.adapter
  }

  async #load(call: number, input: LoadInput): Promise<WorkerCalls['load']['result']> {
    const gpu = this.#requireGpu()
    const aborter = new AbortController()
    this.#loads.set(call, aborter)
    const onWarning = (text: string): void => this.#post({ type: 'warning', text }, [])
    try {
      const weights = await gpu.createWeights(input.config, input.span, input.format)
      let notFinite: number
      try {
        notFinite = await this.#parts.fill({
          input,
          sink: weights,
          onProgress: (progress) => this.#post({ type: 'progress', call, progress }, []),
          onWarning,
          onFetched: (bytes) => {
            this.#fetchedBytes += bytes
            this.#post({ type: 'fetched', bytes: this.#fetchedBytes }, [])
          },
          signal: aborter.signal,
        })
        if (aborter.signal.aborted) throw new SwarmError('CANCELLED', 'loading was cancelled')
      } catch (error) {
        weights.destroy()
        throw error
      }
      let isTuned = false
      const runner = await gpu.createRunner(input.config, weights, input, {
        warn: onWarning,
        note: (text) => this.#post({ type: 'note', text }, []),
        tuned: () => {
          isTuned = true
        },
      })
      this.#runners.set(input.runner, { runner, config: input.config, format: input.format, kv: input.kv })
      return { hasHead: runner.hasHead, notFinite, isTuned }
    } finally {
      this.#loads.delete(call)
    }
  }

  /** By the kernels that the runner runs by. */
  async #check({ runner: checked, format, kv }: LoadedRunner): Promise<CanaryResult> {
    const gpu = this.#requireGpu()
    const weights = await gpu.createWeights(CANARY, CANARY_SPAN, format)
    try {
      await putCanary(weights)
    } catch (error) {
      weights.destroy()
      throw error
    }
    const options = { cacheTokens: CANARY_CACHE_TOKENS, kv, autotune: { like: checked } }
    // What it would say of threads, the runner beside it has said.
    const silent = { warn: () => undefined, note: () => undefined, tuned: () => undefined }
    const runner = await gpu.createRunner(CANARY, weights, options, silent)
    try {
      return await runCanary(runner, format, kv)
    } finally {
      await runner.dispose()
    }
  }

  #loaded(id: number): LoadedRunner {
    const loaded = this.#runners.get(id)
    if (loaded === undefined)
      throw new SwarmError('NO_SESSION', `runner ${id} is not loaded any more`, { retryable: true })
    return loaded
  }

  #requireGpu(): WorkerGpu<S> {
    if (this.#gpu === null) throw new Error('bug: a span is loaded before the GPU was opened')
    return this.#gpu
  }

  #statusFor(message: WorkerCallMessage): ReturnType<SpanRunner['status']> | null {
    if (message.method === 'open') return null
    try {
      return this.#runners.get(message.input.runner)?.runner.status() ?? null
    } catch (error) {
      this.#post({ type: 'warning', text: `a runner has no status: ${describeError(error)}` }, [])
      return null
    }
  }
}

function resultTransfers(result: WorkerCalls[WorkerMethod]['result']): ArrayBuffer[] {
  if (Array.isArray(result)) return transfersOf(result)
  return typeof result === 'object' && result !== null && 'ids' in result ? transfersOf([result]) : []
}
