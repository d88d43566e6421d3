import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SwarmError } from '../../../../swarm/errors.ts'
import { parseGenerationConfig, parseLlamaConfig } from '../../../../swarm/model/parse-config.ts'

const fixtures = new URL('../../../fixtures/models/', import.meta.url)

const base = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 64,
  intermediate_size: 112,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 256,
  rms_norm_eps: 1e-5,
  hidden_act: 'silu',
  vocab_size: 256,
}

const llama3 = {
  rope_type: 'llama3',
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 64,
}

function codeOf(action: () => unknown): { code: string; message: string } {
  try {
    action()
  } catch (error) {
    if (error instanceof SwarmError) return { code: error.code, message: error.message }
    throw error
  }
  return { code: 'none', message: '' }
}

test('every fixture model is read', () => {
  const names = readdirSync(fixtures).filter((name) => name !== 'tinytales')
  expect(names.length).toBeGreaterThanOrEqual(11)
  for (const name of names) {
    const json: unknown = JSON.parse(readFileSync(new URL(`${name}/config.json`, fixtures), 'utf8'))
    expect(parseLlamaConfig(json).vocabSize, name).toBeGreaterThan(0)
  }
})

test('what a file leaves out has the reference implementation defaults', () => {
  const { max_position_embeddings: _m, rms_norm_eps: _e, num_key_value_heads: _k, ...rest } = base
  expect(parseLlamaConfig(rest)).toEqual({
    hiddenSize: 64,
    intermediateSize: 112,
    numHiddenLayers: 3,
    numAttentionHeads: 4,
    numKeyValueHeads: 4,
    headDim: 16,
    vocabSize: 256,
    maxPositionEmbeddings: 2048,
    rmsNormEps: 1e-6,
    ropeTheta: 10_000,
    ropeScaling: null,
    attentionBias: false,
    mlpBias: false,
    tieWordEmbeddings: false,
    bosTokenId: null,
    eosTokenIds: [],
    dtype: null,
  })
})

test('the older and the newer style say the same', () => {
  const older = parseLlamaConfig({ ...base, rope_theta: 500_000, rope_scaling: llama3, torch_dtype: 'bfloat16' })
  const newer = parseLlamaConfig({ ...base, rope_parameters: { ...llama3, rope_theta: 500_000 }, dtype: 'bfloat16' })
  expect(newer).toEqual(older)
  expect(older).toMatchObject({
    ropeTheta: 500_000,
    ropeScaling: { ropeType: 'llama3', factor: 8, originalMaxPositionEmbeddings: 64 },
    dtype: 'bfloat16',
  })
})

test('rope_scaling may name its type as `type`; `default` is plain', () => {
  expect(parseLlamaConfig({ ...base, rope_scaling: { type: 'default' } }).ropeScaling).toBeNull()
  const { rope_type: _, ...rest } = llama3
  expect(parseLlamaConfig({ ...base, rope_scaling: { ...rest, type: 'llama3' } }).ropeScaling).not.toBeNull()
})

test('end tokens may be one id, a list or null', () => {
  expect(parseLlamaConfig({ ...base, eos_token_id: 2 }).eosTokenIds).toEqual([2])
  expect(parseLlamaConfig({ ...base, eos_token_id: [1, 4] }).eosTokenIds).toEqual([1, 4])
  expect(parseLlamaConfig({ ...base, eos_token_id: null }).eosTokenIds).toEqual([])
})

test('head_dim given wins over hidden_size ÷ heads', () => {
  expect(parseLlamaConfig({ ...base, hidden_size: 48, head_dim: 24 }).headDim).toBe(24)
  expect(parseLlamaConfig({ ...base, hidden_size: 50, head_dim: 24 }).headDim).toBe(24)
})

