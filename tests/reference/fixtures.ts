/** The small random Llamas of tests/fixtures/models: one for each way in which a checkpoint can differ. */

import type { LlamaConfig, WeightFormat } from '../../swarm/model/config.ts'
import type { ModelFiles } from './model-files.ts'
import { asF32 } from './model-files.ts'
import { inverseFrequencies } from './ops.ts'

export const FIXTURES = [
  'biases-f32',
  'blocks32-bf16-sharded',
  'group3-bf16',
  'group8-f32',
  'head-dim-given-f32',
  'llama3-rope-bf16',
  'mha-f16',
  'odd-sizes-f32',
  'one-block-f32',
  'plain-tied-f32',
  'untied-bf16-sharded',
] as const

export type FixtureName = (typeof FIXTURES)[number]

export function fixtureFolder(name: string): string {
  return `tests/fixtures/models/${name}`
}

/** `reference.json` of a fixture. */
export interface FixtureReference {
  input_ids: number[]
  greedy: number[]
}

/**
 * The rotary frequencies with which a fixture's reference was computed. Those of the f16 and bf16 fixtures were rounded to the
 * checkpoint's dtype (the model was cast as a whole before it was cast back to f32): measured, the logits then agree to 4e-5
 * and otherwise differ by up to 0.1, growing with the position. Models as they are loaded in practice, the embedded one among
 * them, have f32 frequencies, and so has the product: comparisons with these fixtures hand the rounded ones in.
 */
export function fixtureFrequencies(config: LlamaConfig, name: string): number[] {
  const fractionBits = /-bf16/.test(name) ? 7 : /-f16/.test(name) ? 10 : 23
  return inverseFrequencies(config).map((frequency) => roundFraction(frequency, fractionBits))
}

/** The weights that a format makes of a checkpoint's: matrices as they can be stored, vectors as they are. */
export function inFormat(model: ModelFiles, format: WeightFormat): Map<string, Float32Array> {
  const stored = [...model.tensors].map(([name, tensor]) => {
    const values = asF32(tensor)
    return [name, tensor.shape.length === 2 ? asStored(values, tensor.shape[1]!, format) : values] as const
  })
  return new Map(stored)
}

/**
 * `[rows, width]` as a format gives it back. int8: whole multiples, from -127 to 127, of a 127th of the group's furthest value.
 * int4: from -8 to 7, of an eighth of the furthest value with its sign turned. A scale is a half, and numbers are rounded by it.
 */
export function asStored(values: Float32Array, width: number, format: WeightFormat): Float32Array {
  if (format === 'f32') return values
  if (format === 'f16') return values.map(roundToF16)
  const out = new Float32Array(values.length)
  for (let row = 0; row < values.length; row += width) {
    for (let start = row; start < row + width; start += 32) {
      const group = [...values.subarray(start, Math.min(start + 32, row + width))]
      const furthest = group.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0)
      const [scale, least, most] =
        format === 'int8' ? [roundToF16(Math.abs(furthest) / 127), -127, 127] : [roundToF16(furthest / -8), -8, 7]
      group.forEach((value, i) => {
        const number = scale === 0 ? 0 : Math.min(most, Math.max(least, roundTo(value / scale, 1)))
        out[start + i] = number * scale
      })
    }
  }
  return out
}

/** Below 2⁻¹⁴ halves are subnormal: multiples of 2⁻²⁴. */
export function roundToF16(value: number): number {
  if (value === 0) return 0
  return Math.abs(value) < 2 ** -14 ? roundTo(value, 2 ** -24) : roundFraction(value, 10)
}

/** Nearest number with that many fraction bits; for numbers that are normal in the format. */
function roundFraction(value: number, fractionBits: number): number {
  return roundTo(value, 2 ** (exponentOf(Math.abs(value)) - fractionBits))
}

/** Nearest multiple of `unit`, ties to the even one. */
function roundTo(value: number, unit: number): number {
  const scaled = value / unit
  const floor = Math.floor(scaled)
  const up = scaled - floor > 0.5 || (scaled - floor === 0.5 && floor % 2 !== 0)
  return (up ? floor + 1 : floor) * unit
}

/** Floor of the binary logarithm; `Math.log2` alone may round up to a power of two that the number does not reach. */
function exponentOf(value: number): number {
  const guess = Math.floor(Math.log2(value))
  return 2 ** guess > value ? guess - 1 : guess
}
