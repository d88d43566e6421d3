/** Conversions of weights, over every half and against the plain rounding of the reference. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { f32ToF16, toF32 } from '../../../../web/engine/convert.ts'
import { asF32 } from '../../../reference/model-files.ts'

const everyHalf = Uint16Array.from({ length: 65_536 }, (_, bits) => bits)
const finiteHalves = everyHalf.filter((bits) => (bits & 0x7c00) !== 0x7c00)
const bytesOf = (values: Uint16Array | Float32Array): Uint8Array => new Uint8Array(values.slice().buffer)

it('reads every finite f16 exactly and gives it back', () => {
  const values = toF32('F16', bytesOf(finiteHalves))
  expect(values).toEqual(asF32({ dtype: 'F16', shape: [], bytes: bytesOf(finiteHalves) }))
  expect(f32ToF16(values, 'test')).toEqual(finiteHalves)
})

it('reads every finite bf16 exactly', () => {
  const finite = everyHalf.filter((bits) => (bits & 0x7f80) !== 0x7f80)
  expect(toF32('BF16', bytesOf(finite))).toEqual(asF32({ dtype: 'BF16', shape: [], bytes: bytesOf(finite) }))
})

it('reads bytes that start anywhere in a chunk', () => {
  const chunk = new Uint8Array(9)
  chunk.set(bytesOf(Float32Array.of(1.5, -2.25)), 1)
  expect([...toF32('F32', chunk.subarray(1))]).toEqual([1.5, -2.25])
})

it('rounds to the nearest half, ties to even', () => {
  const positive = [...toF32('F16', bytesOf(finiteHalves.filter((bits) => bits < 0x8000)))]
  const nearest = (value: number): number => {
    let at = 0
    while (at + 1 < positive.length && positive[at + 1]! <= value) at += 1
    const [below, above] = [positive[at]!, positive[at + 1] ?? Infinity]
    if (value - below === above - value) return at % 2 === 0 ? at : at + 1
    return value - below < above - value ? at : at + 1
  }
  const number = fc.oneof(
    fc.float({ min: 0, max: 65_000, noNaN: true }),
    fc.float({ min: 0, max: Math.fround(2 ** -13), noNaN: true }),
    // Halfway between neighbours, and one unit of f32 to either side.
    fc.tuple(fc.nat(31_742), fc.integer({ min: -1, max: 1 })).map(([at, side]) => {
      const bits = new Uint32Array(Float32Array.of((positive[at]! + positive[at + 1]!) / 2).buffer)
      return new Float32Array(Uint32Array.of(bits[0]! + side).buffer)[0]!
    }),
  )
  fc.assert(
    fc.property(number, fc.boolean(), (value, negative) => {
      const [half] = f32ToF16(Float32Array.of(negative ? -value : value), 'test')
      expect(half).toBe(nearest(value) | (negative ? 0x8000 : 0))
    }),
    { numRuns: 300 },
  )
})

it('refuses what no half can hold and names the tensor', () => {
  expect(f32ToF16(Float32Array.of(65_519), 'w')).toEqual(Uint16Array.of(0x7bff))
  for (const value of [65_520, -1e6, Infinity, NaN]) {
    expect(() => f32ToF16(Float32Array.of(value), 'model.norm')).toThrowError(/model\.norm/)
  }
})
