/** Enough of GGUF version 3 to write a model file, and its two plain quantised formats. Numbers are little-endian. */
import { f16ToF32 } from '../../../web/engine/convert.ts'

export type GgufType = 'F32' | 'Q4_0' | 'Q8_0'
export type QuantType = Exclude<GgufType, 'F32'>

/** Values that share a scale. */
export const BLOCK = 32
/** A scale as a half, then a byte a value (Q8_0) or half a byte (Q4_0). */
export const BLOCK_BYTES: Readonly<Record<QuantType, number>> = { Q8_0: 2 + BLOCK, Q4_0: 2 + BLOCK / 2 }

const MAGIC = new TextEncoder().encode('GGUF')
const VERSION = 3
const ALIGNMENT = 32
const TYPE_IDS: Readonly<Record<GgufType, number>> = { F32: 0, Q4_0: 2, Q8_0: 8 }
const VALUE_IDS = { u32: 4, f32: 6, bool: 7, string: 8, array: 9 }

export type GgufValue =
  | { u32: number }
  | { f32: number }
  | { bool: boolean }
  | { string: string }
  | { strings: readonly string[] }
  | { f32s: readonly number[] }

export interface GgufTensor {
  name: string
  type: GgufType
  /** Row-major, as in a checkpoint: `[rows, width]` or `[width]`. */
  shape: readonly number[]
  bytes: Uint8Array<ArrayBuffer>
}

/** The file, of the tensors' own bytes: they are not copied. */
export function ggufFile(metadata: Readonly<Record<string, GgufValue>>, tensors: readonly GgufTensor[]): Blob {
  const head = new Writer()
  head.bytes(MAGIC)
  head.u32(VERSION)
  head.u64(tensors.length)
  const entries = Object.entries(metadata)
  head.u64(entries.length)
  for (const [key, value] of entries) {
    head.string(key)
    head.value(value)
  }
  let offset = 0
  for (const { name, type, shape, bytes } of tensors) {
    head.string(name)
    head.u32(shape.length)
    // The fastest dimension first.
    for (const size of shape.toReversed()) head.u64(size)
    head.u32(TYPE_IDS[type])
    head.u64(offset)
    offset += aligned(bytes.length)
  }
  const start = head.finish()
  const parts = [start, ...tensors.map(({ bytes }) => bytes)]
  return new Blob(parts.flatMap((part) => [part, new Uint8Array(aligned(part.length) - part.length)]))
}

const aligned = (length: number): number => Math.ceil(length / ALIGNMENT) * ALIGNMENT

class Writer {
  readonly #bytes: number[] = []
  readonly #view = new DataView(new ArrayBuffer(8))

  bytes(values: Iterable<number>): void {
    for (const value of values) this.#bytes.push(value)
  }

  u32(value: number): void {
    this.#view.setUint32(0, value, true)
    this.#take(4)
  }

  u64(value: number): void {
    this.#view.setBigUint64(0, BigInt(value), true)
    this.#take(8)
  }

  f32(value: number): void {
    this.#view.setFloat32(0, value, true)
    this.#take(4)
  }

  string(text: string): void {
    const bytes = new TextEncoder().encode(text)
    this.u64(bytes.length)
    this.bytes(bytes)
  }

  value(value: GgufValue): void {
    if ('u32' in value) {
      this.u32(VALUE_IDS.u32)
      this.u32(value.u32)
    } else if ('f32' in value) {
      this.u32(VALUE_IDS.f32)
      this.f32(value.f32)
    } else if ('bool' in value) {
      this.u32(VALUE_IDS.bool)
      this.bytes([value.bool ? 1 : 0])
    } else if ('string' in value) {
      this.u32(VALUE_IDS.string)
      this.string(value.string)
    } else if ('strings' in value) {
      this.#array(VALUE_IDS.string, value.strings.length)
      for (const text of value.strings) this.string(text)
    } else {
      this.#array(VALUE_IDS.f32, value.f32s.length)
      for (const number of value.f32s) this.f32(number)
    }
  }

  finish(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.#bytes)
  }

  #array(type: number, length: number): void {
    this.u32(VALUE_IDS.array)
    this.u32(type)
    this.u64(length)
  }

  #take(count: number): void {
    for (let i = 0; i < count; i += 1) this.#bytes.push(this.#view.getUint8(i))
  }
}

/** The values of whole blocks. A Q4_0 byte holds a block's value j low and its value j + 16 high, both 8 too large. */
export function dequantized(bytes: Uint8Array, type: QuantType): Float32Array<ArrayBuffer> {
  const stride = BLOCK_BYTES[type]
  const out = new Float32Array((bytes.length / stride) * BLOCK)
  for (let at = 0, to = 0; at < bytes.length; at += stride, to += BLOCK) {
    const scale = f16ToF32(bytes[at]! | (bytes[at + 1]! << 8))
    if (type === 'Q8_0') {
      for (let i = 0; i < BLOCK; i += 1) out[to + i] = ((bytes[at + 2 + i]! << 24) >> 24) * scale
    } else {
      for (let i = 0; i < BLOCK / 2; i += 1) {
        const byte = bytes[at + 2 + i]!
        out[to + i] = ((byte & 15) - 8) * scale
        out[to + i + BLOCK / 2] = ((byte >> 4) - 8) * scale
      }
    }
  }
  return out
}
