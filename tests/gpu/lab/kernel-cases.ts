/**
 * Every kernel over a table of shapes: one row, sizes that no tile divides, grouped queries, first and last positions. Each case
 * reports into `lab.failures`.
 */
import type { LlamaConfig } from '../../../swarm/model/config.ts'
import { paddedWidth } from '../../../swarm/model/span-bytes.ts'
import { f16ToF32, f32ToF16 } from '../../../web/engine/convert.ts'
import { ropeTable } from '../../../web/engine/rope-tables.ts'
import { rowOfBest, TOP_K_HEADER } from '../../../web/engine/top-k.ts'
import type { Gpu } from '../../../web/gpu/device.ts'
import { attention } from '../../../web/gpu/kernels/attention.ts'
import { embed, matMul, matMulAdd, normGateUp, normMatMul } from '../../../web/gpu/kernels/matrix.ts'
import { add, addBias, rmsNorm, siluMul } from '../../../web/gpu/kernels/pointwise.ts'
import * as ops from '../../reference/ops.ts'
import { F16_KV_TOLERANCE, F32_TOLERANCE, type KernelLab } from './kernel-lab.ts'
import { POISON } from './kernel-lab.ts'

const step = (rows: number, position = 0) => ({ rows, position, splits: Math.ceil((position + rows) / 128), first: 0 })

async function embedCase(lab: KernelLab, rows: number, width: number, T: number, gpu: Gpu = lab.gpu): Promise<void> {
  const table = lab.random(rows * width)
  const tokens = Uint32Array.from({ length: T }, (_, t) => (t === 0 ? rows - 1 : (t * 7919) % rows))
  const hidden = lab.output(T * paddedWidth(width))
  lab.run(embed(lab.kernels, lab.matrix(table, rows, width, gpu), lab.upload(tokens), hidden), step(T))
  const layout = { width, stride: paddedWidth(width), between: 0 }
  await lab.expectRows(
    `embed ${rows}x${width} T=${T}`,
    hidden,
    ops.embed(lab.stored(table, width), width, tokens),
    layout,
    {
      absolute: 0,
      relative: 0,
    },
  )
}

async function matMulCase(lab: KernelLab, rows: number, width: number, T: number, gpu: Gpu = lab.gpu): Promise<void> {
  const w = lab.random(rows * width)
  const x = lab.random(T * width)
  const matrix = lab.matrix(w, rows, width, gpu)
  // A stride past the rows: what lies between must not be touched.
  const stride = rows + 3
  const y = lab.output(T * stride)
  const input = lab.rows(x, width)
  lab.run(matMul(lab.kernels, matrix, input, y, stride), step(T))
  const label = `mat_mul ${rows}x${width} T=${T} parts=${matrix.parts.length}`
  await lab.expectRows(label, y, ops.matMul(x, lab.stored(w, width), rows, width), { width: rows, stride })
  // The same rows one at a time, through the kernel for few rows: the same bits.
  const single = lab.output(T * stride)
  for (let t = 0; t < T; t += 1) {
    const one = lab.output(stride)
    lab.run(matMul(lab.kernels, matrix, lab.rows(x.slice(t * width, (t + 1) * width), width), one, stride), step(1))
    const encoder = lab.gpu.device.createCommandEncoder()
    encoder.copyBufferToBuffer(one, 0, single, t * stride * 4, stride * 4)
    lab.gpu.device.queue.submit([encoder.finish()])
  }
  await lab.expectSameBits(`${label} against one row at a time`, y, single)
}

/** More than 65,535 workgroups: the grid goes on in a second dimension. A row of one weight each keeps it cheap. */
async function gridCase(lab: KernelLab): Promise<void> {
  const perGroup = 4 * (lab.kernels.kernel('matVec').workgroupSize / (lab.kernels.choice.matMul === 'lanes' ? 32 : 1))
  const rows = 65_535 * perGroup + 5
  const w = lab.random(rows)
  // Not taken for a software adapter here: its parts are smaller than this matrix.
  const matrix = lab.matrix(w, rows, 1, { ...lab.gpu, software: false })
  const y = lab.output(rows)
  lab.run(matMul(lab.kernels, matrix, lab.rows(Float32Array.of(0.5), 1), y, rows), step(1))
  const expected = lab.stored(w, 1).map((value) => value / 2)
  await lab.expectRows(`mat_vec of ${rows} rows`, y, expected, { width: rows, stride: rows })
}

