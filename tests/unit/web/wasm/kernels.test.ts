/**
 * Every WebAssembly kernel against the plain reference: one row and many, sizes that no vector divides, grouped queries, first and
 * last positions; outputs poisoned with NaN and guarded on both sides. What must not change a bit is compared by bits.
 */
import { describe, expect, it } from 'vitest'
import { WEIGHT_FORMATS } from '../../../../swarm/model/config.ts'
import { paddedWidth } from '../../../../swarm/model/span-bytes.ts'
import { ropeTable } from '../../../../web/engine/rope-tables.ts'
import { rowOfBest, TOP_K_HEADER } from '../../../../web/engine/top-k.ts'
import { asStored } from '../../../reference/fixtures.ts'
import { asF32 } from '../../../reference/model-files.ts'
import * as ops from '../../../reference/ops.ts'
import { WasmLab } from './wasm-lab.ts'

describe.each(WEIGHT_FORMATS)('%s', (format) => {
  it.each([
    [5, 4, 1],
    [1003, 84, 40],
    [257, 49, 3],
  ])('embed of a table %i x %i, T = %i', async (rows, width, T) => {
    const lab = await WasmLab.open(format)
    const table = lab.random(rows * width)
    const tokens = Uint32Array.from({ length: T }, (_, t) => (t === 0 ? rows - 1 : (t * 7919) % rows))
    const stride = paddedWidth(width)
    const out = lab.output(T * stride)
    lab.kernels.embed(...lab.matrix(table, width), lab.upload(tokens), out, T, stride / 4)
    lab.expectRows(
      'embed',
      out,
      ops.embed(asStored(table, width, format), width, tokens),
      { width, stride, between: 0 },
      0,
      0,
    )
  })

  it.each([
    [1, 1, 1],
    [4, 4, 1],
    [7, 5, 3],
    [8, 33, 1],
    [222, 84, 8],
    [85, 222, 9],
    [1003, 84, 1],
    [13, 31, 2],
    [130, 1536, 21],
    [70, 576, 64],
  ])('mat_mul %i x %i, T = %i: as the reference, and the same bits row by row and in parts', async (rows, width, T) => {
    const lab = await WasmLab.open(format)
    const [w, x] = [lab.random(rows * width), lab.random(T * width)]
    const groups = paddedWidth(width) / 4
    const [weights, scales] = lab.matrix(w, width)
    const input = lab.rows(x, width)
    // A stride past the rows: what lies between must not be touched.
    const stride = rows + 3
    const unpacked = lab.output(8 * paddedWidth(width))
    const run = (from: number, to: number, first: number, end: number, count: number): void =>
      lab.kernels.mat_mul(weights, scales, from, to, unpacked, first, end, count, groups, stride)
    const y = lab.output(T * stride)
    run(input, y, 0, rows, T)
    lab.expectRows('mat_mul', y, ops.matMul(x, asStored(w, width, format), rows, width), { width: rows, stride })
    lab.expectGuards('unpacked', unpacked, 8 * paddedWidth(width))

    const single = lab.output(T * stride)
    for (let t = 0; t < T; t += 1) run(input + t * groups * 16, single + t * stride * 4, 0, rows, 1)
    expect(lab.readWords(single, T * stride)).toEqual(lab.readWords(y, T * stride))
    const parts = lab.output(T * stride)
    const cuts = [0, Math.floor(rows / 3), Math.floor(rows / 2), rows]
    for (let i = 0; i < 3; i += 1) run(input, parts, cuts[i]!, cuts[i + 1]!, T)
    expect(lab.readWords(parts, T * stride)).toEqual(lab.readWords(y, T * stride))
  })
})

it('every finite half is unpacked exactly', async () => {
  const lab = await WasmLab.open('f16')
  const halves = Uint16Array.from({ length: 65_536 }, (_, i) => i).filter((half) => (half & 0x7c00) !== 0x7c00)
  const out = lab.output(halves.length)
  lab.kernels.embed(lab.upload(halves), 0, lab.upload(Uint32Array.of(0)), out, 1, halves.length / 4)
  const expected = asF32({ dtype: 'F16', shape: [halves.length], bytes: new Uint8Array(halves.buffer) })
  const found = lab.read(out, halves.length)
  expect(found.findIndex((value, i) => !Object.is(value, expected[i]))).toBe(-1)
})

