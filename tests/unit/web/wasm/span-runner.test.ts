/**
 * `createWasmSpanRunner` in Node: every fixture and the embedded model against logits of an independent implementation, the rules that
 * every runner keeps, and equality of bits however the same tokens are batched, cut and interleaved.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { MAX_SESSIONS } from '../../../../swarm/limits.ts'
import { WEIGHT_FORMATS, type WeightFormat } from '../../../../swarm/model/config.ts'
import type { LogitsRow, SpanRunner } from '../../../../swarm/span-runner.ts'
import { ENGINE_MAX_ROWS, spanBytes } from '../../../../swarm/model/span-bytes.ts'
import { compileKernels } from '../../../../web/wasm/kernels.ts'
import { createWasmSpanRunner, type WasmRunnerOptions } from '../../../../web/wasm/span-runner.ts'
import { WasmWeights } from '../../../../web/wasm/weights.ts'
import { measureThroughput } from '../../../../web/engine/measure.ts'
import type { FixtureName, FixtureReference } from '../../../reference/fixtures.ts'
import { fixtureFolder, fixtureFrequencies, FIXTURES, inFormat } from '../../../reference/fixtures.ts'
import type { ModelFiles } from '../../../reference/model-files.ts'
import { asF32, readJson, readModel, readSafetensors } from '../../../reference/model-files.ts'
import { readRepositoryFile } from '../../../reference/node-files.ts'
import { createReferenceRunner } from '../../../reference/runner.ts'
import { duringAPrefill, randomInterleavings } from '../../../support/interleavings.ts'
import { prefixRules } from '../../../support/prefix-rules.ts'
import { runnerRules } from '../../../support/runner-rules.ts'
import {
  bitsThatDiffer,
  byId,
  greedy,
  maxDelta,
  ok,
  putTensors,
  SpanChain,
  spansBetween,
} from '../../../support/span-chain.ts'
import { seededRandom } from '../../swarm/planner/support.ts'

interface TrainedReference {
  input_ids: number[]
  greedy: number[]
  steps_before_a_near_tie?: number
}

/** Of the issue, and of the WGSL engine: max |Δlogit|. */
const TOLERANCE = 1e-3

let module: WebAssembly.Module
beforeAll(async () => {
  module = await compileKernels()
})

async function chainOf(
  model: ModelFiles,
  format: WeightFormat,
  options: WasmRunnerOptions & { cuts?: number[] },
): Promise<SpanChain> {
  const { cuts = [], ...runnerOptions } = options
  const runners: SpanRunner[] = []
  for (const span of spansBetween(cuts, model.config.numHiddenLayers)) {
    const weights = new WasmWeights(model.config, span, format)
    await putTensors(weights, model, span)
    runners.push(await createWasmSpanRunner(module, weights, runnerOptions))
  }
  return new SpanChain(model.config, runners)
}

const readFixture = (name: FixtureName): Promise<ModelFiles> => readModel(readRepositoryFile, fixtureFolder(name))

/** Logits of all positions of a fixture, `[T, vocabSize]`: the kept ones, or those of the plain reference on rounded weights. */
async function expectedLogits(name: FixtureName, model: ModelFiles, ids: number[], format: WeightFormat) {
  if (format === 'f32') {
    const kept = await readSafetensors(readRepositoryFile, `${fixtureFolder(name)}/reference.safetensors`)
    return asF32(kept.get('logits')!)
  }
  const { config } = model
  const span = { start: 0, end: config.numHiddenLayers }
  const frequencies = fixtureFrequencies(config, name)
  const runner = createReferenceRunner(config, inFormat(model, format), span, { cacheTokens: ids.length, frequencies })
  const session = 'f'.repeat(32)
  await runner.openSession({ session, span, maxTokens: ids.length })
  const out = new Float32Array(ids.length * config.vocabSize)
  for (const [position, id] of ids.entries()) {
    const step = { session, position, rows: 1, tokens: Uint32Array.of(id), logits: { topK: 0 } }
    out.set(byId(ok((await runner.step([step]))[0]).logits!), position * config.vocabSize)
  }
  return out
}

