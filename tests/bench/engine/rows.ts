/** The rows of the benchmark, by their ids: what is made ready, checked against the reference, and timed in turns. */
import { kvBytesPerToken, matrixBytes } from '../../../swarm/model/span-bytes.ts'
import { createActivations } from '../../../web/engine/activations.ts'
import { planBlock } from '../../../web/engine/block.ts'
import { openGpu, type Gpu } from '../../../web/gpu/device.ts'
import { encode, type Dispatch, type StepShape } from '../../../web/gpu/kernel.ts'
import { attention } from '../../../web/gpu/kernels/attention.ts'
import {
  blockGraph,
  randomBlock,
  randomValues,
  referenceBlock,
  SHAPES,
  type BenchFormat,
  type BlockTensors,
  type Shape,
} from './block-model.ts'
import { OurGpu, OurWasm, THREADS, type Ours } from './ours.ts'
import { loadOrt, OrtBlock, type Ort } from './peers.ts'
import { expectClose, interleaved, median, rowOf, time, type BenchRow, type Samples, type Timed } from './timing.ts'
import { againstWllama } from './wllama-row.ts'

const CONTEXT = 128
const CHECKED_ROWS = 5
/** Relative to the largest value of the reference. int8 activations (accuracy level 4) are coarse by design. */
const TOLERANCE = { exact: 1e-4, int8Activations: 5e-2 }

let gpu: Promise<Gpu> | null = null
const orts = new Map<string, Promise<Ort>>()
let block: { key: string; tensors: BlockTensors } | null = null

const theGpu = (): Promise<Gpu> => (gpu ??= openGpu({ adapter: 'any' }))
function theOrt(provider: 'webgpu' | 'wasm'): Promise<Ort> {
  const found = orts.get(provider) ?? loadOrt(provider, THREADS)
  orts.set(provider, found)
  return found
}
function blockOf(shape: Shape): BlockTensors {
  if (block?.key !== shape) block = { key: shape, tensors: randomBlock(SHAPES[shape]) }
  return block.tensors
}

/** Our engine over the checked rows, at once and then again in two steps. */
async function checkOurs(name: string, ours: Ours, shape: Shape, format: BenchFormat): Promise<void> {
  const { hiddenSize: width } = SHAPES[shape]
  const x = randomValues(CHECKED_ROWS * width, 1, 99)
  const { y } = referenceBlock(SHAPES[shape], blockOf(shape), format, x)
  expectClose(`${name}, ${CHECKED_ROWS} rows`, (await ours.step([x], 0))[0]!, y, TOLERANCE.exact)
  const last = (CHECKED_ROWS - 1) * width
  const [one] = await ours.step([x.slice(last)], CHECKED_ROWS - 1)
  expectClose(`${name}, one row`, one!, y.subarray(last), TOLERANCE.exact)
}

async function checkOrt(
  name: string,
  ort: OrtBlock,
  shape: Shape,
  format: BenchFormat,
  tolerance: number,
): Promise<void> {
  const { hiddenSize: width, numKeyValueHeads: heads, headDim } = SHAPES[shape]
  const x = randomValues(CHECKED_ROWS * width, 1, 99)
  const { y, k, v } = referenceBlock(SHAPES[shape], blockOf(shape), format, x)
  const length = CHECKED_ROWS - 1
  const byHead = (rows: ArrayLike<number>): Float32Array =>
    Float32Array.from({ length: heads * length * headDim }, (_, i) => {
      const [head, t, d] = [Math.floor(i / (length * headDim)), Math.floor(i / headDim) % length, i % headDim]
      return rows[(t * heads + head) * headDim + d]!
    })
  const one = await ort.run(x.slice(length * width), ort.past(byHead(k), byHead(v), length), length)
  expectClose(`${name}, one row`, one, y.subarray(length * width), tolerance)
}

/** A block of onnxruntime, checked, and its work: one token at the context, or a prefill of it. */
async function ortWork(
  provider: 'webgpu' | 'wasm',
  options: { shape: Shape; format: BenchFormat; level: number; prefill: boolean },
): Promise<{ work: Timed; release: () => Promise<void> }> {
  const { shape, format, level, prefill } = options
  const config = SHAPES[shape]
  const name = `onnxruntime ${provider} ${shape} ${format} level ${level}`
  const made = await OrtBlock.create(
    await theOrt(provider),
    provider,
    blockGraph(config, blockOf(shape), format, level),
    config,
  )
  await checkOrt(name, made, shape, format, level === 4 ? TOLERANCE.int8Activations : TOLERANCE.exact)
  const length = prefill ? 0 : CONTEXT - 1
  const kv = randomValues(length * config.numKeyValueHeads * config.headDim, 1, 7)
  const past = made.past(kv, kv, length)
  const x = randomValues((prefill ? CONTEXT : 1) * config.hiddenSize, 1, 3)
  return { work: () => made.run(x, past, length), release: () => made.release() }
}

