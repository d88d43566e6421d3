/**
 * KV caches in one piece of memory of the size of the whole budget, so that a session that fits the budget always finds room: holes
 * are closed by moving what lies behind them. The counterpart of `engine/kv-cache.ts`.
 */
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { kvBytesPerToken } from '../../swarm/model/span-bytes.ts'
import type { Span } from '../../swarm/span.ts'
import { spanLength } from '../../swarm/span.ts'
import { TokenBudget } from '../engine/token-budget.ts'
import type { WasmMemory } from './memory.ts'

export interface WasmKv {
  readonly span: Span
  readonly maxTokens: number
  /** Where the keys of a block of the session's span are, its values right behind them; not to be kept beyond a step. */
  keysOf(block: number): number
  /** Gives the tokens back to the budget; once. */
  free(): void
}

interface Piece {
  at: number
  bytes: number
}

export class KvArena {
  readonly #memory: WasmMemory
  readonly #bytesPerToken: number
  readonly #kvHeads: number
  readonly #budget: TokenBudget
  readonly #start: number
  readonly #end: number
  /** In the order of their places. */
  #pieces: Piece[] = []

  /** @throws SwarmError OUT_OF_MEMORY */
  constructor(memory: WasmMemory, config: LlamaConfig, span: Span, cacheTokens: number) {
    const bytes = kvBytesPerToken(config, 'f32') * spanLength(span) * cacheTokens
    this.#memory = memory
    this.#bytesPerToken = kvBytesPerToken(config, 'f32')
    this.#kvHeads = config.numKeyValueHeads
    this.#budget = new TokenBudget(span, cacheTokens)
    this.#start = memory.take(`KV caches of ${cacheTokens} tokens`, bytes)
    this.#end = this.#start + bytes
  }

  /** Tokens that a new session over the whole span could still have, `given` token-blocks of others included. */
  tokensLeft(given: number): number {
    return this.#budget.tokensLeft(given)
  }

  fits(span: Span, maxTokens: number): boolean {
    return this.#budget.fits(span, maxTokens)
  }

  /** The first `tokens` rows of a cache of the same blocks. */
  copyRows(from: WasmKv, to: WasmKv, tokens: number): void {
    const all = this.#memory.bytesAt(this.#start, this.#end - this.#start)
    const lists = 2 * this.#kvHeads
    const rowBytes = this.#bytesPerToken / lists
    for (let block = from.span.start; block < from.span.end; block += 1) {
      // A list of rows for each head of the keys, then of the values.
      for (let list = 0; list < lists; list += 1) {
        const source = from.keysOf(block) + list * from.maxTokens * rowBytes - this.#start
        const target = to.keysOf(block) + list * to.maxTokens * rowBytes - this.#start
        all.copyWithin(target, source, source + tokens * rowBytes)
      }
    }
  }

  /** @throws SwarmError CACHE_FULL */
  allocate(span: Span, maxTokens: number): WasmKv {
    const giveBack = this.#budget.take(span, maxTokens)
    const blockBytes = maxTokens * this.#bytesPerToken
    const piece: Piece = { at: this.#roomFor(blockBytes * spanLength(span)), bytes: blockBytes * spanLength(span) }
    this.#pieces.push(piece)
    return {
      span,
      maxTokens,
      keysOf: (block) => piece.at + (block - span.start) * blockBytes,
      free: () => {
        giveBack()
        this.#pieces = this.#pieces.filter((other) => other !== piece)
      },
    }
  }

  #roomFor(bytes: number): number {
    const last = this.#pieces.at(-1)
    const end = last === undefined ? this.#start : last.at + last.bytes
    return end + bytes <= this.#end ? end : this.#closeHoles()
  }

  /** The end of the last piece, once they lie end to end. */
  #closeHoles(): number {
    const all = this.#memory.bytesAt(this.#start, this.#end - this.#start)
    let end = this.#start
    for (const piece of this.#pieces) {
      all.copyWithin(end - this.#start, piece.at - this.#start, piece.at - this.#start + piece.bytes)
      piece.at = end
      end += piece.bytes
    }
    return end
  }
}
