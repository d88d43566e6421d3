/**
 * How many tokens' keys and values a runner still has room for, whatever holds them. Counted in token-blocks, because a session
 * may run only a part of the span.
 */
import { SwarmError } from '../../swarm/errors.ts'
import type { Span } from '../../swarm/span.ts'
import { spanLength } from '../../swarm/span.ts'

export class TokenBudget {
  readonly #blocks: number
  #tokenBlocksLeft: number

  /** `cacheTokens` over the whole span. */
  constructor(span: Span, cacheTokens: number) {
    this.#blocks = spanLength(span)
    this.#tokenBlocksLeft = cacheTokens * this.#blocks
  }

  /** Tokens that a new session over the whole span could still have; `given`: token-blocks that are taken and would be given back. */
  tokensLeft(given: number): number {
    return Math.floor((this.#tokenBlocksLeft + given) / this.#blocks)
  }

  fits(span: Span, maxTokens: number): boolean {
    return maxTokens * spanLength(span) <= this.#tokenBlocksLeft
  }

  /** Sets them aside at once; the function gives them back, once. @throws SwarmError CACHE_FULL */
  take(span: Span, maxTokens: number): () => void {
    const needed = maxTokens * spanLength(span)
    if (!this.fits(span, maxTokens)) {
      const left = Math.floor(this.#tokenBlocksLeft / spanLength(span))
      throw new SwarmError('CACHE_FULL', `the session asks for ${maxTokens} cached tokens, ${left} are free`, {
        retryable: true,
        action: 'Try another tab, a shorter conversation, or later.',
        details: { asked: maxTokens, free: left },
      })
    }
    this.#tokenBlocksLeft -= needed
    let isTaken = true
    return () => {
      if (isTaken) this.#tokenBlocksLeft += needed
      isTaken = false
    }
  }
}