async function rmsNormCase(lab: KernelLab, width: number, T: number): Promise<void> {
  const x = lab.random(T * width)
  const weight = lab.random(width)
  const y = lab.output(T * paddedWidth(width))
  const options = { x: lab.rows(x, width), weight: lab.rows(weight, width), y, width, eps: 1e-5 }
  lab.run([rmsNorm(lab.kernels, 'norm', options)], step(T))
  const layout = { width, stride: paddedWidth(width), between: 0 }
  await lab.expectRows(`rms_norm ${width} T=${T}`, y, ops.rmsNorm(x, weight, 1e-5), layout)
}

async function pointwiseCase(lab: KernelLab, width: number, T: number): Promise<void> {
  const stride = paddedWidth(width)
  const [x, y, bias] = [lab.random(T * width), lab.random(T * width), lab.random(width)]
  const sum = lab.rows(x, width)
  lab.run([add(lab.kernels, 'add', sum, lab.rows(y, width), width)], step(T))
  await lab.expectRows(`add ${width} T=${T}`, sum, ops.add(x, y), { width, stride, between: 0 })

  const biased = lab.rows(x, width)
  lab.run([addBias(lab.kernels, 'bias', { bias: lab.upload(bias), y: biased, width, yStride: stride })], step(T))
  await lab.expectRows(`add_bias ${width} T=${T}`, biased, ops.addBias(x, bias), { width, stride, between: 0 })

  const gateUp = new Float32Array(2 * T * width)
  for (let t = 0; t < T; t += 1) {
    gateUp.set(
      x.subarray(t * width, (t + 1) * width).map((v) => v * 20),
      2 * t * width,
    )
    gateUp.set(y.subarray(t * width, (t + 1) * width), (2 * t + 1) * width)
  }
  const out = lab.output(T * stride)
  lab.run([siluMul(lab.kernels, 'silu', { gateUp: lab.upload(gateUp), out, width })], step(T))
  const expected = ops.siluMul(
    x.map((v) => v * 20),
    y,
  )
  await lab.expectRows(`silu_mul ${width} T=${T}`, out, expected, { width, stride })
}