async function checkFixture(name: FixtureName, format: WeightFormat): Promise<void> {
  const model = await readFixture(name)
  const { vocabSize, numHiddenLayers: blocks } = model.config
  const reference = (await readJson(readRepositoryFile, `${fixtureFolder(name)}/reference.json`)) as FixtureReference
  const ids = reference.input_ids
  const expected = await expectedLogits(name, model, ids, format)
  const options = { cacheTokens: 200, ropeFrequencies: Float32Array.from(fixtureFrequencies(model.config, name)) }
  const chain = await chainOf(model, format, options)
  const decode = await chain.open(64)
  let last: LogitsRow | null = null
  for (const [position, id] of ids.entries()) {
    last = await decode.step([id])
    const wanted = expected.subarray(position * vocabSize, (position + 1) * vocabSize)
    expect(maxDelta(last, wanted), `position ${position}`).toBeLessThanOrEqual(TOLERANCE)
  }
  if (format === 'f32') expect(await greedy(decode, last!, reference.greedy.length)).toEqual(reference.greedy)
  await decode.close()

  const prefilled = await (await chain.open(64)).step(ids)
  const chunked = await chain.open(64)
  for (const [begin, end] of [
    [0, 7],
    [7, 8],
    [8, 31],
  ]) {
    await chunked.step(ids.slice(begin, end))
  }
  const inChunks = await chunked.step(ids.slice(31))
  await chain.dispose()

  const count = Math.min(4, blocks)
  const cuts = Array.from({ length: count - 1 }, (_, i) => Math.round(((i + 1) * blocks) / count))
  const parts = await chainOf(model, format, { ...options, cuts })
  const overSpans = await (await parts.open(64)).step(ids)
  await parts.dispose()
  expect([prefilled, inChunks, overSpans].map((row) => bitsThatDiffer(row, last!))).toEqual([0, 0, 0])
}

describe('fixtures: logits of all positions, greedy ids; prefill, chunks and spans give the bits of decode', () => {
  it.each(FIXTURES)('%s, f32', (name) => checkFixture(name, 'f32'))
  describe.each(['f16', 'int8', 'int4'] as const)('%s', (format) => {
    it.each(['mha-f16', 'odd-sizes-f32', 'biases-f32', 'plain-tied-f32'] as const)('%s', (name) =>
      checkFixture(name, format),
    )
  })
})

it('keeps the rules of every runner on sessions, positions, budgets and bad input', async () => {
  const make = (model: ModelFiles, cacheTokens: number): Promise<SpanChain> => chainOf(model, 'f32', { cacheTokens })
  expect(await runnerRules(make, await readFixture('untied-bf16-sharded'))).toEqual([])
})

it('shares the rows of a prefix between sessions of one peer, bit for bit', async () => {
  const make = (model: ModelFiles, cacheTokens: number): Promise<SpanChain> => chainOf(model, 'f32', { cacheTokens })
  expect(await prefixRules(make, await readFixture('odd-sizes-f32'))).toEqual([])
  expect(await prefixRules(make, await readFixture('group3-bf16'))).toEqual([])
})

it.each(WEIGHT_FORMATS)('%s: random interleavings of sessions give each the bits it has alone', async (format) => {
  const model = await readFixture('group3-bf16')
  const [runner] = (await chainOf(model, format, { cacheTokens: 600 })).runners as [SpanRunner]
  const { vocabSize } = model.config
  const options = { sessions: MAX_SESSIONS, tokens: 60, vocabSize, random: seededRandom(7) }
  const { compared, differ, shared } = await randomInterleavings(runner, options)
  expect(differ).toBe(0)
  expect(Math.min(compared, 10 * shared)).toBeGreaterThan(60)
  await runner.dispose()
})

it('lets tokens and openings of others pass between the chunks of a prefill, bit for bit', async () => {
  const chain = await chainOf(await readFixture('group3-bf16'), 'f32', { cacheTokens: 320 })
  expect(await duringAPrefill(chain.runners[0]!)).toEqual({ order: 'abx', differ: 0 })
  await chain.dispose()
})