async function ourEngine(
  kind: 'wgsl' | 'wasm',
  options: {
    shape: Shape
    format: BenchFormat
    sessions?: number
    maxTokens?: number
    fill?: number | readonly number[]
  },
): Promise<Ours> {
  const { shape, format, sessions = 1, maxTokens = CONTEXT, fill = 0 } = options
  const made = { config: SHAPES[shape], tensors: blockOf(shape), format, blocks: 1, sessions, maxTokens }
  const ours = kind === 'wgsl' ? await OurGpu.create(await theGpu(), made) : await OurWasm.create(made)
  await checkOurs(`${kind} ${shape} ${format}`, ours, shape, format)
  if (ours instanceof OurWasm)
    await ours.fill(typeof fill === 'number' ? Array.from({ length: sessions }, () => fill) : fill)
  return ours
}

async function againstOrt(
  id: string,
  kind: 'wgsl' | 'wasm',
  { shape, format, prefill }: { shape: Shape; format: BenchFormat; prefill: boolean },
): Promise<BenchRow> {
  const ours = await ourEngine(kind, { shape, format, fill: prefill ? 0 : CONTEXT - 1 })
  const x = randomValues((prefill ? CONTEXT : 1) * SHAPES[shape].hiddenSize, 1, 3)
  const a: Timed = () => ours.step([x.slice()], prefill ? 0 : CONTEXT - 1)
  const provider = kind === 'wgsl' ? 'webgpu' : 'wasm'
  const levels = format === 'int4' && provider === 'wasm' ? [0, 4] : [0]
  const rows: BenchRow[] = []
  const rounds = kind === 'wgsl' ? 5 : prefill ? 9 : 31
  for (const level of levels) {
    const peer = await ortWork(provider, { shape, format, level, prefill })
    rows.push(rowOf(id, await interleaved(a, peer.work, rounds), ['ours', `onnxruntime (level ${level})`]))
    await peer.release()
  }
  await ours.dispose()
  // The better of the two accuracy levels is the one that counts.
  return rows.toSorted((x1, x2) => x1.ratio - x2.ratio)[0] as BenchRow
}

async function batch8(id: string, kind: 'wgsl' | 'wasm'): Promise<BenchRow> {
  const sessions = 8
  const ours = await ourEngine(kind, { shape: '1b', format: 'int4', sessions, fill: CONTEXT - 1 })
  const x = (): Float32Array => randomValues(SHAPES['1b'].hiddenSize, 1, 3)
  const all: Timed = () => ours.step(Array.from({ length: sessions }, x), CONTEXT - 1)
  const one: Timed = () => ours.step([x()], CONTEXT - 1)
  const samples = await interleaved(all, one, kind === 'wgsl' ? 7 : 15)
  await ours.dispose()
  return rowOf(id, samples, ['eight sessions', 'one session'], sessions)
}

async function context4k(id: string, kind: 'wgsl' | 'wasm'): Promise<BenchRow> {
  const config = SHAPES['1b']
  // A session for each context: the WebAssembly engine goes back in a session, and never ahead.
  const contexts = [8, CONTEXT, 1024, 4096]
  const fill = contexts.map((context) => context - 1)
  const ours = await ourEngine(kind, { shape: '1b', format: 'int4', sessions: contexts.length, maxTokens: 4096, fill })
  const x = (): Float32Array => randomValues(config.hiddenSize, 1, 3)
  const notes: string[] = []
  for (const context of [8, 1024]) {
    const { b } = await interleaved(
      async () => undefined,
      () => at(context),
      3,
    )
    notes.push(`context ${context} ${median(b).toFixed(1)} ms`)
  }
  function at(context: number): Promise<unknown> {
    return ours.step([x()], context - 1, contexts.indexOf(context))
  }
  const samples = await interleaved(
    () => at(CONTEXT),
    () => at(4096),
    kind === 'wgsl' ? 7 : 15,
  )
  await ours.dispose()
  const row = rowOf(id, samples, ['context 128', 'context 4096'])
  const qkvRows = (config.numAttentionHeads + 2 * config.numKeyValueHeads) * config.headDim
  const { hiddenSize: h, intermediateSize: m } = config
  const weights = [
    [qkvRows, h],
    [h, h],
    [2 * m, h],
    [h, m],
  ].reduce((sum, [r, w]) => sum + matrixBytes(r!, w!, 'int4'), 0)
  const limit = 1.15 * (1 + (4096 * kvBytesPerToken(config, 'f32')) / weights)
  return { ...row, note: `${notes.join(', ')}, ${row.note}; at most ${limit.toFixed(2)}` }
}

