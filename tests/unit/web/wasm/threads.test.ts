/** Threads over one memory: the same bits as one thread, ranges that cover everything once, and what happens when a thread dies. */
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WEIGHT_FORMATS, type LlamaConfig, type WeightFormat } from '../../../../swarm/model/config.ts'
import { paddedWidth } from '../../../../swarm/model/span-bytes.ts'
import type { LogitsRow } from '../../../../swarm/span-runner.ts'
import { storeRows } from '../../../../web/engine/quantize.ts'
import { compileKernels, type Kernels } from '../../../../web/wasm/kernels.ts'
import { WasmMemory } from '../../../../web/wasm/memory.ts'
import { createWasmSpanRunner } from '../../../../web/wasm/span-runner.ts'
import { countComputingTabs, joinComputingTabs, threadCount } from '../../../../web/wasm/thread-count.ts'
import { usefulThreads, WasmThreads } from '../../../../web/wasm/threads.ts'
import { WasmWeights } from '../../../../web/wasm/weights.ts'
import { fixtureFolder } from '../../../reference/fixtures.ts'
import { readModel, type ModelFiles } from '../../../reference/model-files.ts'
import { readRepositoryFile } from '../../../reference/node-files.ts'
import { asLocks, FakeLocks } from '../../../support/fake-locks.ts'
import { bitsThatDiffer, ok, putTensors, SpanChain } from '../../../support/span-chain.ts'
import { seededRandom } from '../../swarm/planner/support.ts'
import { startNodeThread, type NodeThread } from '../../../support/node-thread.ts'
import { padRows } from './wasm-lab.ts'

/** Enough for every shape below. */
const ROOM = { hiddenSize: 640, intermediateSize: 640, numAttentionHeads: 1, headDim: 128 } as LlamaConfig
const POISON = 0x7fc5a5a5

let module: WebAssembly.Module
let model: ModelFiles
beforeAll(async () => {
  module = await compileKernels(true)
  model = await readModel(readRepositoryFile, fixtureFolder('group3-bf16'))
})

const running: WasmThreads[] = []
afterEach(() => running.splice(0).forEach((threads) => threads.stop()))

/** The same inputs in a memory of its own, computed by so many threads, each woken for the smallest work. */
class Bench {
  readonly memory = new WasmMemory(true)
  readonly unpacked = this.memory.takeWords('unpacked', 8 * 640)
  readonly format: WeightFormat
  kernels!: Kernels

  constructor(format: WeightFormat) {
    this.format = format
  }

  static async open(count: number, format: WeightFormat): Promise<Bench> {
    const bench = new Bench(format)
    const options = { count, start: () => startNodeThread(), worth: 1 }
    const threads = await WasmThreads.start(module, bench.memory, { config: ROOM, format }, options)
    running.push(threads)
    bench.kernels = threads.kernels
    return bench
  }

  put(bytes: Float32Array | Uint8Array): number {
    const at = this.memory.take('input', bytes.byteLength)
    this.memory.bytesAt(at, bytes.byteLength).set(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength))
    return at
  }

  poisoned(words: number): number {
    const at = this.memory.takeWords('output', words)
    this.memory.words(at, words).fill(POISON)
    return at
  }
}

const numbers = (random: () => number, length: number): Float32Array =>
  Float32Array.from({ length }, () => Math.fround(random() * 2 - 1))

describe.each(WEIGHT_FORMATS)('%s: the same bits by one, two and three threads', (format) => {
  it('mat_mul over random shapes', async () => {
    const benches = await Promise.all([1, 2, 3].map((count) => Bench.open(count, format)))
    const random = seededRandom(20_26)
    for (let round = 0; round < 25; round += 1) {
      const [rows, width, T] = [600, 640, 9].map((most) => 1 + Math.floor(random() * most)) as [number, number, number]
      const weights = storeRows(numbers(random, rows * width), width, format, 'w')
      const x = padRows(numbers(random, T * width), width)
      const stride = rows + 1
      const found = benches.map((bench) => {
        const [w, scales, input] = [weights.weights, weights.scales, x].map((data) => bench.put(data))
        const y = bench.poisoned(T * stride)
        bench.kernels.mat_mul(w!, scales!, input!, y, bench.unpacked, 0, rows, T, paddedWidth(width) / 4, stride)
        return bench.memory.words(y, T * stride).slice()
      })
      const shape = `${rows} x ${width}, T = ${T}`
      expect(found[0]!.filter((word) => word === POISON).length, shape).toBe(T)
      expect(found[1], shape).toEqual(found[0])
      expect(found[2], shape).toEqual(found[0])
    }
  })
})

