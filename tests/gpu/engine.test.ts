/**
 * The product's own kernels and `createSpanRunner` in real Chromium, in a dedicated Worker, on the software adapter: kernels against
 * the plain reference, every fixture and the embedded model against logits of an independent implementation.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MAX_SESSIONS } from '../../swarm/limits.ts'
import { FIXTURES } from '../reference/fixtures.ts'
import type { ModelOptions } from './lab/lab.ts'
import { OpenLab } from './open-lab.ts'

let lab: OpenLab
beforeAll(async () => {
  lab = await OpenLab.start()
})
afterAll(async () => {
  await lab?.close()
})

const F32: ModelOptions = { format: 'f32', variant: 'threads' }
const F16: ModelOptions = { format: 'f16', variant: 'threads' }
const F32_LANES: ModelOptions = { format: 'f32', variant: 'lanes' }
const F16_LANES: ModelOptions = { format: 'f16', variant: 'lanes' }
const INT8: ModelOptions = { format: 'int8', variant: 'threads' }
const INT8_LANES: ModelOptions = { format: 'int8', variant: 'lanes' }
const INT4: ModelOptions = { format: 'int4', variant: 'threads' }
const INT4_LANES: ModelOptions = { format: 'int4', variant: 'lanes' }
const KV_F16: ModelOptions = { format: 'f32', variant: 'threads', kv: 'f16' }
const QUADS = (['f32', 'f16', 'int8', 'int4'] as const).map((format): ModelOptions => ({ format, variant: 'quads' }))
const nameOf = ({ format, variant }: ModelOptions): string => `${format} ${variant}`

/** Max |Δlogit|. Other formats than f32 are held to the plain reference on the weights as stored, by the same bound. */
const TOLERANCE = 1e-3

it('runs on the software adapter of this browser', async () => {
  expect(await lab.call('adapter')).toMatchObject({ software: true })
})

it('a device without the optional features of its adapter gets kernels that need none', async () => {
  const { quads, features } = await lab.call('plainDevice')
  expect(features).not.toContain('subgroups')
  expect(quads).toBe(false)
})

it('of a shader that does not compile, the compiler’s own words are told', async () => {
  const code = [
    'struct Params { n: u32 }',
    '@group(0) @binding(0) var<uniform> params: Params;',
    '@group(0) @binding(1) var<uniform> step: Params;',
    '@group(0) @binding(2) var<storage, read_write> y: array<f32>;',
    '@compute @workgroup_size(64) fn main() { y[0] = nowhere; }',
  ].join('\n')
  expect(await lab.call('brokenShader', code)).toMatch(/kernel broken did not compile: .*line 5: .*nowhere/su)
})

describe('kernels agree with the plain reference', () => {
  it.each([F32, F16, INT8, INT4, ...QUADS, F32_LANES, F16_LANES, INT8_LANES, INT4_LANES])(
    'mat_vec and mat_mul, $format $variant',
    async (options) => {
      expect(await lab.call('kernelCases', 'mat_mul', options)).toEqual([])
    },
  )
  it.each([
    { ...F32, workgroup: 128 },
    { format: 'int4', variant: 'quads', workgroup: 32 },
  ] as const)('the same in workgroups of $workgroup, $format $variant', async (options) => {
    expect(await lab.call('kernelCases', 'mat_mul_sizes', options)).toEqual([])
  })
  it.each([F32, F16, INT8, INT4])('embed, $format', async (options) => {
    expect(await lab.call('kernelCases', 'embed', options)).toEqual([])
  })
  it.each(['rms_norm', 'pointwise', 'attention', 'top_k'])('%s', async (group) => {
    expect(await lab.call('kernelCases', group, F32)).toEqual([])
  })
})

it.each([1, 2, 3])('attention of %d heads at a time, whatever shares a key and value', async (sharedHeads) => {
  expect(await lab.call('kernelCases', 'attention', { ...F32, sharedHeads })).toEqual([])
})

describe.each(FIXTURES)('%s', (name) => {
  it('f32 weights: logits of all positions, greedy ids; prefill, chunks and spans give the bits of decode', async () => {
    const result = await lab.call('fixture', name, F32)
    expect(result.maxDelta).toBeLessThanOrEqual(TOLERANCE)
    expect(result.greedy).toEqual(result.expectedGreedy)
    expect([result.prefillDiffers, result.chunksDiffer, result.chainDiffers]).toEqual([0, 0, 0])
  })
})