/** A whole step of 30 blocks against its dispatches, each timed as 60 of them over the weights of all blocks in one submit. */
async function wholeStep(id: string): Promise<BenchRow> {
  const [blocks, config] = [30, SHAPES['135m']]
  const found = await theGpu()
  const options = { config, tensors: blockOf('135m'), format: 'f32', blocks, sessions: 1, maxTokens: CONTEXT } as const
  const ours = await OurGpu.create(found, options)
  await checkSpan(ours, blocks)
  const activations = createActivations(found, config, ours.weights.span, CONTEXT)
  const own = ours.kernels.createStep()
  const step: StepShape = { rows: 1, position: CONTEXT - 1, splits: 1, first: 0 }
  ours.kernels.writeStep(step)
  ours.kernels.writeStep(step, own)
  const lists = ours.weights.blocks.map((weights, i): Dispatch[] => {
    const { before, after } = planBlock(ours.kernels, config, weights, activations)
    const kv = ours.caches[0]!.blocks[i]!
    const all = [...before, ...attention(ours.kernels, config, activations.attention, kv, own), ...after]
    return all.filter((dispatch) => dispatch.plan(step) !== null)
  })
  const kinds = lists[0]!.length
  const one = async (kind: number): Promise<number> => {
    const started = performance.now()
    const encoder = found.device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    for (let i = 0; i < 2 * blocks; i += 1) encode(pass, lists[i % blocks]![kind]!, step)
    pass.end()
    found.device.queue.submit([encoder.finish()])
    await found.device.queue.onSubmittedWorkDone()
    return (performance.now() - started) / 2
  }
  const x = randomValues(config.hiddenSize, 1, 3)
  const samples: Samples = { a: [], b: [] }
  for (let round = -1; round < 5; round += 1) {
    let sum = 0
    for (let kind = 0; kind < kinds; kind += 1) sum += await one(kind)
    const whole = await time(() => ours.step([x], CONTEXT - 1))
    if (round < 0) continue
    samples.a.push(sum)
    samples.b.push(whole)
  }
  own.destroy()
  activations.destroy()
  await ours.dispose()
  return rowOf(id, samples, [`${kinds * blocks} dispatches`, 'whole step'])
}

async function checkSpan(ours: OurGpu, blocks: number): Promise<void> {
  const config = SHAPES['135m']
  let x: Float32Array = randomValues(config.hiddenSize, 1, 99)
  const [found] = await ours.step([x.slice()], 0)
  let y: Float64Array = Float64Array.from(x)
  for (let i = 0; i < blocks; i += 1) {
    y = referenceBlock(config, blockOf('135m'), 'f32', x).y
    x = Float32Array.from(y)
  }
  expectClose(`wgsl, ${blocks} blocks`, found!, y, 10 * TOLERANCE.exact)
}

type Make = (id: string) => Promise<BenchRow>
const ort =
  (kind: 'wgsl' | 'wasm', shape: Shape, format: BenchFormat, prefill = false): Make =>
  (id) =>
    againstOrt(id, kind, { shape, format, prefill })

export const ROWS: Readonly<Record<string, Make>> = {
  'decode-135m-f32': ort('wgsl', '135m', 'f32'),
  'decode-135m-int4': ort('wgsl', '135m', 'int4'),
  'prefill-135m-f32': ort('wgsl', '135m', 'f32', true),
  'prefill-135m-int4': ort('wgsl', '135m', 'int4', true),
  'wasm-135m-f32': ort('wasm', '135m', 'f32'),
  'wasm-135m-int4': ort('wasm', '135m', 'int4'),
  'wasm-prefill-135m-f32': ort('wasm', '135m', 'f32', true),
  'step-135m-f32': wholeStep,
  'wllama-135m-int8': (id) => againstWllama(id, 'int8'),
  'wllama-135m-int4': (id) => againstWllama(id, 'int4'),
  'decode-1b-f32': ort('wgsl', '1b', 'f32'),
  'decode-1b-int4': ort('wgsl', '1b', 'int4'),
  'wasm-1b-f32': ort('wasm', '1b', 'f32'),
  'wasm-1b-int4': ort('wasm', '1b', 'int4'),
  'batch8-wgsl-1b-int4': (id) => batch8(id, 'wgsl'),
  'batch8-wasm-1b-int4': (id) => batch8(id, 'wasm'),
  'context-4k-wgsl-1b-int4': (id) => context4k(id, 'wgsl'),
  'context-4k-wasm-1b-int4': (id) => context4k(id, 'wasm'),
}

/** The adapter's name and how fast it copies, in GB/s (read and written bytes counted once). */
export async function adapter(): Promise<{ description: string; copyGBs: number }> {
  const { device, description } = await theGpu()
  const [size, copies] = [64 * 1024 * 1024, 8]
  const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST
  const [from, to] = [device.createBuffer({ size, usage }), device.createBuffer({ size, usage })]
  const copy = async (): Promise<void> => {
    const encoder = device.createCommandEncoder()
    for (let i = 0; i < copies; i += 1) encoder.copyBufferToBuffer(from, 0, to, 0, size)
    device.queue.submit([encoder.finish()])
    await device.queue.onSubmittedWorkDone()
  }
  await copy()
  const times: number[] = []
  for (let i = 0; i < 5; i += 1) times.push(await time(copy))
  from.destroy()
  to.destroy()
  return { description, copyGBs: (copies * size) / median(times) / 1e6 }
}