it('the embedded model over four spans: prompt logits and greedy ids', async () => {
  const model = await readModel(readRepositoryFile, 'models/tinytales')
  const folder = 'tests/fixtures/models/tinytales'
  const references = (await readJson(readRepositoryFile, `${folder}/reference.json`)) as TrainedReference[]
  const logits = await readSafetensors(readRepositoryFile, `${folder}/reference.safetensors`)
  const chain = await chainOf(model, 'f32', { cacheTokens: 256, cuts: [2, 4, 6] })
  for (const [index, reference] of references.slice(0, 4).entries()) {
    const session = await chain.open(256)
    let row = await session.step(reference.input_ids)
    expect(maxDelta(row, asF32(logits.get(`${index}.prompt_last_logits`)!))).toBeLessThanOrEqual(TOLERANCE)
    for (const id of reference.greedy.slice(0, Math.min(24, reference.steps_before_a_near_tie ?? 24))) {
      expect(row.ids[0]).toBe(id)
      row = await session.step([id], 5)
    }
    await session.close()
  }
})

describe('memory', () => {
  it.each([
    ['models/tinytales', 'f32'],
    ['models/tinytales', 'int4'],
    ['tests/fixtures/models/odd-sizes-f32', 'f32'],
  ] as const)('%s in %s: never more than the plan', async (folder, format) => {
    const model = await readModel(readRepositoryFile, folder)
    const span = { start: 0, end: model.config.numHiddenLayers }
    const cacheTokens = 4096
    const weights = new WasmWeights(model.config, span, format)
    await putTensors(weights, model, span)
    await createWasmSpanRunner(module, weights, { cacheTokens })
    const planned = spanBytes(model.config, span, format, { cacheTokens, maxRows: ENGINE_MAX_ROWS })
    expect(weights.memory.bytes).toBeLessThanOrEqual(planned.total)
    expect(weights.memory.memory.buffer.byteLength).toBeLessThanOrEqual(planned.total + 65_536)
    expect(weights.memory.bytes).toBeGreaterThan(planned.weights + planned.kvCache)
  })

  it('a span that no WebAssembly memory holds is refused in a sentence', async () => {
    const { config: small } = await readFixture('one-block-f32')
    const sizes = {
      hiddenSize: 4096,
      intermediateSize: 14_336,
      numAttentionHeads: 32,
      numKeyValueHeads: 8,
      headDim: 128,
    }
    const config = { ...small, ...sizes, vocabSize: 128_256, numHiddenLayers: 32 }
    expect(() => new WasmWeights(config, { start: 0, end: 8 }, 'f32')).toThrow(
      expect.objectContaining({ code: 'OUT_OF_MEMORY', message: expect.stringContaining('4 GiB') as string }),
    )
  })

  it('incomplete weights are refused', async () => {
    const model = await readFixture('one-block-f32')
    const weights = new WasmWeights(model.config, { start: 0, end: 1 }, 'f32')
    await expect(createWasmSpanRunner(module, weights, { cacheTokens: 8 })).rejects.toMatchObject({
      code: 'BAD_SAFETENSORS',
    })
  })
})

it('a long step lets messages in, and ends with GPU_LOST when the runner is disposed meanwhile', async () => {
  const model = await readFixture('blocks32-bf16-sharded')
  const chain = await chainOf(model, 'f32', { cacheTokens: 256 })
  const session = await chain.open(256)
  const step = session.step(Array.from({ length: 250 }, (_, i) => i))
  const ended = expect(step).rejects.toMatchObject({ code: 'GPU_LOST' })
  await chain.dispose()
  await ended
  await expect(chain.runners[0]!.step([])).rejects.toMatchObject({ code: 'GPU_LOST' })
})

it('measures its throughput', async () => {
  const model = await readModel(readRepositoryFile, 'models/tinytales')
  const chain = await chainOf(model, 'f16', { cacheTokens: 64 })
  const { blockStepsPerSecond } = await measureThroughput(chain.runners[0]!, model.config)
  expect(blockStepsPerSecond).toBeGreaterThan(1)
  await chain.dispose()
})