describe('other formats and variants', () => {
  it.each([
    ['mha-f16', F16],
    ['odd-sizes-f32', F16],
    ['biases-f32', F16],
    ['plain-tied-f32', F16],
    ['odd-sizes-f32', F32_LANES],
    ['mha-f16', F16_LANES],
    ['mha-f16', INT8],
    ['odd-sizes-f32', INT8],
    ['mha-f16', INT4],
    ['odd-sizes-f32', INT4],
    ['biases-f32', INT4],
    ['plain-tied-f32', INT4],
    ['odd-sizes-f32', INT4_LANES],
  ] as const)('%s with %o', async (name, options) => {
    const result = await lab.call('fixture', name, options)
    expect(result.maxDelta, nameOf(options)).toBeLessThanOrEqual(TOLERANCE)
    expect([result.prefillDiffers, result.chunksDiffer, result.chainDiffers]).toEqual([0, 0, 0])
  })
})

it('the embedded model over four spans: prompt logits and greedy ids', async () => {
  const results = await lab.call('trained', {
    folder: 'models/tinytales',
    references: 'tests/fixtures/models/tinytales',
    format: 'f32',
    cuts: [2, 4, 6],
    cases: 4,
    tokens: 24,
  })
  expect(results).toHaveLength(4)
  for (const { promptDelta, behindBest, exactSteps } of results) {
    expect(promptDelta).toBeLessThanOrEqual(TOLERANCE)
    expect(behindBest.slice(0, exactSteps).every((gap) => gap === 0)).toBe(true)
    expect(Math.max(...behindBest)).toBeLessThanOrEqual(0.02)
  }
})

it.each([
  ['f32', 'separate'],
  ['f32', 'fused'],
  ['int8', 'separate'],
] as const)(
  'matrices above a binding limit are cut by rows, with the same bits: %s, %s kernels',
  async (format, blockKernels) => {
    const limit = { f32: 640, int8: 256 }[format] * 1024
    const result = await lab.call('cutMatrices', 'models/tinytales', format, limit, blockKernels)
    expect(result.tableParts).toBeGreaterThan(1)
    if (format === 'f32') expect(result.gateUpParts).toBeGreaterThan(1)
    expect(result.largestBuffer).toBeLessThanOrEqual(limit)
    expect(result.logits).toBeGreaterThan(1000)
    expect(result.differ).toBe(0)
  },
)

describe('keys and values as halves', () => {
  it('kernels agree with the plain reference on rounded keys and values', async () => {
    expect(await lab.call('kernelCases', 'attention', KV_F16)).toEqual([])
  })

  it.each(['mha-f16', 'odd-sizes-f32'] as const)('%s: near f32, and the same bits however rows come', async (name) => {
    const result = await lab.call('fixture', name, KV_F16)
    expect(result.maxDelta).toBeGreaterThan(TOLERANCE / 1e3)
    expect(result.maxDelta).toBeLessThanOrEqual(2e-2)
    expect([result.prefillDiffers, result.chunksDiffer, result.chainDiffers]).toEqual([0, 0, 0])
  })

  it('sessions that share batches and prefixes have the bits they have alone', async () => {
    expect((await lab.call('interleavings', KV_F16, 8)).differ).toBe(0)
    expect(await lab.call('prefixRules', KV_F16)).toEqual([])
  })

  it('the canary is right, and takes no more than is planned', async () => {
    const { exact, taken, planned } = await lab.call('canary', KV_F16)
    expect(exact).toBe(true)
    expect(taken).toBeLessThanOrEqual(planned)
  })
})

describe('fused kernels of few rows', () => {
  const FUSED = { blockKernels: 'fused' } as const

  it.each([F32, F16, INT8, INT4, F32_LANES, F16_LANES, INT8_LANES, INT4_LANES])(
    'matrices with what stands before and behind them, $format $variant',
    async (options) => {
      expect(await lab.call('kernelCases', 'fused', { ...options, ...FUSED })).toEqual([])
    },
  )

  it.each([{ sharedHeads: 4 }, { sharedHeads: 3 }, { sharedHeads: 1 }, { sharedHeads: 4, kv: 'f16' }] as const)(
    'attention in one kernel and a merge: %o',
    async (options) => {
      expect(await lab.call('kernelCases', 'attention', { ...F32, ...FUSED, ...options })).toEqual([])
    },
  )

  it.each([
    ['group3-bf16', F32, 7],
    ['odd-sizes-f32', INT4, 7],
    ['plain-tied-f32', INT4_LANES, 7],
    ['mha-f16', { ...F16, kv: 'f16' }, 7],
    // A bias is a dispatch more each, and keeps residual and SiLU·mul apart.
    ['biases-f32', INT8, 14],
  ] as const)(
    '%s with %o: the bits of the separate ones, in at most %d dispatches a block',
    async (name, options, most) => {
      const { compared, differ, dispatches } = await lab.call('fused', name, options)
      expect([compared, differ]).toEqual([11, 0])
      expect(dispatches.fused).toBeLessThanOrEqual(most)
      expect(dispatches.separate).toBeGreaterThanOrEqual(14)
    },
  )

  it.each([
    [{ ...INT4, variant: 'quads' }, 24],
    [F32_LANES, 4],
  ] as const)('batches: each session has the bits it has alone, %o, texts of %d tokens', async (options, tokens) => {
    const { compared, differ } = await lab.call('interleavings', { ...options, ...FUSED }, tokens)
    expect(differ).toBe(0)
    expect(compared).toBeGreaterThan(10)
  })

  it.each([F32_LANES, INT4_LANES])('the canary, $format $variant', async (options) => {
    expect((await lab.call('canary', { ...options, ...FUSED })).exact).toBe(true)
  })
})

