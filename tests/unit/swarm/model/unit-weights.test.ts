/** What the head costs beside the blocks, on shapes that are known. */
import { expect, test } from 'vitest'
import { headWeight, unitWeightsOf, weightOfSpan } from '../../../../swarm/model/unit-weights.ts'
import { parseLlamaConfig } from '../../../../swarm/model/parse-config.ts'

function config(values: Record<string, number>) {
  return parseLlamaConfig({
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_act: 'silu',
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    tie_word_embeddings: true,
    ...values,
  })
}

const LLAMA_8B = config({
  hidden_size: 4096,
  intermediate_size: 14_336,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  vocab_size: 128_256,
})
const SMOLLM2 = config({
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  vocab_size: 49_152,
})

test('the head is the largest single thing of known models', () => {
  // 525 M parameters against 218 M a block; 28.3 M against 3.54 M.
  expect(headWeight(LLAMA_8B)).toBeCloseTo(525.3 / 218.1, 2)
  expect(headWeight(SMOLLM2)).toBeCloseTo(28.31 / 3.539, 2)
})

test('it belongs to the last block, and a span costs the sum of its blocks', () => {
  const weights = unitWeightsOf(SMOLLM2)
  expect(weights).toHaveLength(30)
  expect(weights.slice(0, 29)).toEqual(Array.from({ length: 29 }, () => 1))
  expect(weightOfSpan({ start: 0, end: 29 }, weights)).toBe(29)
  expect(weightOfSpan({ start: 28, end: 30 }, weights)).toBeCloseTo(2 + headWeight(SMOLLM2), 9)
  expect(weightOfSpan({ start: 28, end: 30 })).toBe(2)
})