/** The kernels of `blockKernels: 'fused'`, T at most 3: against the reference, and the bits of the separate ones. */
async function fusedCase(lab: KernelLab, rows: number, width: number, T: number, gpu: Gpu = lab.gpu): Promise<void> {
  const { kernels } = lab
  const [eps, stride, inputStride] = [1e-5, paddedWidth(rows), paddedWidth(width)]
  const [x, weight, before] = [lab.random(T * width), lab.random(width), lab.random(T * rows)]
  const w = lab.random(2 * rows * width)
  const stored = lab.stored(w, width)
  const half = w.slice(0, rows * width)
  const matrix = lab.matrix(half, rows, width, gpu)
  const input = { x: lab.rows(x, width), weight: lab.rows(weight, width), eps }
  const label = `${rows}x${width} T=${T} parts=${matrix.parts.length}`
  const normed = lab.output(T * inputStride)
  lab.run([rmsNorm(kernels, 'norm', { ...input, y: normed, width })], step(T))
  const expected = ops.rmsNorm(x, weight, eps)

  const projected = lab.output(T * stride)
  lab.run(normMatMul(kernels, matrix, input, projected, stride), step(T))
  const halfStored = stored.subarray(0, rows * width)
  await lab.expectRows(`norm and projection ${label}`, projected, ops.matMul(expected, halfStored, rows, width), {
    width: rows,
    stride,
  })
  const apart = lab.output(T * stride)
  lab.run(matMul(kernels, matrix, normed, apart, stride), step(T))
  await lab.expectSameBits(`norm and projection ${label} against both apart`, projected, apart)

  const [sum, sumApart] = [lab.rowsBetween(before, rows, stride), lab.rowsBetween(before, rows, stride)]
  lab.run(matMulAdd(kernels, matrix, input.x, sum, stride), step(T))
  await lab.expectRows(
    `projection and residual ${label}`,
    sum,
    ops.add(before, ops.matMul(x, halfStored, rows, width)),
    { width: rows, stride },
  )
  const toAdd = lab.rowsBetween(new Float32Array(T * rows), rows, stride, 0)
  lab.run([...matMul(kernels, matrix, input.x, toAdd, stride), add(kernels, 'add', sumApart, toAdd, rows)], step(T))
  await lab.expectSameBits(`projection and residual ${label} against both apart`, sum, sumApart)

  if (matrix.parts.length > 1) return
  const both = lab.matrix(w, 2 * rows, width)
  const mlp = lab.output(T * stride)
  lab.run(normGateUp(kernels, both, input, mlp, stride), step(T))
  const part = (from: number): Float64Array =>
    ops.matMul(expected, stored.subarray(from * width, (from + rows) * width), rows, width)
  const layout = { width: rows, stride }
  await lab.expectRows(`norm, gate, up and silu ${label}`, mlp, ops.siluMul(part(0), part(rows)), layout)
  const [gateUp, mlpApart] = [lab.output(T * 2 * rows), lab.output(T * stride)]
  lab.run(
    [
      ...matMul(kernels, both, normed, gateUp, 2 * rows),
      siluMul(kernels, 'silu', { gateUp, out: mlpApart, width: rows }),
    ],
    step(T),
  )
  await lab.expectSameBits(`norm, gate, up and silu ${label} against all apart`, mlp, mlpApart)
}

interface AttentionCase {
  heads: number
  kvHeads: number
  headDim: number
  /** Rows of the steps, one after another from position 0. */
  steps: number[]
  /** Rows of other sessions before those of this one: they must stay as they are. */
  first?: number
}

/** Rotary embedding, KV write and attention over several steps, against the reference over all rows at once. */
async function attentionCase(lab: KernelLab, options: AttentionCase): Promise<void> {
  const { heads, kvHeads, headDim, steps, first = 0 } = options
  const label = `attention ${heads}/${kvHeads}x${headDim} steps=${steps.join('+')} from row ${first}`
  const config = { numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim } as LlamaConfig
  const total = steps.reduce((a, b) => a + b)
  const most = Math.max(...steps)
  const D = paddedWidth(headDim)
  const width = (heads + 2 * kvHeads) * headDim
  const qkv = lab.random(total * width).map((v) => v * 2)
  const frequencies = Float32Array.from({ length: headDim / 2 }, (_, i) => Math.fround(10_000 ** ((-2 * i) / headDim)))
  const columns = (start: number, count: number): Float32Array =>
    Float32Array.from({ length: total * count }, (_, i) => qkv[Math.floor(i / count) * width + start + (i % count)]!)
  const f = [...frequencies]
  const q = ops.rope(columns(0, heads * headDim), heads, f, 0)
  const k = ops.rope(columns(heads * headDim, kvHeads * headDim), kvHeads, f, 0)
  const v = columns((heads + kvHeads) * headDim, kvHeads * headDim)
  const kept = (values: Float64Array): Float64Array =>
    lab.kv === 'f32' ? values : Float64Array.from(f32ToF16(Float32Array.from(values), 'keys and values'), f16ToF32)
  const expected = ops.attention(q, kept(k), kept(Float64Array.from(v)), 0, { heads, kvHeads, headDim })
  const tolerance = lab.kv === 'f32' ? F32_TOLERANCE : F16_KV_TOLERANCE

  const units = most * heads * Math.ceil(total / 128)
  const zeros = (length: number): GPUBuffer => lab.upload(new Float32Array(length))
  const stride = paddedWidth(heads * headDim)
  const kvWords = (total * kvHeads * D) / (lab.kv === 'f32' ? 1 : 2)
  const kv = { k: zeros(kvWords), v: zeros(kvWords) }
  let position = 0
  for (const rows of steps) {
    const out = lab.output((first + rows) * stride)
    const buffers = {
      qkv: lab.upload(behind(first * width, qkv.subarray(position * width, (position + rows) * width), NaN)),
      ropeTable: lab.upload(behind(first * headDim, ropeTable(frequencies, position, rows), NaN)),
      q: zeros((first + most) * heads * D),
      // Poison: a masked score must never be read.
      scores: lab.output(units * 128),
      stats: lab.output(units * 2),
      partial: lab.output(units * D),
      out,
    }
    const own = lab.kernels.createStep()
    const shape = { ...step(rows, position), first }
    lab.kernels.writeStep(shape, own)
    lab.run(attention(lab.kernels, config, buffers, kv, own), shape)
    own.destroy()
    const part = expected.subarray(position * heads * headDim, (position + rows) * heads * headDim)
    const all = behind(first * heads * headDim, part, POISON)
    await lab.expectRows(`${label} at ${position}`, out, all, { width: heads * headDim, stride }, tolerance)
    position += rows
  }
}

