/**
 * What running each block for one token costs, in blocks. The last one has norm and output projection with it, which is often the largest
 * matrix of the model: a head of Llama-3.1-8B costs as much as 2.4 of its blocks, one of SmolLM2-135M as eight.
 */
import type { LlamaConfig } from './config.ts'

/** Of the head, in blocks: by the multiplications of a token. */
export function headWeight(config: LlamaConfig): number {
  const { hiddenSize, intermediateSize, numAttentionHeads, numKeyValueHeads, headDim, vocabSize } = config
  const attention = 2 * hiddenSize * headDim * (numAttentionHeads + numKeyValueHeads)
  const block = attention + 3 * hiddenSize * intermediateSize
  return (vocabSize * hiddenSize) / block
}

/** By block; the last has the head's weight too. */
export function unitWeightsOf(config: LlamaConfig): number[] {
  const last = config.numHiddenLayers - 1
  return Array.from({ length: config.numHiddenLayers }, (_, block) => (block === last ? 1 + headWeight(config) : 1))
}

/** What a span costs, in blocks. `weights` absent: every block the same. */
export function weightOfSpan({ start, end }: { start: number; end: number }, weights?: readonly number[]): number {
  if (weights === undefined) return end - start
  let sum = 0
  for (let block = start; block < end; block += 1) sum += weights[block] ?? 1
  return sum
}
