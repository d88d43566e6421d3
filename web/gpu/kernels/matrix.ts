/**
 * A weight matrix on the GPU, cut by rows into parts that the adapter can bind, and the two operations that read one:
 * looking rows up (`embed`) and multiplying (`mat_vec` for few rows, `mat_mul` for many; the same bits).
 */
import { assert, SwarmError } from '../../../swarm/errors.ts'
import type { WeightFormat } from '../../../swarm/model/config.ts'
import { paddedWidth, rowBytes, scaleBytes, storedWidth } from '../../../swarm/model/span-bytes.ts'
import type { StoredRows } from '../../../swarm/model/tensors.ts'
import { storageBuffer } from '../buffers.ts'
import type { Gpu } from '../device.ts'
import type { Dispatch, Kernel, StepShape } from '../kernel.ts'
import { makeDispatch } from '../kernel.ts'
import type { KernelSet, Tile } from './kernel-set.ts'

export interface MatrixPart {
  buffer: GPUBuffer
  /** Null for formats without. */
  scales: GPUBuffer | null
  rowStart: number
  rowCount: number
}

/** `[rows, width]` in a weight format, rows padded with zeros to `storedWidth`. */
export interface Matrix {
  label: string
  rows: number
  width: number
  format: WeightFormat
  parts: MatrixPart[]
}

/** One dispatch on a software adapter should stay well under 250 ms; 64 MiB of weights take 30–60 ms there. */
const SOFTWARE_PART_BYTES = 64 * 1024 * 1024
/** From this many rows a tile of several is cheaper than a pass a row. Both give the same bits. */
const MAT_MUL_MIN_ROWS = 4

/** A matrix of zeros. @throws SwarmError ADAPTER_TOO_SMALL */
export function createMatrix(gpu: Gpu, label: string, rows: number, width: number, format: WeightFormat): Matrix {
  const partRows = rowsPerPart(gpu, label, width, format)
  const parts: MatrixPart[] = []
  for (let rowStart = 0; rowStart < rows; rowStart += partRows) {
    const rowCount = Math.min(partRows, rows - rowStart)
    const name = `${label} rows ${rowStart}+${rowCount}`
    const buffer = storageBuffer(gpu, name, rowCount * rowBytes(width, format))
    const scaled = rowCount * scaleBytes(width, format)
    const scales = scaled === 0 ? null : storageBuffer(gpu, `${name} scales`, scaled)
    parts.push({ buffer, scales, rowStart, rowCount })
  }
  return { label, rows, width, format, parts }
}

function rowsPerPart(gpu: Gpu, label: string, width: number, format: WeightFormat): number {
  const most = Math.min(gpu.limits.maxStorageBufferBindingSize, gpu.limits.maxBufferSize)
  const limit = gpu.software ? Math.min(most, SOFTWARE_PART_BYTES) : most
  // A multiple of four keeps every part's groups of four rows whole.
  const rows = Math.floor(limit / rowBytes(width, format) / 4) * 4
  if (rows > 0) return rows
  throw new SwarmError(
    'ADAPTER_TOO_SMALL',
    `rows of ${label} (${width} weights) are larger than the adapter's limit of ${most} bytes`,
  )
}

export function destroyMatrix(matrix: Matrix): void {
  for (const part of matrix.parts) {
    part.buffer.destroy()
    part.scales?.destroy()
  }
}

/** Puts rows from `firstRow` on where they belong, in whichever parts. */
export function writeRows(gpu: Gpu, matrix: Matrix, firstRow: number, { weights, scales }: StoredRows): void {
  const stride = rowBytes(matrix.width, matrix.format)
  const scaleStride = scaleBytes(matrix.width, matrix.format)
  const rows = weights.length / stride
  const { queue } = gpu.device
  for (const part of matrix.parts) {
    const begin = Math.max(firstRow, part.rowStart)
    const count = Math.min(firstRow + rows, part.rowStart + part.rowCount) - begin
    if (count <= 0) continue
    const [from, to] = [begin - firstRow, begin - part.rowStart]
    queue.writeBuffer(part.buffer, to * stride, weights, from * stride, count * stride)
    if (part.scales === null) continue
    queue.writeBuffer(part.scales, to * scaleStride, scales, from * scaleStride, count * scaleStride)
  }
}

/** The buffers of a part behind the inputs and outputs of a kernel that reads weights: weights third, scales last. */
function bound(part: MatrixPart, input: GPUBuffer, output: GPUBuffer): GPUBuffer[] {
  return [input, part.buffer, output, ...(part.scales === null ? [] : [part.scales])]
}

