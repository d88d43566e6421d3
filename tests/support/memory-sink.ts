/** Keeps what a loader gives it, and checks the promises made to a sink. */
import { expect } from 'vitest'
import type { WeightFormat } from '../../swarm/model/config.ts'
import type { StoredRows, TensorDtype, TensorSink, TensorSpec } from '../../swarm/model/tensors.ts'
import { BYTES_PER_ELEMENT, MAX_TENSOR_CHUNK_BYTES } from '../../swarm/model/tensors.ts'
import { rowBytes } from '../../swarm/model/span-bytes.ts'
import { toF32 } from '../../web/engine/convert.ts'
import { storeRows } from '../../web/engine/quantize.ts'

export class MemorySink implements TensorSink {
  readonly format: WeightFormat
  /** As in the file. */
  readonly tensors = new Map<string, Uint8Array[]>()
  readonly dtypes = new Map<string, TensorDtype>()
  /** As stored, of formats other than f32. */
  readonly matrices = new Map<string, StoredRows[]>()

  constructor(format: WeightFormat = 'f32') {
    this.format = format
  }

  async put(spec: TensorSpec, dtype: TensorDtype, bytes: Uint8Array, elementOffset: number): Promise<void> {
    const parts = this.tensors.get(spec.name) ?? []
    const before = parts.reduce((sum, part) => sum + part.length, 0)
    expect(elementOffset * BYTES_PER_ELEMENT[dtype]).toBe(before)
    expect(bytes.length % BYTES_PER_ELEMENT[dtype]).toBe(0)
    expect(bytes.length).toBeLessThanOrEqual(MAX_TENSOR_CHUNK_BYTES)
    parts.push(bytes.slice())
    bytes.fill(0xee)
    this.tensors.set(spec.name, parts)
    this.dtypes.set(spec.name, dtype)
  }

  storeRows(spec: TensorSpec, dtype: TensorDtype, bytes: Uint8Array): StoredRows {
    expect(bytes.length).toBeLessThanOrEqual(MAX_TENSOR_CHUNK_BYTES)
    return storeRows(toF32(dtype, bytes), spec.shape[1] as number, this.format, spec.name)
  }

  async putRows(spec: TensorSpec, firstRow: number, { weights, scales }: StoredRows): Promise<void> {
    const parts = this.matrices.get(spec.name) ?? []
    const before = parts.reduce((sum, part) => sum + part.weights.length, 0)
    expect(firstRow * rowBytes(spec.shape[1] as number, this.format)).toBe(before)
    parts.push({ weights: weights.slice(), scales: scales.slice() })
    weights.fill(0xee)
    scales.fill(0xee)
    this.matrices.set(spec.name, parts)
  }

  bytesOf(name: string): Buffer {
    return Buffer.concat(this.tensors.get(name) ?? [])
  }

  rowsOf(name: string): { weights: Buffer; scales: Buffer } {
    const parts = this.matrices.get(name) ?? []
    return {
      weights: Buffer.concat(parts.map((part) => part.weights)),
      scales: Buffer.concat(parts.map((part) => part.scales)),
    }
  }
}