describe('kernels without weights', () => {
  it.each([
    [1, 1],
    [84, 5],
    [259, 64],
    [2048, 2],
  ])('rms_norm of width %i, T = %i', async (width, T) => {
    const lab = await WasmLab.open('f32')
    const [x, weight] = [lab.random(T * width), lab.random(width)]
    const stride = paddedWidth(width)
    const y = lab.output(T * stride)
    lab.kernels.rms_norm(lab.rows(x, width), lab.rows(weight, width), y, T, width, 1e-5)
    lab.expectRows('rms_norm', y, ops.rmsNorm(x, weight, 1e-5), { width, stride, between: 0 })
  })

  it.each([
    [1, 1],
    [222, 5],
    [31, 3],
    [1536, 64],
  ])('add, add_bias and silu_mul of width %i, T = %i', async (width, T) => {
    const lab = await WasmLab.open('f32')
    const [x, y, bias] = [lab.random(T * width), lab.random(T * width), lab.random(width)]
    const stride = paddedWidth(width)
    const sum = lab.rows(x, width)
    lab.kernels.add(sum, lab.rows(y, width), (T * stride) / 4)
    expect([...lab.read(sum, T * stride)].filter((_, i) => i % stride < width)).toEqual(
      [...ops.add(x, y)].map(Math.fround),
    )

    const biased = lab.output(T * (width + 3))
    for (let t = 0; t < T; t += 1) lab.write(biased + t * (width + 3) * 4, x.subarray(t * width, (t + 1) * width))
    lab.kernels.add_bias(lab.upload(bias), biased, T, width, width + 3)
    lab.expectRows('add_bias', biased, ops.addBias(x, bias), { width, stride: width + 3 })

    const gate = x.map((value) => value * 20)
    const gateUp = new Float32Array(2 * T * width)
    for (let t = 0; t < T; t += 1) {
      gateUp.set(gate.subarray(t * width, (t + 1) * width), 2 * t * width)
      gateUp.set(y.subarray(t * width, (t + 1) * width), (2 * t + 1) * width)
    }
    const out = lab.output(T * stride)
    lab.kernels.silu_mul(lab.upload(gateUp), out, T, width)
    lab.expectRows('silu_mul', out, ops.siluMul(gate, y), { width, stride, between: 0 })
  })

  it('silu of the largest and smallest gates stays finite, of NaN it is NaN', async () => {
    const lab = await WasmLab.open('f32')
    const gate = Float32Array.of(-1e30, -200, -88.5, -1e-30, 0, 88.5, 200, 1e30, NaN)
    const out = lab.output(12)
    lab.kernels.silu_mul(lab.upload(Float32Array.of(...gate, ...gate.map(() => 1))), out, 1, 9)
    const found = lab.read(out, 9)
    const true8 = [...gate].slice(0, 8).map((value) => value / (1 + Math.exp(-value)))
    // exp ends at e^88: beyond, gate · 1e-38 stands for a number that is closer still to nothing.
    true8.forEach((value, i) => expect(Math.abs(found[i]! - value)).toBeLessThanOrEqual(Math.abs(gate[i]!) * 1e-6))
    expect([...found].slice(1, 3).every((value) => Math.abs(value) < 1e-35)).toBe(true)
    expect(lab.read(out, 9)[8]).toBeNaN()
  })
})

interface AttentionCase {
  heads: number
  kvHeads: number
  headDim: number
  /** Rows of the steps, one after another from position 0. */
  steps: number[]
}

const ATTENTION_CASES: AttentionCase[] = [
  { heads: 4, kvHeads: 4, headDim: 16, steps: [1, 1, 1] },
  { heads: 9, kvHeads: 3, headDim: 64, steps: [40, 1, 7] },
  { heads: 6, kvHeads: 3, headDim: 14, steps: [5, 1] },
  { heads: 8, kvHeads: 1, headDim: 24, steps: [64, 64, 1, 2, 64] },
  { heads: 2, kvHeads: 2, headDim: 2, steps: [127, 1, 1, 1] },
  { heads: 3, kvHeads: 1, headDim: 6, steps: [64, 64, 64, 64, 64, 1] },
  { heads: 4, kvHeads: 1, headDim: 40, steps: [130] },
]

