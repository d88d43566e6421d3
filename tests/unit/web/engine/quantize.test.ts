/** What is stored, taken apart again by the words of `shaders/weights_*.wgsl`, against the formats as the reference writes them. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { WEIGHT_FORMATS, type WeightFormat } from '../../../../swarm/model/config.ts'
import { rowBytes, scaleBytes, storedWidth } from '../../../../swarm/model/span-bytes.ts'
import { SwarmError } from '../../../../swarm/errors.ts'
import { f16ToF32 } from '../../../../web/engine/convert.ts'
import { storeRows } from '../../../../web/engine/quantize.ts'
import { asStored } from '../../../reference/fixtures.ts'

function takenApart(values: Float32Array, width: number, format: WeightFormat): Float32Array {
  const { weights, scales } = storeRows(values, width, format, 'w')
  const rows = values.length / width
  expect([weights.length, scales.length]).toEqual([rows * rowBytes(width, format), rows * scaleBytes(width, format)])
  const stride = storedWidth(width, format)
  const element = (i: number): number => {
    const scale = (): number => f16ToF32(new Uint16Array(scales.buffer, scales.byteOffset)[Math.floor(i / 32)]!)
    switch (format) {
      case 'f32':
        return new Float32Array(weights.buffer, weights.byteOffset)[i]!
      case 'f16':
        return f16ToF32(new Uint16Array(weights.buffer, weights.byteOffset)[i]!)
      case 'int8':
        return new Int8Array(weights.buffer, weights.byteOffset)[i]! * scale()
      case 'int4': {
        const byte = weights[Math.floor(i / 8) * 4 + (i % 4)]!
        return ((i % 8 < 4 ? byte & 15 : byte >> 4) - 8) * scale()
      }
    }
  }
  const out = new Float32Array(values.length)
  for (let row = 0; row < rows; row += 1) {
    for (let i = 0; i < stride; i += 1) {
      const value = element(row * stride + i)
      if (i < width) out[row * width + i] = value
      else expect(value === 0, `padding ${i} of row ${row}`).toBe(true)
    }
  }
  return out
}

const sizes = fc.record({ rows: fc.integer({ min: 1, max: 5 }), width: fc.integer({ min: 1, max: 150 }) })

it.each(WEIGHT_FORMATS)('%s: rows of any width come back as the format says', (format) => {
  fc.assert(
    fc.property(sizes, fc.nat(), ({ rows, width }, seed) => {
      let state = seed
      const values = Float32Array.from({ length: rows * width }, () => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
        // Some groups of zeros, some tiny ones.
        return state % 11 === 0 ? 0 : ((state >>> 8) / 2 ** 23 - 1) * (seed % 3 === 0 ? 1e-6 : 2)
      })
      // Zeros of either sign are the same weight.
      const unsigned = (stored: Float32Array): Float32Array => stored.map((value) => value + 0)
      expect(unsigned(takenApart(values, width, format))).toEqual(unsigned(asStored(values, width, format)))
    }),
    { numRuns: 60 },
  )
})

it.each([
  ['int8', 1 / 254 + 1e-3],
  ['int4', 1 / 8 + 1e-3],
] as const)(
  '%s: no weight moves by more than half a step (int4: a whole one at the end that has none)',
  (format, most) => {
    const values = Float32Array.from({ length: 640 }, (_, i) => Math.sin(i * 12.9898) * Math.cos(i))
    const back = takenApart(values, 64, format)
    for (let start = 0; start < values.length; start += 32) {
      const furthest = Math.max(...values.subarray(start, start + 32).map(Math.abs))
      for (let i = start; i < start + 32; i += 1)
        expect(Math.abs(values[i]! - back[i]!)).toBeLessThanOrEqual(furthest * most)
    }
  },
)

it('a weight that no scale reaches is refused, and named', () => {
  const values = new Float32Array(64).fill(1e30)
  for (const format of ['f16', 'int8', 'int4'] as const) {
    expect(() => storeRows(values, 64, format, 'model.layers.0.mlp.up_proj.weight')).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED_MODEL' } satisfies Partial<SwarmError>),
    )
  }
})

it.each(['f16', 'int8', 'int4'] as const)(
  '%s: what is no number, or infinite, is refused and never stored as some weight',
  (format) => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      for (const at of [0, 31, 40]) {
        const values = Float32Array.from({ length: 64 }, (_, i) => (i === at ? bad : i / 64))
        expect(() => storeRows(values, 64, format, 'w')).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_MODEL' }))
      }
    }
  },
)