it('attention over random shapes: the same bits by one, two and three threads', async () => {
  const benches = await Promise.all([1, 2, 3].map((count) => Bench.open(count, 'f32')))
  const random = seededRandom(6)
  for (let round = 0; round < 15; round += 1) {
    const kvHeads = 1 + Math.floor(random() * 3)
    const heads = kvHeads * (1 + Math.floor(random() * 4))
    const headDim = 2 * (1 + Math.floor(random() * 32))
    const [position, T] = [Math.floor(random() * 300), 1 + Math.floor(random() * 5)]
    const padded = paddedWidth(headDim)
    const q = padRows(numbers(random, T * heads * headDim), headDim)
    const [k, v] = [0, 1].map(() => padRows(numbers(random, kvHeads * (position + T) * headDim), headDim))
    const outWords = T * heads * headDim
    const found = benches.map((bench) => {
      const [queries, keys, values] = [q, k!, v!].map((data) => bench.put(data)) as [number, number, number]
      const [out, scratch] = [bench.poisoned(outWords), bench.memory.takeWords('scratch', 128 + 2 * padded)]
      const shape = [heads, kvHeads, headDim, position + T, heads * headDim] as const
      bench.kernels.attention(queries, keys, values, out, scratch, 0, T * kvHeads, position, ...shape)
      return bench.memory.words(out, outWords).slice()
    })
    expect(found[0]).not.toContain(POISON)
    expect(found[1]).toEqual(found[0])
    expect(found[2]).toEqual(found[0])
  }
})

describe('a span', () => {
  const started: NodeThread[] = []
  async function chain(count: number, format: WeightFormat, onLost?: (reason: string) => void): Promise<SpanChain> {
    const span = { start: 0, end: model.config.numHiddenLayers }
    const weights = new WasmWeights(model.config, span, format, true)
    await putTensors(weights, model, span)
    const start = (): NodeThread => {
      const thread = startNodeThread()
      started.push(thread)
      return thread
    }
    const threads = { count, start, worth: 1, patienceMs: 300 }
    const runner = await createWasmSpanRunner(module, weights, {
      cacheTokens: 64,
      threads,
      ...(onLost === undefined ? {} : { onLost }),
    })
    return new SpanChain(model.config, [runner])
  }

  it.each(WEIGHT_FORMATS)('%s: logits by three threads are those of one, bit for bit', async (format) => {
    const found: LogitsRow[] = []
    for (const count of [1, 3]) {
      const one = await chain(count, format)
      const session = 'a'.repeat(32)
      await one.runners[0]!.openSession({ session, span: one.runners[0]!.span, maxTokens: 40 })
      const tokens = Uint32Array.from({ length: 17 }, (_, i) => (i * 7) % model.config.vocabSize)
      const step = { session, position: 0, rows: 17, tokens, logits: { topK: 0 } }
      found.push(ok((await one.runners[0]!.step([step]))[0]).logits!)
      await one.runners[0]!.dispose()
    }
    expect(bitsThatDiffer(found[0]!, found[1]!)).toBe(0)
  })

  it('a thread that dies is a sentence, at once and for every step after', async () => {
    started.length = 0
    let lost = ''
    const one = await chain(3, 'f32', (reason) => {
      lost = reason
    })
    const runner = one.runners[0]!
    const session = 'a'.repeat(32)
    await runner.openSession({ session, span: runner.span, maxTokens: 8 })
    const step = (position: number) => ({ session, position, rows: 1, tokens: Uint32Array.of(1) })
    ok((await runner.step([{ ...step(0), logits: { topK: 1 } }]))[0])
    await started[1]!.worker.terminate()
    const message = /^a thread that computes for this tab is gone: (it ended|it gave no answer for 0\.3 s)/
    const broken = await runner.step([step(1)]).then(
      ([output]) => output,
      (error: unknown) => ({ error }),
    )
    expect(broken).toMatchObject({ error: { code: 'GPU_LOST', message: expect.stringMatching(message) } })
    expect(lost).toMatch(message)
    await runner.dispose()
  })
})