/** `values` behind `count` times `filler`. */
function behind(count: number, values: ArrayLike<number>, filler: number): Float32Array {
  const out = new Float32Array(count + values.length).fill(filler)
  out.set(values, count)
  return out
}

/** `top_k` chooses what a full sort chooses; values repeat, so that ties decide. */
async function topKCase(lab: KernelLab, size: number, k: number, distinct: number): Promise<void> {
  const logits = lab.random(size).map((value) => Math.round((value * distinct) / 2) * 1.75)
  const out = lab.output(TOP_K_HEADER + 2 * k)
  lab.run([lab.kernels.dispatch('topK', 'top k', { size, k }, [lab.upload(logits), out], () => 1)], step(1))
  const read = await lab.read(out)
  const row = rowOfBest(read.buffer as ArrayBuffer, k, size)
  const expected = ops.topK(logits, k)
  const label = `top_k ${k} of ${size}, ${distinct} values`
  if (row.ids.join() !== expected.join()) lab.failures.push(`${label}: ${row.ids.join()}, expected ${expected.join()}`)
  if (row.values.some((value, i) => value !== logits[row.ids[i]!]))
    lab.failures.push(`${label}: values are not the ids'`)
  const lse = ops.logSumExp(logits)
  if (!(Math.abs(row.logSumExp - lse) <= 1e-5))
    lab.failures.push(`${label}: log-sum-exp ${row.logSumExp}, expected ${lse}`)
  if (read[TOP_K_HEADER + 2 * k] !== POISON) lab.failures.push(`${label}: wrote past the end`)
}

/** Values that are not finite are counted, whatever they are. */
async function notFiniteCase(lab: KernelLab): Promise<void> {
  const logits = lab.random(700)
  logits.set([NaN, -NaN, Infinity, -Infinity], 300)
  const out = lab.output(TOP_K_HEADER + 2)
  lab.run([lab.kernels.dispatch('topK', 'top k', { size: 700, k: 1 }, [lab.upload(logits), out], () => 1)], step(1))
  const [count] = new Uint32Array((await lab.read(out)).buffer)
  if (count !== 4) lab.failures.push(`top_k counted ${count} values that are not finite, expected 4`)
}

/** The adapter with limits small enough that a matrix of a few rows is cut. */
function smallGpu(gpu: Gpu, bytes: number): Gpu {
  return { ...gpu, limits: { maxBufferSize: bytes, maxStorageBufferBindingSize: bytes } as GPUSupportedLimits }
}

type Case = (lab: KernelLab) => Promise<void>

