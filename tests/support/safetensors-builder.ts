/** Builds small safetensors files in memory, right or deliberately wrong, for tests of everything that reads them. */

export interface BuiltTensor {
  dtype: string
  shape: number[]
  data: Uint8Array
}

/** A right file: tensors in the order given, header padded with spaces to 8 bytes. */
export function buildSafetensors(tensors: Record<string, BuiltTensor>, metadata?: Record<string, string>): Uint8Array {
  const header: Record<string, unknown> = metadata === undefined ? {} : { __metadata__: metadata }
  let at = 0
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [at, at + data.length] }
    at += data.length
  }
  return withHeader(JSON.stringify(header), concat(Object.values(tensors).map((tensor) => tensor.data)))
}

/** Any header text over any data. */
export function withHeader(header: string | Uint8Array, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const raw = typeof header === 'string' ? new TextEncoder().encode(header) : header
  const padded = new Uint8Array(Math.ceil(raw.length / 8) * 8).fill(0x20)
  padded.set(raw)
  const length = new Uint8Array(8)
  new DataView(length.buffer).setBigUint64(0, BigInt(padded.length), true)
  return concat([length, padded, data])
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