it('no more are woken than may compute just now: one alone needs none of the others', async () => {
  const format = 'f32'
  const memory = new WasmMemory(true)
  const ports: NodeThread[] = []
  let limit = 3
  const start = (): NodeThread => {
    const port = startNodeThread()
    ports.push(port)
    return port
  }
  const options = { count: 3, start, worth: 1, patienceMs: 200, limit: () => limit }
  const threads = await WasmThreads.start(module, memory, { config: ROOM, format }, options)
  running.push(threads)
  const at = memory.takeWords('input', 32 * 16)
  memory.floats(at, 32 * 16).fill(0.5)
  const [y, unpacked] = [memory.takeWords('output', 32), memory.takeWords('unpacked', 8 * 16)]
  const run = (): number[] => {
    memory.words(y, 32).fill(POISON)
    threads.kernels.mat_mul(at, 0, at, y, unpacked, 0, 32, 1, 4, 32)
    return [...memory.floats(y, 32)]
  }
  expect(run()).toEqual(Array(32).fill(4))
  await Promise.all(ports.map(({ worker }) => worker.terminate()))
  limit = 1
  expect(run()).toEqual(Array(32).fill(4))
  limit = 2
  expect(run).toThrow('a thread that computes for this tab is gone')
})

it('a thread that does not start is a sentence, and the others are ended', async () => {
  const memory = new WasmMemory(true)
  const ports: NodeThread[] = []
  const start = (): NodeThread => {
    const port = startNodeThread(ports.length === 1 ? 'throw new Error("no such script")' : undefined)
    ports.push(port)
    return port
  }
  const ended = (port: NodeThread): Promise<unknown> => new Promise((resolve) => port.worker.once('exit', resolve))
  await expect(
    WasmThreads.start(module, memory, { config: ROOM, format: 'f32' }, { count: 3, start }),
  ).rejects.toMatchObject({ code: 'GPU_LOST', message: expect.stringContaining('no such script') })
  await ended(ports[0]!)
})

describe('how many', () => {
  const page = { isIsolated: true, cores: 8, tabs: 1, wanted: null }
  it.each([
    [page, 8],
    [{ ...page, isIsolated: false }, 1],
    [{ ...page, isIsolated: false, wanted: 4 }, 1],
    [{ ...page, cores: 2, tabs: 4 }, 1],
    [{ ...page, cores: 16, tabs: 4 }, 4],
    [{ ...page, cores: 64 }, 8],
    [{ ...page, wanted: 2 }, 2],
    [{ ...page, cores: 2, wanted: 6 }, 2],
    [{ ...page, tabs: 0 }, 8],
  ])('%j: %i threads', (machine, count) => {
    expect(threadCount(machine)).toBe(count)
  })

  it('tabs of one browser count each other', async () => {
    const locks = asLocks(new FakeLocks())
    void locks.request('something else', {}, () => new Promise<never>(() => undefined))
    expect(await countComputingTabs(locks)).toBe(0)
    await joinComputingTabs(locks)
    await joinComputingTabs(locks)
    expect(await countComputingTabs(locks)).toBe(2)
  })

  it('never more than the largest matrix is worth', () => {
    const { config } = model
    expect(usefulThreads({ ...config, hiddenSize: 16, intermediateSize: 32 }, { start: 1, end: 2 })).toBe(1)
    expect(
      usefulThreads({ ...config, hiddenSize: 2048, intermediateSize: 8192 }, { start: 1, end: 2 }),
    ).toBeGreaterThan(8)
  })
})
