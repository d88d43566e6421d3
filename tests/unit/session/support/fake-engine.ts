/**
 * A model whose arithmetic is trivial and whose answer depends on every token and every cache: each block adds its index
 * and a part of the mean of all inputs it has seen, so a block that is skipped, run twice, or run on a cache with a hole
 * changes the logits. One number a token.
 */
import type { LogitsRow } from '../../../../swarm/span-runner.ts'
import type { Span } from '../../../../swarm/span.ts'
import { sampleToken } from '../../../../session/sampler.ts'
import type { SamplingOptions } from '../../../../session/types.ts'

/** More than a hop sends by itself (DEFAULT_TOP_K), so that some choices hang on what it did not. */
export const FAKE_VOCAB = 300
export const FAKE_EOS = 63

/** The blocks of one session at one hop. */
export class FakeCache {
  readonly #span: Span
  /** Inputs of each block so far. */
  readonly #inputs: number[][]

  constructor(span: Span) {
    this.#span = span
    this.#inputs = Array.from({ length: span.end - span.start }, () => [])
  }

  get length(): number {
    return this.#inputs[0]?.length ?? 0
  }

  truncate(length: number): void {
    for (const inputs of this.#inputs) inputs.length = length
  }

  run(hidden: number): number {
    let value = hidden
    for (let block = this.#span.start; block < this.#span.end; block += 1) {
      const inputs = this.#inputs[block - this.#span.start]!
      inputs.push(value)
      const mean = inputs.reduce((sum, input) => sum + input, 0) / inputs.length
      value = Math.fround(value + block + 0.37 * mean) % 97
    }
    return value
  }
}

export function embed(token: number): number {
  return Math.fround((token * 13.7) % 31)
}

export function logitsOf(hidden: number, topK: number): LogitsRow {
  const values = Float32Array.from({ length: FAKE_VOCAB }, (_, id) => {
    // The end token never wins by itself: answers have the length that the test asks for.
    if (id === FAKE_EOS) return -20
    return 4 * Math.sin(hidden * 1.3 + id * 2.1) + 2 * Math.cos(id * 0.7 * (hidden % 5))
  })
  const order = Array.from(values.keys()).sort((a, b) => values[b]! - values[a]! || a - b)
  const best = topK === 0 ? order : order.slice(0, topK)
  const max = values[order[0]!]!
  return {
    ids: Uint32Array.from(best),
    values: Float32Array.from(best, (id) => values[id]!),
    logSumExp: max + Math.log(values.reduce((sum, value) => sum + Math.exp(value - max), 0)),
    vocabSize: FAKE_VOCAB,
  }
}

/** What an unfaulted swarm answers, greedily. */
export function expectedIds(prompt: readonly number[], count: number, blocks: number): number[] {
  const cache = new FakeCache({ start: 0, end: blocks })
  let hidden = 0
  for (const token of prompt) hidden = cache.run(embed(token))
  const ids: number[] = []
  while (ids.length < count) {
    const id = logitsOf(hidden, 1).ids[0]!
    ids.push(id)
    hidden = cache.run(embed(id))
  }
  return ids
}

/** The same, drawn from whole rows: what a swarm that sends a part of each must come to. */
export function sampledIds(
  prompt: readonly number[],
  count: number,
  blocks: number,
  options: SamplingOptions,
): number[] {
  const cache = new FakeCache({ start: 0, end: blocks })
  const seen = new Set(prompt)
  let hidden = 0
  for (const token of prompt) hidden = cache.run(embed(token))
  const ids: number[] = []
  while (ids.length < count) {
    const sample = sampleToken(logitsOf(hidden, 0), seen, options, ids.length)
    if ('moreLogits' in sample) throw new Error('a whole row is enough for any choice')
    ids.push(sample.id)
    seen.add(sample.id)
    hidden = cache.run(embed(sample.id))
  }
  return ids
}