/** hidden `[T, width]` = table rows of tokens `[T]`. */
export function embed(kernels: KernelSet, table: Matrix, tokens: GPUBuffer, hidden: GPUBuffer): Dispatch[] {
  const width4 = paddedWidth(table.width) / 4
  const w4 = storedWidth(table.width, table.format) / 4
  return table.parts.map((part) =>
    kernels.dispatch(
      'embed',
      `embed ${part.rowStart}`,
      { width4, w4, row_start: part.rowStart, row_count: part.rowCount },
      bound(part, tokens, hidden),
      ({ rows }) => rows * width4,
    ),
  )
}

/** y `[T, yStride]` = x `[T, width]` · matrixᵀ, one dispatch for each part. */
export function matMul(kernels: KernelSet, matrix: Matrix, x: GPUBuffer, y: GPUBuffer, yStride: number): Dispatch[] {
  assert(yStride >= matrix.rows, `${matrix.label}: ${matrix.rows} rows into a stride of ${yStride}`)
  return matrix.parts.map((part) => {
    const params = partParams(matrix, part, yStride)
    return makeDispatch(
      matrix.label,
      // The layouts of both kernels are the same, so one bind group serves both.
      () => kernels.bindGroup('matVec', matrix.label, params, bound(part, x, y)),
      ({ rows }) => {
        const name = isFew(rows) ? 'matVec' : 'matMul'
        return planPart(kernels.kernel(name), isFew(rows) ? kernels.tiles.vec : kernels.tiles.mul, part, rows)
      },
    )
  })
}

function isFew(rows: number): boolean {
  return rows < MAT_MUL_MIN_ROWS
}

/** Whether such a step goes through the fused kernels: these here and `attention_split`. */
export function isFused(kernels: KernelSet, { rows }: StepShape): boolean {
  return kernels.choice.blockKernels === 'fused' && isFew(rows)
}

/** What goes into a projection of few rows in place of x: its norm. */
export interface NormInput {
  x: GPUBuffer
  weight: GPUBuffer
  eps: number
}

/** For few rows: y `[T, yStride]` = norm(x) · matrixᵀ. */
export function normMatMul(
  kernels: KernelSet,
  matrix: Matrix,
  input: NormInput,
  y: GPUBuffer,
  yStride: number,
): Dispatch[] {
  return fewRows(kernels, 'matVecNorm', matrix, { x: input.x, y, yStride, norm: input })
}

/** For few rows: y `[T, yStride]` += x `[T, width]` · matrixᵀ. */
export function matMulAdd(kernels: KernelSet, matrix: Matrix, x: GPUBuffer, y: GPUBuffer, yStride: number): Dispatch[] {
  return fewRows(kernels, 'matVecAdd', matrix, { x, y, yStride, norm: null })
}

/**
 * For few rows: y `[T, yStride]` = silu(gate) · up, both of norm(x) · matrixᵀ, gate rows first. A matrix in several parts has a gate row
 * and its up row in two of them and cannot go this way.
 */
export function normGateUp(
  kernels: KernelSet,
  matrix: Matrix,
  input: NormInput,
  y: GPUBuffer,
  yStride: number,
): Dispatch[] {
  assert(matrix.parts.length === 1, `${matrix.label} is whole`)
  return fewRows(kernels, 'matVecSilu', matrix, { x: input.x, y, yStride, norm: input })
}

function fewRows(
  kernels: KernelSet,
  name: 'matVecNorm' | 'matVecAdd' | 'matVecSilu',
  matrix: Matrix,
  { x, y, yStride, norm }: { x: GPUBuffer; y: GPUBuffer; yStride: number; norm: NormInput | null },
): Dispatch[] {
  return matrix.parts.map((part) => {
    const own = norm === null ? {} : { width: matrix.width, eps: norm.eps }
    const params = { ...partParams(matrix, part, yStride), ...own }
    const buffers = [...bound(part, x, y), ...(norm === null ? [] : [norm.weight])]
    return makeDispatch(
      `${matrix.label}, ${name}`,
      () => kernels.bindGroup(name, matrix.label, params, buffers),
      ({ rows }) => (isFew(rows) ? planPart(kernels.kernel(name), kernels.tiles.vec, part, rows) : null),
    )
  })
}

function partParams(matrix: Matrix, { rowStart, rowCount }: MatrixPart, yStride: number): Record<string, number> {
  const width4 = paddedWidth(matrix.width) / 4
  const w4 = storedWidth(matrix.width, matrix.format) / 4
  return { width4, w4, row_count: rowCount, row_offset: rowStart, y_stride: yStride }
}

function planPart(kernel: Kernel, tile: Tile, { rowCount }: MatrixPart, rows: number): ReturnType<Dispatch['plan']> {
  const along = Math.ceil(rowCount / tile.rows) * tile.lanes
  const size = kernel.workgroupSize
  const filled = tile.oneToken ? Math.ceil(along / size) * size : along
  return { kernel, invocations: filled * Math.ceil(rows / tile.tokens) }
}