describe('the canary', () => {
  it.each([F32, F16, INT8, INT4, ...QUADS, F32_LANES, INT4_LANES])(
    '$format $variant: right, and the same bits',
    async (options) => {
      const { exact, taken, planned } = await lab.call('canary', options)
      expect(exact).toBe(true)
      expect(taken).toBeLessThanOrEqual(planned)
      // Beside a span, before any session: less than the cache that is not in use yet.
      expect(planned).toBeLessThan(2 ** 20)
    },
  )
})

it('kernels are timed at the first start; the second takes what was kept; nothing of that changes a bit', async () => {
  const [first, second, third] = await lab.call('tunedStarts', 'group3-bf16', 'f32')
  expect(first?.isTuned).toBe(true)
  expect(first?.notes).toEqual([expect.stringMatching(/^Kernels chosen in [\d.]+ s, \d+ others timed: /)])
  expect(second).toEqual({ notes: [], isTuned: false, choice: first?.choice, differ: 0 })
  const kept = { matMul: 'threads', blockKernels: 'fused', matVecWorkgroup: 128, matMulWorkgroup: 32 }
  expect(third).toEqual({ notes: [], isTuned: false, choice: kept, differ: 0 })
  expect(first?.differ).toBe(0)
})

describe('the runner', () => {
  it.each([
    [F32, 40],
    [INT4, 40],
    // 32 invocations a row are slow here.
    [INT8_LANES, 8],
  ])('batches sessions: each has the bits it has alone, %o, texts of %d tokens', async (options, tokens) => {
    const { compared, differ, shared } = await lab.call('interleavings', options, tokens)
    expect(differ).toBe(0)
    expect(Math.min(compared, 5 * shared)).toBeGreaterThan(10)
  })

  it('keeps its rules on sessions, positions, budgets and bad input', async () => {
    expect(await lab.call('rules')).toEqual([])
  })

  it('shares the rows of a prefix between sessions of one peer, bit for bit', async () => {
    expect(await lab.call('prefixRules', F32)).toEqual([])
  })

  it('lets tokens and openings of others pass between the chunks of a prefill, bit for bit', async () => {
    expect(await lab.call('duringAPrefill', F32)).toEqual({ order: 'abx', differ: 0 })
  })

  it('measures its throughput', async () => {
    const { blockStepsPerSecond } = await lab.call('throughput', 'models/tinytales', 'f32')
    expect(blockStepsPerSecond).toBeGreaterThan(1)
  })

  it.each(['dispose', 'device'] as const)('a step under way ends with GPU_LOST: %s', async (how) => {
    expect(await lab.call('loss', how)).toBe('GPU_LOST')
  })
})

describe('what a tab takes on the GPU', () => {
  it.each([
    ['models/tinytales', 'auto', 5],
    ['models/tinytales', 'int4', 3],
    ['tests/fixtures/models/odd-sizes-f32', 'auto', 3],
  ] as const)('%s, %s: never more than the slider says, nor than the plan', async (folder, weights, positions) => {
    const results = await lab.call('memory', folder, weights, positions)
    expect(results).toHaveLength(2 * positions)
    for (const { allowed, planned, taken, left, sessions } of results) {
      expect(taken).toBeLessThanOrEqual(planned)
      expect(planned).toBeLessThanOrEqual(allowed)
      // A plan that promised far more than is taken would be kept by refusing blocks that fit.
      expect(taken).toBeGreaterThan(0.98 * planned)
      expect(left).toBe(0)
      expect(sessions).toBe(MAX_SESSIONS)
    }
    // The slider's ends: the fewest blocks (a step may hold several as small as these), and more.
    expect(results[0]?.blocks).toBeLessThanOrEqual(4)
    expect(results.at(-1)?.blocks).toBeGreaterThan(results[0]?.blocks ?? Infinity)
  })
})
