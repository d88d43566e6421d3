/**
 * What a kernel test needs: uploading inputs, outputs poisoned and followed by a guard, running dispatches and comparing with the
 * reference. Runs where the GPU is (the lab Worker), so results cross to the test as plain data.
 */
import type { KvFormat, WeightFormat } from '../../../swarm/model/config.ts'
import { paddedWidth } from '../../../swarm/model/span-bytes.ts'
import { storeRows } from '../../../web/engine/quantize.ts'
import { storageBuffer } from '../../../web/gpu/buffers.ts'
import type { Gpu } from '../../../web/gpu/device.ts'
import type { Dispatch, StepShape } from '../../../web/gpu/kernel.ts'
import { encode } from '../../../web/gpu/kernel.ts'
import type { KernelSet } from '../../../web/gpu/kernels/kernel-set.ts'
import type { Matrix } from '../../../web/gpu/kernels/matrix.ts'
import { createMatrix, writeRows } from '../../../web/gpu/kernels/matrix.ts'
import { asStored } from '../../reference/fixtures.ts'

/** Unwritten elements keep this; no result of a case comes near it. */
export const POISON = -123456
const GUARD = 67

export interface Tolerance {
  absolute: number
  relative: number
}

/** Sums of up to 1,536 products of numbers around 1, in f32. */
export const F32_TOLERANCE: Tolerance = { absolute: 2e-5, relative: 1e-5 }
/** A key that the reference rounds the other way is a step of a half off. */
export const F16_KV_TOLERANCE: Tolerance = { absolute: 1e-3, relative: 1e-3 }

export class KernelLab {
  readonly gpu: Gpu
  readonly kernels: KernelSet
  readonly format: WeightFormat
  readonly kv: KvFormat
  readonly failures: string[] = []
  readonly #buffers: GPUBuffer[] = []
  #seed = 1

  constructor(gpu: Gpu, kernels: KernelSet, format: WeightFormat, kv: KvFormat) {
    this.gpu = gpu
    this.kernels = kernels
    this.format = format
    this.kv = kv
  }

  /** Numbers in [-1, 1), the same in every run; as f32, and exact in f16 for weights of that format. */
  random(length: number): Float32Array {
    return Float32Array.from({ length }, () => {
      this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0
      return ((this.#seed >>> 21) - 1024) / 1024
    })
  }

  /** A buffer of these rows, each padded with zeros to whole groups of four. */
  rows(values: Float32Array, width: number): GPUBuffer {
    return this.upload(padRows(values, width))
  }

  upload(values: Float32Array | Uint32Array): GPUBuffer {
    const buffer = this.#own(storageBuffer(this.gpu, 'input', values.byteLength))
    this.gpu.device.queue.writeBuffer(buffer, 0, values.slice().buffer)
    return buffer
  }

  /** `length` elements that a kernel should write, poisoned, and a guard behind them. */
  output(length: number): GPUBuffer {
    return this.upload(new Float32Array(length + GUARD).fill(POISON))
  }

  /** These rows at `stride`, with `between` between them and a guard behind, for a kernel that changes them in place. */
  rowsBetween(values: Float32Array, width: number, stride: number, between = POISON): GPUBuffer {
    const rows = values.length / width
    const all = new Float32Array(rows * stride + GUARD).fill(between, 0, rows * stride).fill(POISON, rows * stride)
    for (let t = 0; t < rows; t += 1) all.set(values.subarray(t * width, (t + 1) * width), t * stride)
    return this.upload(all)
  }

  matrix(values: Float32Array, rows: number, width: number, gpu: Gpu = this.gpu): Matrix {
    const matrix = createMatrix(gpu, 'matrix', rows, width, this.format)
    for (const { buffer, scales } of matrix.parts)
      for (const each of [buffer, scales]) if (each !== null) this.#own(each)
    writeRows(this.gpu, matrix, 0, storeRows(values, width, this.format, 'matrix'))
    return matrix
  }

  /** What those weights are once stored: what a reference has to compute with. */
  stored(values: Float32Array, width: number): Float32Array {
    return asStored(values, width, this.format)
  }

  run(dispatches: readonly Dispatch[], step: StepShape): void {
    this.kernels.writeStep(step)
    const encoder = this.gpu.device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    for (const dispatch of dispatches) encode(pass, dispatch, step)
    pass.end()
    this.gpu.device.queue.submit([encoder.finish()])
  }

  async read(buffer: GPUBuffer): Promise<Float32Array> {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST
    const staging = this.gpu.device.createBuffer({ size: buffer.size, usage })
    const encoder = this.gpu.device.createCommandEncoder()
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size)
    this.gpu.device.queue.submit([encoder.finish()])
    await staging.mapAsync(GPUMapMode.READ)
    const values = new Float32Array(staging.getMappedRange().slice(0))
    staging.destroy()
    return values
  }

  /**
   * Compares a buffer made by `output` or `upload` with rows of `width` at `stride`; what lies between rows must be `between`
   * (poison: nothing wrote there) and the guard untouched. The first ten mismatches are reported.
   */
  async expectRows(
    label: string,
    buffer: GPUBuffer,
    expected: ArrayLike<number>,
    layout: { width: number; stride: number; between?: number },
    tolerance: Tolerance = F32_TOLERANCE,
  ): Promise<void> {
    const actual = await this.read(buffer)
    const { width, stride, between = POISON } = layout
    const rows = expected.length / width
    let mismatches = 0
    const report = (at: string, found: number, wanted: number): void => {
      mismatches += 1
      if (mismatches <= 10) this.failures.push(`${label} ${at}: ${found}, expected ${wanted}`)
    }
    for (let t = 0; t < rows; t += 1) {
      for (let i = 0; i < stride; i += 1) {
        const found = actual[t * stride + i]!
        const wanted = i < width ? expected[t * width + i]! : between
        const allowed = i < width ? tolerance.absolute + tolerance.relative * Math.abs(wanted) : 0
        if (!(Math.abs(found - wanted) <= allowed)) report(`[${t}, ${i}]`, found, wanted)
      }
    }
    const tail = actual.subarray(rows * stride, rows * stride + GUARD)
    tail.forEach((found, i) => found !== POISON && report(`guard ${i}`, found, POISON))
  }

  /** Whether two buffers hold the same bits. */
  async expectSameBits(label: string, a: GPUBuffer, b: GPUBuffer): Promise<void> {
    const [x, y] = [await this.read(a), await this.read(b)]
    const differ = x.filter((value, i) => !Object.is(value, y[i])).length
    if (differ > 0 || x.length !== y.length)
      this.failures.push(`${label}: ${differ} of ${x.length} differ in their bits`)
  }

  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy()
  }

  #own(buffer: GPUBuffer): GPUBuffer {
    this.#buffers.push(buffer)
    return buffer
  }
}

export function padRows(values: Float32Array, width: number): Float32Array {
  const stride = paddedWidth(width)
  const rows = values.length / width
  const out = new Float32Array(rows * stride)
  for (let t = 0; t < rows; t += 1) out.set(values.subarray(t * width, (t + 1) * width), t * stride)
  return out
}
