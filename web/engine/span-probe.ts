/** Runs rows through the first blocks of a span in a cache of its own, to time them and to compare bits, before there are sessions. */
import type { LlamaConfig } from '../../swarm/model/config.ts'
import type { Span } from '../../swarm/span.ts'
import type { Forward, SessionPlan } from './forward.ts'
import type { KvBudget, KvCache } from './kv-cache.ts'

export interface ProbeOptions {
  forward: Forward
  config: LlamaConfig
  budget: KvBudget
  /** The first blocks of the weights' span. */
  span: Span
  /** That the cache has room for. */
  tokens: number
}

export class SpanProbe {
  readonly tokens: number
  readonly #forward: Forward
  readonly #config: LlamaConfig
  readonly #span: Span
  readonly #cache: KvCache
  readonly #plan: SessionPlan

  private constructor({ forward, config, span, tokens }: ProbeOptions, cache: KvCache) {
    this.tokens = tokens
    this.#forward = forward
    this.#config = config
    this.#span = span
    this.#cache = cache
    this.#plan = forward.sessionPlan(cache)
  }

  /** @throws SwarmError CACHE_FULL, OUT_OF_MEMORY */
  static async open(options: ProbeOptions): Promise<SpanProbe> {
    return new SpanProbe(options, await options.budget.allocate('timing', options.span, options.tokens))
  }

  /** Milliseconds. */
  async time(rows: number, position: number): Promise<number> {
    const started = performance.now()
    await this.#run(rows, position, false)
    return performance.now() - started
  }

  /** `[rows, hiddenSize]` behind the blocks. */
  async outcome(rows: number, position: number): Promise<Float32Array> {
    return (await this.#run(rows, position, true)) ?? new Float32Array(0)
  }

  close(): void {
    this.#plan.step.destroy()
    this.#cache.free()
  }

  #run(rows: number, position: number, readHidden: boolean): Promise<Float32Array | null> {
    const { hiddenSize, vocabSize } = this.#config
    const input =
      this.#span.start === 0
        ? { tokens: Uint32Array.from({ length: rows }, (_, i) => ((position + i) * 7 + 1) % vocabSize) }
        : { hidden: Float32Array.from({ length: rows * hiddenSize }, (_, i) => Math.sin(position + i)) }
    return this.#forward.run(this.#span, [{ plan: this.#plan, input, from: 0, rows, position }], {
      readHidden,
      checkStopped: () => undefined,
    })
  }
}
