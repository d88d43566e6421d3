/** The slider's ends and steps: every position can be planned, the ends are what they are said to be. */
import { describe, expect, it } from 'vitest'
import { makeDonorSettings } from '../../../../swarm/donor-settings.ts'
import type { DonorDefaults } from '../../../../swarm/app-config.ts'
import type { LlamaConfig } from '../../../../swarm/model/config.ts'
import { parseLlamaConfig } from '../../../../swarm/model/parse-config.ts'
import { memoryRange } from '../../../../web/donor/memory-range.ts'
import { bytesOfDearest, chooseSizing } from '../../../../web/donor/sizing.ts'

const BASE = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_act: 'silu',
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  bos_token_id: 0,
  eos_token_id: 1,
  torch_dtype: 'bfloat16',
}
const MODELS: Record<string, LlamaConfig> = {
  tiny: parseLlamaConfig({
    ...BASE,
    hidden_size: 192,
    intermediate_size: 512,
    num_attention_heads: 6,
    num_key_value_heads: 3,
    num_hidden_layers: 8,
    vocab_size: 2048,
    max_position_embeddings: 1024,
    tie_word_embeddings: true,
  }),
  '1B': parseLlamaConfig({
    ...BASE,
    hidden_size: 2048,
    intermediate_size: 8192,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    num_hidden_layers: 16,
    vocab_size: 128_256,
    max_position_embeddings: 131_072,
    tie_word_embeddings: true,
  }),
  '70B': parseLlamaConfig({
    ...BASE,
    hidden_size: 8192,
    intermediate_size: 28_672,
    num_attention_heads: 64,
    num_key_value_heads: 8,
    num_hidden_layers: 80,
    vocab_size: 128_256,
    max_position_embeddings: 131_072,
    tie_word_embeddings: false,
  }),
}
const device = { backend: 'webgpu', deviceMemoryGb: 8 } as const
const settings = (defaults: DonorDefaults = {}) => makeDonorSettings(defaults)

describe.each(Object.entries(MODELS))('%s', (name, config) => {
  it.each<DonorDefaults>([{}, { weights: 'f16' }, { numBlocks: 3 }, { splits: '2', stage: 1 }])(
    'every position with %j is a plan that keeps to it',
    (defaults) => {
      const { leastBytes, mostBytes, stepBytes } = memoryRange(config, settings(defaults), device)
      expect(leastBytes % stepBytes).toBe(0)
      expect(mostBytes % stepBytes).toBe(0)
      expect((mostBytes - leastBytes) / stepBytes).toBeLessThanOrEqual(101)
      let before = 0
      for (let bytes = leastBytes; bytes <= mostBytes; bytes += stepBytes) {
        const sizing = chooseSizing(config, settings({ ...defaults, memoryGb: bytes / 1e9 }), device)
        expect(sizing.budgetBytes).toBeCloseTo(bytes, 3)
        expect(bytesOfDearest(config, sizing.length, sizing)).toBeLessThanOrEqual(bytes)
        if (sizing.format === 'f16') expect(sizing.length).toBeGreaterThanOrEqual(before)
        before = sizing.format === 'f16' ? sizing.length : 0
      }
    },
  )

  it('begins with one block, and nothing that holds one lies more than two steps below', () => {
    const { leastBytes, stepBytes } = memoryRange(config, settings(), device)
    const first = chooseSizing(config, settings({ memoryGb: leastBytes / 1e9 }), device)
    // A tiny model's blocks are smaller than a step.
    expect(first.length).toBeLessThanOrEqual(name === 'tiny' ? 4 : 1)
    expect(first.format).toBe('int4')
    expect(() => chooseSizing(config, settings({ memoryGb: (leastBytes - 2 * stepBytes) / 1e9 }), device)).toThrow(
      /1 block in int4 take/,
    )
  })

  it('ends where more buys nothing, or at what people’s GPUs have', () => {
    const { mostBytes, stepBytes } = memoryRange(config, settings(), device)
    const most = chooseSizing(config, settings({ memoryGb: mostBytes / 1e9 }), device)
    if (name === '70B') {
      expect(mostBytes - 32e9).toBeLessThanOrEqual(stepBytes)
      return
    }
    expect(most).toMatchObject({ length: config.numHiddenLayers, format: 'f32' })
    expect(chooseSizing(config, settings({ memoryGb: (10 * mostBytes) / 1e9 }), device).cacheTokens).toBe(
      most.cacheTokens,
    )
  })
})

it('a device that tells of little memory ends the slider there; a link that allows more moves the end', () => {
  const config = MODELS['70B']!
  const small = { backend: 'webgpu', deviceMemoryGb: 4 } as const
  expect(memoryRange(config, settings(), small).mostBytes).toBeLessThan(5e9)
  expect(memoryRange(config, settings({ memoryGb: 48 }), small).mostBytes).toBeGreaterThanOrEqual(48e9)
})

describe('WebAssembly, whose memory ends at 4 GiB', () => {
  const large = { backend: 'wasm', deviceMemoryGb: 64 } as const

  it('plans no more, whatever the device has and a link allows', () => {
    const config = MODELS['70B']!
    for (const defaults of [{}, { memoryGb: 48 }]) {
      const sizing = chooseSizing(config, settings(defaults), large)
      expect(sizing.budgetBytes).toBeLessThan(2 ** 32)
      expect(bytesOfDearest(config, sizing.length, sizing)).toBeLessThanOrEqual(sizing.budgetBytes)
      const { mostBytes, stepBytes } = memoryRange(config, settings(defaults), large)
      expect(mostBytes).toBeLessThan(2 ** 32 + stepBytes)
    }
  })

  it('says so where the blocks that were asked for do not fit, instead of looking for a budget that would do', () => {
    const config = MODELS['70B']!
    const asked = settings({ numBlocks: 20, weights: 'f32' })
    expect(() => memoryRange(config, asked, large)).toThrow(/20 blocks in f32 take .* GB, and this tab may use 4\.3 GB/)
  })
})

describe('keys and values as halves, where nobody said', () => {
  const config = MODELS['1B']!
  const sized = (bytes: number, defaults: DonorDefaults = {}, backend: 'webgpu' | 'wasm' = 'webgpu') =>
    chooseSizing(config, settings({ ...defaults, memoryGb: bytes / 1e9 }), { backend, deviceMemoryGb: 8 })

  /** With keys and values as f32, to a thousandth. */
  const least = (() => {
    let [low, high] = [1e8, 1e9]
    while (high - low > high / 1e3) {
      const middle = (low + high) / 2
      try {
        sized(middle, { kv: 'f32' })
        high = middle
      } catch {
        low = middle
      }
    }
    return high
  })()
  const below = least * 0.99

  it('only where with f32 not even int4 fits', () => {
    expect(sized(least)).toMatchObject({ format: 'int4', kv: 'f32', length: 1 })
    expect(sized(below)).toMatchObject({ format: 'int4', kv: 'f16', length: 1 })
  })

  it('never against what was asked for, nor without a GPU', () => {
    const tooLarge = /1 block in int4 take/
    expect(() => sized(below, { kv: 'f32' })).toThrow(tooLarge)
    expect(() => sized(below, { weights: 'int4' })).toThrow(tooLarge)
    expect(() => sized(below, {}, 'wasm')).toThrow(tooLarge)
    expect(sized(2e9, { kv: 'f16' })).toMatchObject({ kv: 'f16' })
  })
})
