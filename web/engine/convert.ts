/**
 * Elements of a checkpoint (f32, f16, bf16; little-endian) to the formats of the GPU. f32 and bf16 → f32 is exact, f16 → f32 as
 * well; → f16 rounds to nearest, ties to even. Platforms of the project are little-endian, like WebGPU itself.
 */
import { SwarmError } from '../../swarm/errors.ts'
import type { TensorDtype } from '../../swarm/model/tensors.ts'

const scratch = new DataView(new ArrayBuffer(4))

/** The elements as f32; `bytes` need not be aligned. */
export function toF32(dtype: TensorDtype, bytes: Uint8Array): Float32Array {
  switch (dtype) {
    case 'F32':
      // Fresh and aligned; the caller may change it.
      return new Float32Array(bytes.slice().buffer)
    case 'BF16': {
      const source = halvesOf(bytes)
      const out = new Float32Array(source.length)
      const bits = new Uint32Array(out.buffer)
      for (let i = 0; i < source.length; i += 1) bits[i] = (source[i] as number) << 16
      return out
    }
    case 'F16': {
      const source = halvesOf(bytes)
      const out = new Float32Array(source.length)
      const bits = new Uint32Array(out.buffer)
      for (let i = 0; i < source.length; i += 1) bits[i] = f16ToF32Bits(source[i] as number)
      return out
    }
  }
}

/** A view where that is possible: a piece of a checkpoint is some megabytes, and may start at any byte. */
function halvesOf(bytes: Uint8Array): Uint16Array {
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes)
  return new Uint16Array(buffer, byteOffset, byteLength / 2)
}

/** One half as a number. */
export function f16ToF32(half: number): number {
  scratch.setUint32(0, f16ToF32Bits(half))
  return scratch.getFloat32(0)
}

function f16ToF32Bits(half: number): number {
  const sign = (half & 0x8000) << 16
  const exponent = (half >> 10) & 31
  const fraction = half & 0x3ff
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13)
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13)
  if (fraction === 0) return sign
  // Subnormal: fraction · 2⁻²⁴ is a normal f32.
  scratch.setFloat32(0, fraction * 2 ** -24)
  return sign | scratch.getUint32(0)
}

/** @throws SwarmError UNSUPPORTED_MODEL when a value is larger than any half; `what` names the tensor. */
export function f32ToF16(values: Float32Array, what: string): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const out = new Uint16Array(values.length)
  for (let i = 0; i < out.length; i += 1) {
    const half = f32BitsToF16(bits[i] as number)
    if ((half & 0x7c00) === 0x7c00) {
      throw new SwarmError('UNSUPPORTED_MODEL', `${what} holds ${values[i]}, which is too large for f16 weights`, {
        action: 'Serve this model with --weights f32.',
      })
    }
    out[i] = half
  }
  return out
}

function f32BitsToF16(bits: number): number {
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude >= 0x477ff000) return sign | 0x7c00 // rounds past 65,504, infinite or not a number
  if (magnitude < 0x33000001) return sign // at most half of the smallest subnormal
  const exponent = magnitude >>> 23
  // How many low bits of the 24-bit significand go: 13, or more for subnormals.
  const shift = exponent > 112 ? 13 : 126 - exponent
  const significand = (magnitude & 0x7fffff) | 0x800000
  const base = exponent > 112 ? (exponent - 113) << 10 : 0
  const kept = significand >>> shift
  const dropped = significand & ((1 << shift) - 1)
  const halfway = 1 << (shift - 1)
  const up = dropped > halfway || (dropped === halfway && (kept & 1) === 1) ? 1 : 0
  // A carry out of the fraction moves into the exponent, which is what rounding up means there.
  return sign | (base + kept + up)
}
