/** The choice among kernels, on a trial of figures: what is timed, what is refused, what is kept. */
import { describe, expect, it } from 'vitest'
import type { LlamaConfig } from '../../../../swarm/model/config.ts'
import { choiceText, tune, type Stage, type Trial } from '../../../../web/engine/autotune.ts'
import { CANARY } from '../../../../web/engine/canary.ts'
import { choiceKey, readChoice, type ChoiceKey } from '../../../../web/engine/kept-choice.ts'
import { defaultChoice, variantsLike, type KernelChoice } from '../../../../web/gpu/kernels/kernel-choice.ts'
import { kernelVersion } from '../../../../web/gpu/kernels/kernel-set.ts'

const FIRST: KernelChoice = { matMul: 'quads', blockKernels: 'separate', matVecWorkgroup: 16, matMulWorkgroup: 16 }
const BY_ROWS: readonly Stage[] = [
  { rows: 1, candidates: (holds) => [32, 64].map((matVecWorkgroup) => ({ ...holds, matVecWorkgroup })) },
  { rows: 8, candidates: (holds) => [{ ...holds, matMul: 'threads' }] },
]

type MsOf = (choice: KernelChoice, rows: number, time: number) => number
interface FakeOptions {
  bits?: (choice: KernelChoice) => number
  fails?: (choice: KernelChoice) => boolean
  compileMs?: number
}

/** `msOf` is how long so many rows take by a choice; the clock goes on by it, and by `compileMs` for each choice that is new. */
class FakeTrial implements Trial {
  ms = 0
  uses: string[] = []
  timed = new Map<string, number>()
  running: KernelChoice = FIRST
  readonly #msOf: MsOf
  readonly #options: FakeOptions

  constructor(msOf: MsOf, options: FakeOptions = {}) {
    this.#msOf = msOf
    this.#options = options
  }