describe('rope, KV write and attention', () => {
  it.each(ATTENTION_CASES)('$heads heads on $kvHeads of $headDim, steps of $steps rows', async (shape) => {
    const lab = await WasmLab.open('f32')
    const total = shape.steps.reduce((a, b) => a + b)
    const { heads, kvHeads, headDim } = shape
    const width = (heads + 2 * kvHeads) * headDim
    const qkv = lab.random(total * width).map((value) => value * 2)
    const stepped = runAttention(lab, shape, shape.steps, qkv)
    stepped.check()
    // Row by row, in other memory and behind a longer cache: the same bits.
    const single = runAttention(
      lab,
      shape,
      Array.from({ length: total }, () => 1),
      qkv,
      total + 9,
    )
    expect(single.words()).toEqual(stepped.words())
  })
})

function runAttention(
  lab: WasmLab,
  { heads, kvHeads, headDim }: AttentionCase,
  steps: number[],
  qkv: Float32Array,
  maxTokens = steps.reduce((a, b) => a + b),
) {
  const total = steps.reduce((a, b) => a + b)
  const P = paddedWidth(headDim)
  const width = (heads + 2 * kvHeads) * headDim
  const frequencies = Float32Array.from({ length: headDim / 2 }, (_, i) => Math.fround(10_000 ** ((-2 * i) / headDim)))
  const outStride = heads * headDim + 5
  const out = lab.output(total * outStride)
  const [k, v] = [lab.output(maxTokens * kvHeads * P), lab.output(maxTokens * kvHeads * P)]
  const input = lab.upload(qkv)
  let position = 0
  for (const rows of steps) {
    const q = lab.output(rows * heads * P)
    const scratch = lab.output(128 + 2 * P)
    const table = lab.upload(ropeTable(frequencies, position, rows))
    const from = input + position * width * 4
    lab.kernels.rope(from, table, q, k, v, rows, position, heads, kvHeads, headDim, maxTokens)
    const to = out + position * outStride * 4
    const attend = (first: number, end: number): void =>
      lab.kernels.attention(q, k, v, to, scratch, first, end, position, heads, kvHeads, headDim, maxTokens, outStride)
    // As two threads would share it out.
    const half = Math.floor((rows * kvHeads) / 2)
    attend(half, rows * kvHeads)
    attend(0, half)
    lab.expectGuards('q', q, rows * heads * P)
    lab.expectGuards('scratch', scratch, 128 + 2 * P)
    position += rows
  }
  const columns = (start: number, count: number): Float32Array =>
    Float32Array.from({ length: total * count }, (_, i) => qkv[Math.floor(i / count) * width + start + (i % count)]!)
  return {
    words: () => lab.readWords(out, total * outStride),
    check: () => {
      const f = [...frequencies]
      const expected = ops.attention(
        ops.rope(columns(0, heads * headDim), heads, f, 0),
        ops.rope(columns(heads * headDim, kvHeads * headDim), kvHeads, f, 0),
        columns((heads + kvHeads) * headDim, kvHeads * headDim),
        0,
        { heads, kvHeads, headDim },
      )
      lab.expectRows('attention', out, expected, { width: heads * headDim, stride: outStride })
      lab.expectGuards('k', k, maxTokens * kvHeads * P)
      lab.expectGuards('v', v, maxTokens * kvHeads * P)
    },
  }
}

describe('top_k', () => {
  it.each([
    [1, 1, 10],
    [255, 255, 4],
    [1003, 5, 1000],
    [1003, 256, 1000],
    [70_001, 1024, 100_000],
    [70_001, 300, 3],
    [5000, 1000, 0],
  ])('of %i logits the best %i, %i distinct values', async (size, k, distinct) => {
    const lab = await WasmLab.open('f32')
    const logits = lab.random(size).map((value) => Math.round((value * distinct) / 2) * 1.75)
    const length = TOP_K_HEADER + 2 * k
    const out = lab.output(length)
    lab.kernels.top_k(lab.upload(logits), size, k, out)
    const row = rowOfBest(lab.readWords(out, length).buffer as ArrayBuffer, k, size)
    expect([...row.ids]).toEqual(ops.topK(logits, k))
    expect([...row.values]).toEqual([...row.ids].map((id) => logits[id]))
    expect(Math.abs(row.logSumExp - ops.logSumExp(logits))).toBeLessThanOrEqual(1e-5)
    lab.expectGuards('top_k', out, length)
  })

  it('counts values that are not finite, whatever they are', async () => {
    const lab = await WasmLab.open('f32')
    const logits = lab.random(700)
    logits.set([NaN, -NaN, Infinity, -Infinity], 300)
    const out = lab.output(TOP_K_HEADER + 2)
    lab.kernels.top_k(lab.upload(logits), 700, 1, out)
    expect(lab.readWords(out, 1)[0]).toBe(4)
  })
})
