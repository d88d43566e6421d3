/**
 * `npm run bench`: a block of the shape of Llama-3.2-1B in int4 by WebAssembly in Node, by one thread and by two: a token at context 128
 * and at 4k, and eight sessions in one batch. Threads are interleaved; least and median, and the ratios that matter.
 */
import { afterAll, expect, it } from 'vitest'
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { spanTensors, tensorElements } from '../../swarm/model/tensors.ts'
import type { SpanRunner, StepInput } from '../../swarm/span-runner.ts'
import { compileKernels } from '../../web/wasm/kernels.ts'
import { createWasmSpanRunner } from '../../web/wasm/span-runner.ts'
import { WasmWeights } from '../../web/wasm/weights.ts'
import { startNodeThread } from '../support/node-thread.ts'
import { ok } from '../support/span-chain.ts'

const CONFIG: LlamaConfig = {
  hiddenSize: 2048,
  intermediateSize: 8192,
  numHiddenLayers: 16,
  numAttentionHeads: 32,
  numKeyValueHeads: 8,
  headDim: 64,
  vocabSize: 128_256,
  maxPositionEmbeddings: 8192,
  rmsNormEps: 1e-5,
  ropeTheta: 500_000,
  ropeScaling: null,
  attentionBias: false,
  mlpBias: false,
  tieWordEmbeddings: true,
  bosTokenId: null,
  eosTokenIds: [],
  dtype: null,
}
const SPAN = { start: 8, end: 9 }
const [SHORT, LONG, SESSIONS, REPEATS] = [128, 4096, 8, 9]

const rows: string[] = []
afterAll(() => console.log(`\n${rows.join('\n')}\n`))

async function makeRunner(module: WebAssembly.Module, count: number): Promise<SpanRunner> {
  const weights = new WasmWeights(CONFIG, SPAN, 'int4', true)
  for (const spec of spanTensors(CONFIG, SPAN)) {
    const values = Float32Array.from({ length: tensorElements(spec) }, (_, i) => ((i * 7919) % 1000) / 10_000 - 0.05)
    await weights.put(spec, 'F32', new Uint8Array(values.buffer), 0)
  }
  const cacheTokens = LONG + 1 + SESSIONS * (SHORT + 1)
  return await createWasmSpanRunner(module, weights, {
    cacheTokens,
    threads: { count, start: () => startNodeThread() },
  })
}

const idOf = (index: number): string => index.toString(16).padStart(32, '0')

function stepOf(index: number, position: number, count: number): StepInput {
  const hidden = Float32Array.from({ length: count * CONFIG.hiddenSize }, (_, i) => Math.sin(i + position + index))
  return { session: idOf(index), position, rows: count, hidden }
}

async function time(runner: SpanRunner, batch: StepInput[]): Promise<number> {
  const started = performance.now()
  const outputs = await runner.step(batch)
  const ms = performance.now() - started
  outputs.forEach(ok)
  return ms
}

const median = (samples: readonly number[]): number =>
  samples.toSorted((a, b) => a - b)[Math.floor(samples.length / 2)] as number
const told = (samples: readonly number[]): string =>
  `${Math.min(...samples).toFixed(1)}, ${median(samples).toFixed(1)} ms`

it('a Llama-3.2-1B-shaped block in int4', async () => {
  const module = await compileKernels(true)
  const counts = [1, 2]
  const runners = await Promise.all(counts.map((count) => makeRunner(module, count)))
  const times = counts.map(() => ({ one: [] as number[], long: [] as number[], batch: [] as number[] }))
  for (const runner of runners) {
    for (let i = 0; i < SESSIONS; i += 1) {
      await runner.openSession({ session: idOf(i), span: SPAN, maxTokens: SHORT + 1 })
      await time(runner, [stepOf(i, 0, SHORT)])
    }
    await runner.openSession({ session: idOf(SESSIONS), span: SPAN, maxTokens: LONG + 1 })
    for (let position = 0; position < LONG; position += 512) await time(runner, [stepOf(SESSIONS, position, 512)])
  }
  for (let repeat = 0; repeat < REPEATS; repeat += 1) {
    for (const [at, runner] of runners.entries()) {
      times[at]!.one.push(await time(runner, [stepOf(0, SHORT, 1)]))
      times[at]!.long.push(await time(runner, [stepOf(SESSIONS, LONG, 1)]))
      await runner.truncateSession(idOf(0), SHORT)
      times[at]!.batch.push(
        await time(
          runner,
          Array.from({ length: SESSIONS }, (_, i) => stepOf(i, SHORT, 1)),
        ),
      )
      for (let i = 0; i < SESSIONS; i += 1) await runner.truncateSession(idOf(i), SHORT)
      await runner.truncateSession(idOf(SESSIONS), LONG)
    }
  }
  for (const [at, count] of counts.entries()) {
    const { one, long, batch } = times[at]!
    const gain = (SESSIONS * median(one)) / median(batch)
    rows.push(
      `wasm int4, ${count} thread(s): at ${SHORT} ${told(one)}; at ${LONG} ${told(long)} (${(median(long) / median(one)).toFixed(2)} times); ` +
        `${SESSIONS} sessions ${told(batch)} (${gain.toFixed(2)} times the tokens)`,
    )
  }
  for (const runner of runners) await runner.dispose()
  expect(rows).toHaveLength(counts.length)
})
