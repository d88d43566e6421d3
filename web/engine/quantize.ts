/**
 * Rows of f32 weights to the formats of the GPU. int8 and int4 keep, for each group of 32 along a row, a scale as a half and whole
 * numbers that it multiplies; the scale is rounded first, so that the numbers are the nearest for the scale that is used.
 * int4 puts eight numbers of a group into a word: the low halves of its four bytes are the first four, the high halves the others.
 */
import type { WeightFormat } from '../../swarm/model/config.ts'
import { storedWidth, WEIGHT_GROUP } from '../../swarm/model/span-bytes.ts'
import type { StoredRows } from '../../swarm/model/tensors.ts'
import { f16ToF32, f32ToF16 } from './convert.ts'

/** Largest whole number of each: int8 is symmetric, int4 goes from -8 to 7. */
const INT8_MOST = 127
const INT4_LEAST = -8
const INT4_OFFSET = 8

/**
 * `values`: `[rows, width]`, row-major. `what` names the tensor in errors.
 * @throws SwarmError UNSUPPORTED_MODEL when a value, or a scale, is larger than any half, or no number (all but f32)
 */
export function storeRows(values: Float32Array, width: number, format: WeightFormat, what: string): StoredRows {
  const padded = padRows(values, width, storedWidth(width, format))
  switch (format) {
    case 'f32':
      return { weights: bytesOf(padded), scales: new Uint8Array(0) }
    case 'f16':
      return { weights: bytesOf(f32ToF16(padded, what)), scales: new Uint8Array(0) }
    case 'int8':
      return int8Rows(padded, what)
    case 'int4':
      return int4Rows(padded, what)
  }
}

// Everything loaded passes here: a scale is unpacked once for its group, and nothing is made for one value.

function int8Rows(values: Float32Array, what: string): StoredRows {
  const scales = f32ToF16(groupScales(values, int8Scale), what)
  const numbers = new Int8Array(values.length)
  for (let group = 0; group < scales.length; group += 1) {
    const scale = f16ToF32(scales[group] as number)
    if (scale === 0) continue
    const end = (group + 1) * WEIGHT_GROUP
    for (let i = group * WEIGHT_GROUP; i < end; i += 1) {
      numbers[i] = clamp(roundHalfEven((values[i] as number) / scale), -INT8_MOST, INT8_MOST)
    }
  }
  return { weights: bytesOf(numbers), scales: bytesOf(scales) }
}

function int4Rows(values: Float32Array, what: string): StoredRows {
  // The furthest value takes the -8, of which there is no opposite: its sign becomes the scale's.
  const scales = f32ToF16(groupScales(values, int4Scale), what)
  const words = new Uint32Array(values.length / 8)
  for (let group = 0; group < scales.length; group += 1) {
    const scale = f16ToF32(scales[group] as number)
    const end = (group + 1) * WEIGHT_GROUP
    for (let i = group * WEIGHT_GROUP; i < end; i += 8) {
      let word = 0
      for (let within = 0; within < 8; within += 1) {
        const number = int4Number(values[i + within] as number, scale) + INT4_OFFSET
        word |= number << ((within % 4) * 8 + (within < 4 ? 0 : 4))
      }
      words[i / 8] = word
    }
  }
  return { weights: bytesOf(words), scales: bytesOf(scales) }
}

function int8Scale(values: Float32Array, begin: number): number {
  let most = 0
  for (let i = begin; i < begin + WEIGHT_GROUP; i += 1) most = Math.max(most, Math.abs(values[i] as number))
  return most / INT8_MOST
}

function int4Scale(values: Float32Array, begin: number): number {
  let most = 0
  for (let i = begin; i < begin + WEIGHT_GROUP; i += 1) {
    const value = values[i] as number
    // Not a number is further than any: a comparison alone would pass it over and store it as some weight.
    if (Number.isNaN(value)) return value
    if (Math.abs(value) > Math.abs(most)) most = value
  }
  return most / INT4_LEAST
}

function int4Number(value: number, scale: number): number {
  return scale === 0 ? 0 : clamp(roundHalfEven(value / scale), INT4_LEAST, -INT4_LEAST - 1)
}

function groupScales(values: Float32Array, scaleOf: (values: Float32Array, begin: number) => number): Float32Array {
  const scales = new Float32Array(values.length / WEIGHT_GROUP)
  for (let group = 0; group < scales.length; group += 1) scales[group] = scaleOf(values, group * WEIGHT_GROUP)
  return scales
}

function roundHalfEven(value: number): number {
  const rounded = Math.round(value)
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value))
}

function padRows(values: Float32Array, width: number, stride: number): Float32Array {
  if (stride === width) return values
  const rows = values.length / width
  const out = new Float32Array(rows * stride)
  for (let row = 0; row < rows; row += 1) out.set(values.subarray(row * width, (row + 1) * width), row * stride)
  return out
}

function bytesOf(array: Float32Array | Uint16Array | Int8Array | Uint32Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength)
}
