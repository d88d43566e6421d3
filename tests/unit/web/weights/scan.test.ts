import { expect, test } from 'vitest'
import { countNotFinite } from '../../../../web/weights/scan.ts'

const f32 = (...values: number[]): Uint8Array => new Uint8Array(new Float32Array(values).buffer)
const words = (...values: number[]): Uint8Array => new Uint8Array(new Uint16Array(values).buffer)

test('counts infinities and NaN, and nothing else', () => {
  expect(countNotFinite('F32', f32(0, -0, 1e38, -1e-40, Infinity, -Infinity, NaN))).toBe(3)
  // Largest finite, infinity, NaN, smallest subnormal, of each half format.
  expect(countNotFinite('F16', words(0x7bff, 0x7c00, 0xfc00, 0x7e01, 0x0001, 0x8000))).toBe(3)
  expect(countNotFinite('BF16', words(0x7f7f, 0x7f80, 0xff80, 0x7fc1, 0x0001, 0x7c00))).toBe(3)
})

test('bytes that begin anywhere', () => {
  const shifted = new Uint8Array([9, ...f32(NaN, 1)]).subarray(1)
  expect(countNotFinite('F32', shifted)).toBe(1)
})
