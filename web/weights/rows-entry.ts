/** Rows of a matrix as one cache entry keeps them: all weights, then all scales. */
import type { WeightFormat } from '../../swarm/model/config.ts'
import { rowBytes, scaleBytes } from '../../swarm/model/span-bytes.ts'
import type { StoredRows, TensorSpec } from '../../swarm/model/tensors.ts'

export function joinRows({ weights, scales }: StoredRows): Uint8Array {
  const bytes = new Uint8Array(weights.length + scales.length)
  bytes.set(weights)
  bytes.set(scales, weights.length)
  return bytes
}

/** Views of `bytes`; null when they are not that many rows of the matrix. */
export function splitRows(
  bytes: Uint8Array<ArrayBuffer>,
  count: number,
  { shape }: TensorSpec,
  format: WeightFormat,
): StoredRows | null {
  const width = shape[1] as number
  const weights = count * rowBytes(width, format)
  if (bytes.length !== weights + count * scaleBytes(width, format)) return null
  return { weights: bytes.subarray(0, weights), scales: bytes.subarray(weights) }
}
