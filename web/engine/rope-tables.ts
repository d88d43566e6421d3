/**
 * Rotary angles, computed on the CPU: a GPU's cosine was off by 2e-4. Plain RoPE and Llama-3 scaling. Rounded to f32 where the
 * reference implementation rounds (inverse frequency, angle), because models were trained with those angles.
 */
import type { Llama3RopeScaling, LlamaConfig } from '../../swarm/model/config.ts'

/** Inverse frequencies `[headDim / 2]`, f32. */
export function inverseFrequencies(config: LlamaConfig): Float32Array {
  const { headDim, ropeTheta, ropeScaling } = config
  const out = new Float32Array(headDim / 2)
  for (let i = 0; i < out.length; i += 1) {
    const plain = Math.fround(1 / Math.fround(ropeTheta ** Math.fround((2 * i) / headDim)))
    out[i] = ropeScaling === null ? plain : scaleLlama3(plain, ropeScaling)
  }
  return out
}

/** Llama 3.1's rule: long wavelengths are stretched by `factor`, short ones kept, those between interpolated. */
function scaleLlama3(frequency: number, scaling: Llama3RopeScaling): number {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings: context } = scaling
  const wavelength = (2 * Math.PI) / frequency
  if (wavelength > context / lowFreqFactor) return frequency / factor
  if (wavelength < context / highFreqFactor) return frequency
  const smooth = (context / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor)
  return ((1 - smooth) * frequency) / factor + smooth * frequency
}

/** (cos, sin) pairs `[rows, headDim / 2]` for positions `[position, position + rows)`. */
export function ropeTable(frequencies: Float32Array, position: number, rows: number): Float32Array<ArrayBuffer> {
  const table = new Float32Array(rows * frequencies.length * 2)
  writeRopeTable(table, frequencies, position, rows)
  return table
}

/** The same into the front of `table`. */
export function writeRopeTable(table: Float32Array, frequencies: Float32Array, position: number, rows: number): void {
  const half = frequencies.length
  let at = 0
  for (let t = 0; t < rows; t += 1) {
    for (let i = 0; i < half; i += 1) {
      const angle = Math.fround((position + t) * (frequencies[i] as number))
      table[at] = Math.cos(angle)
      table[at + 1] = Math.sin(angle)
      at += 2
    }
  }
}