  use(choice: KernelChoice): Promise<void> {
    const name = choiceText(choice)
    if (!this.uses.includes(name)) this.ms += this.#options.compileMs ?? 0
    this.uses.push(name)
    if (this.#options.fails?.(choice) === true) return Promise.reject(new Error('the driver says no'))
    this.running = choice
    return Promise.resolve()
  }

  outcome(): Promise<Float32Array> {
    return Promise.resolve(Float32Array.of(1, this.#options.bits?.(this.running) ?? 0, NaN))
  }

  time(rows: number): Promise<number> {
    const name = choiceText(this.running)
    const times = this.timed.get(name) ?? 0
    this.timed.set(name, times + 1)
    const ms = this.#msOf(this.running, rows, times)
    this.ms += ms
    return Promise.resolve(ms)
  }
}

const tuneOn = (trial: FakeTrial, budgetMs = Infinity) => tune(trial, FIRST, BY_ROWS, { now: () => trial.ms, budgetMs })

describe('what is chosen', () => {
  it('the fastest for each work, and that is what runs afterwards', async () => {
    const trial = new FakeTrial((choice, rows) =>
      rows === 1 ? 640 / choice.matVecWorkgroup : choice.matMul === 'threads' ? 5 : 9,
    )
    const { choice, refused, isComplete, timed, ms } = await tuneOn(trial)
    expect(choice).toEqual({ ...FIRST, matMul: 'threads', matVecWorkgroup: 64 })
    expect(trial.running).toEqual(choice)
    expect({ refused, isComplete, timed }).toEqual({ refused: [], isComplete: true, timed: 3 })
    expect(ms).toBe(trial.ms)
  })

  it('by the median: one run that the machine had other things to do in decides nothing', async () => {
    const trial = new FakeTrial((choice, _rows, time) => {
      if (choice.matVecWorkgroup === 64) return time === 1 ? 400 : 5
      return time === 2 ? 1 : 10
    })
    expect((await tuneOn(trial)).choice.matVecWorkgroup).toBe(64)
  })

  it('what is hardly faster stays out', async () => {
    const trial = new FakeTrial((choice) => (choice.matVecWorkgroup === 64 ? 9.9 : 10))
    expect((await tuneOn(trial)).choice).toEqual(FIRST)
  })

  it('candidates take turns', async () => {
    const trial = new FakeTrial(() => 1)
    await tuneOn(trial)
    const turns = trial.uses.slice(3, 9)
    expect(turns.slice(0, 3)).toEqual(turns.slice(3))
    expect(new Set(turns).size).toBe(3)
  })
})

describe('what is refused', () => {
  it('a candidate with other bits, however fast', async () => {
    const trial = new FakeTrial((choice) => 640 / choice.matVecWorkgroup, {
      bits: ({ matVecWorkgroup }) => (matVecWorkgroup === 64 ? 1e-7 : 0),
    })
    const { choice, refused } = await tuneOn(trial)
    expect(choice.matVecWorkgroup).toBe(32)
    expect(refused).toEqual([expect.stringContaining('its results differ in their bits')])
    expect(trial.timed.has(choiceText({ ...FIRST, matVecWorkgroup: 64 }))).toBe(false)
  })

  it('minus zero in place of zero', async () => {
    const trial = new FakeTrial((choice) => 640 / choice.matVecWorkgroup, {
      bits: ({ matVecWorkgroup }) => (matVecWorkgroup === 16 ? 0 : -0),
    })
    expect((await tuneOn(trial)).choice.matVecWorkgroup).toBe(16)
  })

  it('a candidate that does not compile; the others are timed all the same', async () => {
    const trial = new FakeTrial((choice) => 640 / choice.matVecWorkgroup, {
      fails: ({ matVecWorkgroup }) => matVecWorkgroup === 64,
    })
    const { choice, refused } = await tuneOn(trial)
    expect(choice.matVecWorkgroup).toBe(32)
    expect(refused).toEqual([expect.stringContaining('the driver says no')])
  })

  it('not the first choice: that fails loudly', async () => {
    const trial = new FakeTrial(() => 1, { fails: () => true })
    await expect(tuneOn(trial)).rejects.toThrow('the driver says no')
  })
})

describe('where it takes long', () => {
  it('ends near its budget with what it had, and says so', async () => {
    const trial = new FakeTrial((choice) => 640 / choice.matVecWorkgroup, { compileMs: 400 })
    const { choice, isComplete } = await tuneOn(trial, 1000)
    expect(isComplete).toBe(false)
    expect(choice).toEqual(FIRST)
    expect(trial.ms).toBeLessThan(2000)
  })

  it('chooses nothing by fewer than three rounds', async () => {
    const trial = new FakeTrial((choice) => 640 / choice.matVecWorkgroup)
    // Both stages together: the first may take half. A round of three takes 70.
    const { choice, isComplete } = await tuneOn(trial, 200)
    expect(isComplete).toBe(false)
    expect(choice.matVecWorkgroup).toBe(16)
    expect((await tuneOn(new FakeTrial((each) => 640 / each.matVecWorkgroup), 600)).choice.matVecWorkgroup).toBe(64)
  })
})

const limits = { maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupSizeX: 256 }
const SOFTWARE = { software: true, quads: true, limits }
const GPU = { software: false, quads: false, limits }

describe('what is kept', () => {
  it.each([
    [SOFTWARE, { matMul: 'threads', blockKernels: 'separate', matVecWorkgroup: 128, matMulWorkgroup: 32 }],
    [SOFTWARE, FIRST],
    [GPU, { matMul: 'lanes', blockKernels: 'fused', matVecWorkgroup: 32, matMulWorkgroup: 128 }],
  ] as const)('is taken again', (gpu, choice) => {
    expect(readChoice(structuredClone(choice), gpu)).toEqual(choice)
  })

  it.each([
    ['nothing', undefined],
    ['a speed', 12.5],
    ['a text', 'quads'],
    ['null', null],
    ['an earlier build’s', { matMul: 'quads', matVecWorkgroup: 16, matMulWorkgroup: 16 }],
    ['a later build’s', { ...FIRST, more: 1 }],
    ['sizes nobody may choose', { ...FIRST, matVecWorkgroup: 17 }],
    ['a size as text', { ...FIRST, matMulWorkgroup: '16' }],
    ['another order of sums', { ...FIRST, matMul: 'lanes', matVecWorkgroup: 64, matMulWorkgroup: 64 }],
    ['an unknown variant', { ...FIRST, matMul: 'fast' }],
    ['an unknown way through a block', { ...FIRST, blockKernels: 'whole' }],
  ])('does not count where it is %s', (_what, kept) => {
    expect(readChoice(kept, SOFTWARE)).toBeNull()
  })

  it('does not count on an adapter that cannot run it', () => {
    expect(readChoice(FIRST, { ...SOFTWARE, quads: false })).toBeNull()
    const small = { ...limits, maxComputeInvocationsPerWorkgroup: 64 }
    expect(readChoice({ ...FIRST, matVecWorkgroup: 128 }, { ...SOFTWARE, limits: small })).toBeNull()
  })

  it('holds for one adapter, shape, format, and text of the kernels', () => {
    const key = (change: Partial<ChoiceKey> = {}): string =>
      choiceKey({
        gpu: { description: 'a b', features: ['subgroups', 'shader-f16'] },
        config: CANARY,
        format: 'int4',
        kv: 'f32',
        version: 'v1',
        ...change,
      })
    const wider: LlamaConfig = { ...CANARY, intermediateSize: 128 }
    const keys = [
      key(),
      key({ gpu: { description: 'a c', features: ['subgroups', 'shader-f16'] } }),
      key({ gpu: { description: 'a b', features: ['subgroups'] } }),
      key({ config: wider }),
      key({ format: 'int8' }),
      key({ kv: 'f16' }),
      key({ version: 'v2' }),
    ]
    expect(new Set(keys).size).toBe(keys.length)
    expect(key({ gpu: { description: 'a b', features: ['shader-f16', 'subgroups'] } })).toBe(key())
    // More blocks of the same shape are the same work.
    expect(key({ config: { ...CANARY, numHiddenLayers: 9 } })).toBe(key())
    expect(kernelVersion('f32', 'f32')).toMatch(/^[0-9a-f]+$/)
    expect(kernelVersion('int4', 'f32')).not.toBe(kernelVersion('f32', 'f32'))
  })
})

it('only variants with the same bits are ever candidates', () => {
  expect(variantsLike('lanes', { quads: true })).toEqual(['lanes'])
  expect(variantsLike('threads', { quads: false })).toEqual(['threads'])
  expect(variantsLike(defaultChoice(SOFTWARE).matMul, SOFTWARE)).not.toContain('lanes')
})
