/**
 * KV caches within a budget. A session's cache is set aside in full when it opens, so that a running answer is never refused
 * memory.
 */
import type { KvFormat, LlamaConfig } from '../../swarm/model/config.ts'
import { kvBytesPerToken } from '../../swarm/model/span-bytes.ts'
import type { Span } from '../../swarm/span.ts'
import { spanLength } from '../../swarm/span.ts'
import { allocating, storageBuffer } from '../gpu/buffers.ts'
import type { Gpu } from '../gpu/device.ts'
import type { KvBuffers } from '../gpu/kernels/attention.ts'
import { TokenBudget } from './token-budget.ts'

export interface KvCache {
  /** One pair for each block of the session's span. */
  blocks: KvBuffers[]
  /** Frees the buffers and gives the tokens back to the budget; once. */
  free(): void
}

export interface KvBudgetOptions {
  /** Over the whole span. */
  cacheTokens: number
  kv?: KvFormat
}

export class KvBudget {
  readonly #gpu: Gpu
  readonly #bytesPerToken: number
  readonly #budget: TokenBudget

  constructor(gpu: Gpu, config: LlamaConfig, span: Span, { cacheTokens, kv = 'f32' }: KvBudgetOptions) {
    this.#gpu = gpu
    this.#bytesPerToken = kvBytesPerToken(config, kv)
    this.#budget = new TokenBudget(span, cacheTokens)
  }

  /** Tokens that a new session over the whole span could still have, `given` token-blocks of others included. */
  tokensLeft(given: number): number {
    return this.#budget.tokensLeft(given)
  }

  fits(span: Span, maxTokens: number): boolean {
    return this.#budget.fits(span, maxTokens)
  }

  /** The first `tokens` rows of a cache of the same blocks; for what is submitted after this call. */
  copyRows(from: KvCache, to: KvCache, tokens: number): void {
    const { device } = this.#gpu
    const bytes = (tokens * this.#bytesPerToken) / 2
    const encoder = device.createCommandEncoder({ label: 'prefix' })
    for (const [i, source] of from.blocks.entries()) {
      const target = to.blocks[i] as KvBuffers
      encoder.copyBufferToBuffer(source.k, 0, target.k, 0, bytes)
      encoder.copyBufferToBuffer(source.v, 0, target.v, 0, bytes)
    }
    device.queue.submit([encoder.finish()])
  }

  /** @throws SwarmError CACHE_FULL (budget), OUT_OF_MEMORY (adapter) */
  async allocate(session: string, span: Span, maxTokens: number): Promise<KvCache> {
    // Taken before the first await: two openings at once must not share what is left.
    const giveBack = this.#budget.take(span, maxTokens)
    const made: GPUBuffer[] = []
    const free = (): void => {
      for (const buffer of made.splice(0)) buffer.destroy()
      giveBack()
    }
    const bytes = (maxTokens * this.#bytesPerToken) / 2
    const make = (label: string): GPUBuffer => {
      const buffer = storageBuffer(this.#gpu, `${label} ${session}`, bytes)
      made.push(buffer)
      return buffer
    }
    try {
      const { value, ready } = allocating(this.#gpu, `a KV cache of ${maxTokens} tokens`, () =>
        Array.from({ length: spanLength(span) }, () => ({ k: make('k'), v: make('v') })),
      )
      await ready
      return { blocks: value, free }
    } catch (error) {
      free()
      throw error
    }
  }
}
