/**
 * `npm run bench`: the WebAssembly backend in Node, on one thread: a block of the shape of SmolLM2-135M with random weights, decoding
 * at context 128, eight sessions in one batch, and a prefill of 128 tokens. Four blocks, so that weights come from memory and not
 * from a cache. Formats are interleaved; medians with least and most.
 */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { WEIGHT_FORMATS, type LlamaConfig, type WeightFormat } from '../../swarm/model/config.ts'
import { spanTensors, tensorElements } from '../../swarm/model/tensors.ts'
import type { SpanRunner, StepInput } from '../../swarm/span-runner.ts'
import { compileKernels } from '../../web/wasm/kernels.ts'
import { createWasmSpanRunner } from '../../web/wasm/span-runner.ts'
import { WasmWeights } from '../../web/wasm/weights.ts'
import { ok } from '../support/span-chain.ts'

const BLOCKS = 4
const CONTEXT = 128
const SESSIONS = 8
const REPEATS = 15

/** The blocks of SmolLM2-135M, taken from the middle of the model: no embedding table, no head. */
const CONFIG: LlamaConfig = {
  hiddenSize: 576,
  intermediateSize: 1536,
  numHiddenLayers: 30,
  numAttentionHeads: 9,
  numKeyValueHeads: 3,
  headDim: 64,
  vocabSize: 49_152,
  maxPositionEmbeddings: 8192,
  rmsNormEps: 1e-5,
  ropeTheta: 100_000,
  ropeScaling: null,
  attentionBias: false,
  mlpBias: false,
  tieWordEmbeddings: true,
  bosTokenId: null,
  eosTokenIds: [],
  dtype: null,
}
const SPAN = { start: 8, end: 8 + BLOCKS }
/** Multiplications and additions of one row through the matrices of one block. */
const BLOCK_FLOPS =
  2 *
  spanTensors(CONFIG, { start: 8, end: 9 })
    .filter(({ kind }) => kind === 'matrix')
    .reduce((sum, spec) => sum + tensorElements(spec), 0)

const rows: string[] = []
afterAll(() => console.log(`\n${rows.join('\n')}\n`))

let module: WebAssembly.Module
beforeAll(async () => {
  module = await compileKernels()
})

async function makeRunner(format: WeightFormat): Promise<SpanRunner> {
  const weights = new WasmWeights(CONFIG, SPAN, format)
  for (const spec of spanTensors(CONFIG, SPAN)) {
    const values = Float32Array.from({ length: tensorElements(spec) }, (_, i) => Math.sin(i * 12.9898) * 0.05)
    await weights.put(spec, 'F32', new Uint8Array(values.buffer), 0)
  }
  return createWasmSpanRunner(module, weights, { cacheTokens: SESSIONS * (CONTEXT + REPEATS + 1) })
}

const idOf = (index: number): string => index.toString(16).padStart(32, '0')

function stepOf(index: number, position: number, count: number): StepInput {
  const hidden = Float32Array.from({ length: count * CONFIG.hiddenSize }, (_, i) => Math.sin(i + position + index))
  return { session: idOf(index), position, rows: count, hidden }
}

/** Milliseconds of one batch. */
async function time(runner: SpanRunner, batch: StepInput[]): Promise<number> {
  const started = performance.now()
  const outputs = await runner.step(batch)
  const ms = performance.now() - started
  outputs.forEach(ok)
  return ms
}

function report(name: string, samples: readonly number[], tokens: number): void {
  const perBlock = samples.map((ms) => ms / BLOCKS).toSorted((a, b) => a - b)
  const median = perBlock[Math.floor(perBlock.length / 2)] as number
  const gflops = (BLOCK_FLOPS * tokens) / median / 1e6
  const range = `${perBlock[0]!.toFixed(2)}–${perBlock.at(-1)!.toFixed(2)}`
  rows.push(`${name.padEnd(44)} ${median.toFixed(2).padStart(8)} ms a block (${range}), ${gflops.toFixed(1)} GFLOP/s`)
}

it('a SmolLM2-135M-shaped block', async () => {
  const runners = await Promise.all(WEIGHT_FORMATS.map(makeRunner))
  const times = WEIGHT_FORMATS.map(() => ({ prefill: [] as number[], decode: [] as number[], batch: [] as number[] }))
  for (const runner of runners) {
    for (let i = 0; i < SESSIONS; i += 1) {
      await runner.openSession({ session: idOf(i), span: SPAN, maxTokens: CONTEXT + REPEATS + 1 })
    }
  }
  for (let i = 0; i < SESSIONS; i += 1) {
    for (const [at, runner] of runners.entries()) times[at]!.prefill.push(await time(runner, [stepOf(i, 0, CONTEXT)]))
  }
  for (let repeat = 0; repeat < REPEATS; repeat += 1) {
    for (const [at, runner] of runners.entries()) {
      const position = CONTEXT + repeat
      times[at]!.decode.push(await time(runner, [stepOf(0, position, 1)]))
      const others = Array.from({ length: SESSIONS - 1 }, (_, i) => stepOf(i + 1, position, 1))
      await runner.truncateSession(idOf(0), position)
      times[at]!.batch.push(await time(runner, [stepOf(0, position, 1), ...others]))
    }
  }
  for (const [at, format] of WEIGHT_FORMATS.entries()) {
    report(`wasm ${format}: decode at ${CONTEXT}`, times[at]!.decode, 1)
    report(`wasm ${format}: ${SESSIONS} sessions batched at ${CONTEXT}`, times[at]!.batch, SESSIONS)
    report(`wasm ${format}: prefill of ${CONTEXT}`, times[at]!.prefill, CONTEXT)
  }
  for (const runner of runners) await runner.dispose()
  expect(rows.length).toBe(3 * WEIGHT_FORMATS.length)
})