describe('refused with the reason', () => {
  const unsupported: [object, RegExp][] = [
    [{ model_type: 'mistral' }, /model_type is "mistral"/],
    [{ model_type: null, architectures: null }, /names neither/],
    [{ architectures: ['LlamaForSequenceClassification'] }, /LlamaForSequenceClassification/],
    [{ hidden_act: 'gelu' }, /hidden_act is "gelu"/],
    [{ rope_scaling: { rope_type: 'linear', factor: 2 } }, /rope type is "linear"/],
    [{ rope_scaling: { type: 'dynamic', factor: 2 } }, /rope type is "dynamic"/],
    [{ rope_parameters: { rope_type: 'yarn', factor: 2 } }, /rope type is "yarn"/],
    [{ rope_parameters: { full_attention: { rope_type: 'default' } } }, /layer type/],
    [{ partial_rotary_factor: 0.5 }, /partial_rotary_factor/],
    [{ quantization_config: { quant_method: 'gptq' } }, /quantization_config/],
    [{ sliding_window: 4096 }, /sliding_window/],
    [{ layer_types: ['full_attention', 'sliding_attention'] }, /sliding_attention/],
    [{ num_local_experts: 8 }, /num_local_experts/],
  ]
  test.each(unsupported)('not for this engine: %j', (change, reason) => {
    const { code, message } = codeOf(() => parseLlamaConfig({ ...base, ...change }))
    expect(code).toBe('UNSUPPORTED_MODEL')
    expect(message).toMatch(reason)
  })

  const malformed: [object, RegExp][] = [
    [{ hidden_size: undefined }, /hidden_size is missing/],
    [{ hidden_size: '64' }, /hidden_size is "64"/],
    [{ hidden_size: 0 }, /hidden_size is 0/],
    [{ hidden_size: -64 }, /hidden_size is -64/],
    [{ hidden_size: 64.5 }, /hidden_size is 64.5/],
    [{ hidden_size: Infinity }, /hidden_size is Infinity/],
    [{ hidden_size: 32_768 }, /limit is 16384/],
    [{ num_hidden_layers: 257 }, /limit is 256/],
    [{ vocab_size: 1e9 }, /limit is 512000/],
    [{ intermediate_size: 1e9 }, /limit is 131072/],
    [{ max_position_embeddings: 1e12 }, /limit is/],
    [{ num_attention_heads: 5 }, /not divisible/],
    [{ num_key_value_heads: 3 }, /does not divide/],
    [{ num_key_value_heads: 8 }, /does not divide/],
    [{ head_dim: 15 }, /must be even/],
    [{ head_dim: 512 }, /limit is 256/],
    [{ rms_norm_eps: 0 }, /rms_norm_eps is 0/],
    [{ rms_norm_eps: NaN }, /rms_norm_eps is NaN/],
    [{ rope_theta: 0 }, /rope_theta is 0/],
    [{ rope_theta: 1, rope_parameters: { rope_theta: 2 } }, /given twice/],
    [{ rope_scaling: 'llama3' }, /rope_scaling is "llama3"/],
    [{ rope_scaling: { ...llama3, factor: 0 } }, /factor is 0/],
    [{ rope_scaling: { ...llama3, factor: undefined } }, /factor is missing/],
    [{ rope_scaling: { ...llama3, high_freq_factor: 1 } }, /must be above low_freq_factor/],
    [{ tie_word_embeddings: 'yes' }, /tie_word_embeddings is "yes"/],
    [{ attention_bias: 1 }, /attention_bias is 1/],
    [{ eos_token_id: -1 }, /-1/],
    [{ eos_token_id: ['</s>'] }, /"<\/s>"/],
    [{ architectures: 'LlamaForCausalLM' }, /architectures/],
  ]
  test.each(malformed)('malformed: %j', (change, reason) => {
    const { code, message } = codeOf(() => parseLlamaConfig({ ...base, ...change }))
    expect(code).toBe('BAD_CONFIG')
    expect(message).toMatch(reason)
  })

  test.each([[null], [[]], ['{}'], [3], [undefined]])('not an object: %j', (json) => {
    expect(codeOf(() => parseLlamaConfig(json)).code).toBe('BAD_CONFIG')
  })
})

test('whatever a config holds, the answer is a config or a SwarmError with a short message', () => {
  const value = fc.oneof(fc.jsonValue(), fc.constantFrom(0, -1, 1e308, 2 ** 53, NaN, '', 'llama3', [], {}))
  const change = fc.dictionary(
    fc.constantFrom(...Object.keys(base), 'rope_scaling', 'rope_parameters', 'rope_theta', 'head_dim', 'eos_token_id'),
    value,
  )
  fc.assert(
    fc.property(change, (fields) => {
      const outcome = codeOf(() => parseLlamaConfig({ ...base, ...fields }))
      expect(['none', 'BAD_CONFIG', 'UNSUPPORTED_MODEL']).toContain(outcome.code)
      expect(outcome.message.length).toBeLessThan(1000)
    }),
  )
})

test('generation config: what is said, and only that', () => {
  expect(
    parseGenerationConfig({ bos_token_id: 0, eos_token_id: [1, 4], do_sample: true, temperature: 0.7, top_p: 0.95 }),
  ).toEqual({ eosTokenIds: [1, 4], doSample: true, temperature: 0.7, topP: 0.95 })
  expect(parseGenerationConfig({ top_k: 50, repetition_penalty: 1.1 })).toEqual({ topK: 50, repetitionPenalty: 1.1 })
  expect(parseGenerationConfig({})).toEqual({})
})

test.each([
  [{ temperature: -1 }],
  [{ top_p: 0 }],
  [{ top_p: 1.5 }],
  [{ top_k: 0.5 }],
  [{ repetition_penalty: 0 }],
  [[]],
])('generation config refused: %j', (json) => {
  expect(codeOf(() => parseGenerationConfig(json)).code).toBe('BAD_CONFIG')
})