export const KERNEL_CASES: Readonly<Record<string, Case[]>> = {
  top_k: [
    (lab) => topKCase(lab, 1, 1, 10),
    (lab) => topKCase(lab, 255, 255, 4),
    (lab) => topKCase(lab, 1003, 5, 1000),
    (lab) => topKCase(lab, 1003, 256, 1000),
    (lab) => topKCase(lab, 70_001, 1024, 100_000),
    (lab) => topKCase(lab, 70_001, 300, 3),
    (lab) => topKCase(lab, 5000, 1000, 0),
    (lab) => notFiniteCase(lab),
  ],
  embed: [
    (lab) => embedCase(lab, 5, 4, 1),
    (lab) => embedCase(lab, 1003, 84, 40),
    (lab) => embedCase(lab, 257, 49, 3),
    (lab) => embedCase(lab, 61, 50, 17, smallGpu(lab.gpu, 4096)),
  ],
  mat_mul: [
    (lab) => matMulCase(lab, 1, 1, 1),
    (lab) => matMulCase(lab, 4, 4, 1),
    (lab) => matMulCase(lab, 7, 5, 3),
    (lab) => matMulCase(lab, 222, 84, 8),
    (lab) => matMulCase(lab, 85, 222, 9),
    (lab) => matMulCase(lab, 1003, 84, 1),
    (lab) => matMulCase(lab, 130, 1536, 21),
    (lab) => matMulCase(lab, 61, 50, 5, smallGpu(lab.gpu, 4096)),
    (lab) => gridCase(lab),
  ],
  /** For other workgroup sizes: the grid of the second dimension grows with them. */
  mat_mul_sizes: [
    (lab) => matMulCase(lab, 7, 5, 3),
    (lab) => matMulCase(lab, 222, 84, 8),
    (lab) => matMulCase(lab, 1003, 84, 9),
    (lab) => matMulCase(lab, 61, 50, 5, smallGpu(lab.gpu, 4096)),
  ],
  fused: [
    (lab) => fusedCase(lab, 1, 1, 1),
    (lab) => fusedCase(lab, 7, 5, 3),
    (lab) => fusedCase(lab, 222, 84, 2),
    (lab) => fusedCase(lab, 85, 222, 3),
    (lab) => fusedCase(lab, 1003, 84, 1),
    (lab) => fusedCase(lab, 130, 1536, 1),
    (lab) => fusedCase(lab, 61, 50, 2, smallGpu(lab.gpu, 4096)),
  ],
  rms_norm: [
    (lab) => rmsNormCase(lab, 1, 1),
    (lab) => rmsNormCase(lab, 84, 5),
    (lab) => rmsNormCase(lab, 259, 64),
    (lab) => rmsNormCase(lab, 2048, 2),
  ],
  pointwise: [
    (lab) => pointwiseCase(lab, 1, 1),
    (lab) => pointwiseCase(lab, 222, 5),
    (lab) => pointwiseCase(lab, 1536, 64),
  ],
  attention: [
    (lab) => attentionCase(lab, { heads: 4, kvHeads: 4, headDim: 16, steps: [1, 1, 1] }),
    (lab) => attentionCase(lab, { heads: 9, kvHeads: 3, headDim: 16, steps: [40, 1, 3, 7] }),
    (lab) => attentionCase(lab, { heads: 4, kvHeads: 1, headDim: 18, steps: [126, 1, 2, 5, 1], first: 3 }),
    (lab) => attentionCase(lab, { heads: 6, kvHeads: 3, headDim: 14, steps: [5, 1] }),
    (lab) => attentionCase(lab, { heads: 8, kvHeads: 1, headDim: 24, steps: [64, 63, 3, 1, 2, 64] }),
    (lab) => attentionCase(lab, { heads: 2, kvHeads: 2, headDim: 2, steps: [127, 1, 1, 1] }),
    (lab) => attentionCase(lab, { heads: 3, kvHeads: 1, headDim: 6, steps: [64, 64, 64, 64, 64, 1] }),
  ],
}
