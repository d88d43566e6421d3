/**
 * Weight formats, each by a type: f32 is f32, f16 is u16, int8 is i8, int4 is u8. A further format is one more branch in `unpack` and
 * in the two strides; everything else reads f32. Branches are on types, so none is left at run time. All of them give back exactly
 * what is stored: a whole number times a half has no more digits than an f32.
 */

/** Weights along a row that share a scale: WEIGHT_GROUP of swarm/model/span-bytes.ts. Rows are whole pairs of groups. */
const GROUP: i32 = 32

/** Whether there are scales; `unpack` is the only way to read such weights. */
@inline
export function isGrouped<F>(): bool {
  return sizeof<F>() == 1
}

/** Bytes of a row of `groups` groups of four weights, as stored. */
@inline
export function rowBytes<F>(groups: i32): usize {
  if (isSigned<F>() && isGrouped<F>()) return <usize>storedWidth(groups)
  if (isGrouped<F>()) return <usize>storedWidth(groups) >> 1
  return <usize>groups * 4 * sizeof<F>()
}

/** Bytes of its scales. */
@inline
export function scaleBytes<F>(groups: i32): usize {
  return isGrouped<F>() ? <usize>(storedWidth(groups) / GROUP) << 1 : 0
}

@inline
function storedWidth(groups: i32): i32 {
  return (groups * 4 + 2 * GROUP - 1) & ~(2 * GROUP - 1)
}

/** A row of `groups` groups of four weights as f32. */
@inline
export function unpack<F>(from: usize, scales: usize, to: usize, groups: i32): void {
  if (!isGrouped<F>()) {
    for (let i = 0; i < groups; i++) {
      v128.store(to, load4<F>(from))
      from += 4 * sizeof<F>()
      to += 16
    }
    return
  }
  let left = groups
  for (; left >= GROUP / 4; left -= GROUP / 4) {
    const scale = f32x4.splat(half(scales))
    if (isSigned<F>()) unpackInt8(from, to, scale)
    else unpackInt4(from, to, scale)
    from += isSigned<F>() ? GROUP : GROUP / 2
    scales += 2
    to += GROUP * 4
  }
  if (left == 0) return
  const scale = half(scales)
  for (let i = 0; i < left * 4; i++) {
    const number = isSigned<F>() ? <i32>load<i8>(from + <usize>i) : int4(from, i)
    store<f32>(to + (<usize>i << 2), <f32>number * scale)
  }
}

/**
 * Four weights of a format without groups. A half's exponent and fraction moved to their place in an f32 are that half · 2⁻¹¹², zeros and
 * subnormals included; loading sign-extends, so the sign is there already. Halves are finite (`f32ToF16` sees to it).
 */
@inline
export function load4<F>(at: usize): v128 {
  if (isFloat<F>()) return v128.load(at)
  const moved = v128.and(i32x4.shl(v128.load_ext<i16>(at), 13), i32x4.splat(0x8fffe000))
  return f32x4.mul(moved, f32x4.splat(reinterpret<f32>(0x77800000)))
}

/** One half as f32, by the same arithmetic. */
@inline
function half(at: usize): f32 {
  return reinterpret<f32>((<i32>load<i16>(at) << 13) & 0x8fffe000) * reinterpret<f32>(0x77800000)
}

@inline
function unpackInt8(from: usize, to: usize, scale: v128): void {
  for (let i: usize = 0; i < 32; i += 8) {
    const eight = v128.load_ext<i8>(from + i)
    storeScaled(i32x4.extend_low_i16x8_s(eight), scale, to + i * 4)
    storeScaled(i32x4.extend_high_i16x8_s(eight), scale, to + i * 4 + 16)
  }
}

/** Of every eight numbers, the low halves of four bytes are the first four, the high halves the others; all eight too large. */
@inline
function unpackInt4(from: usize, to: usize, scale: v128): void {
  const bytes = v128.load(from)
  const eights = i8x16.splat(8)
  const low = i8x16.sub(v128.and(bytes, i8x16.splat(15)), eights)
  const high = i8x16.sub(i8x16.shr_u(bytes, 4), eights)
  let first = i16x8.extend_low_i8x16_s(low)
  let second = i16x8.extend_low_i8x16_s(high)
  storeScaled(i32x4.extend_low_i16x8_s(first), scale, to)
  storeScaled(i32x4.extend_low_i16x8_s(second), scale, to + 16)
  storeScaled(i32x4.extend_high_i16x8_s(first), scale, to + 32)
  storeScaled(i32x4.extend_high_i16x8_s(second), scale, to + 48)
  first = i16x8.extend_high_i8x16_s(low)
  second = i16x8.extend_high_i8x16_s(high)
  storeScaled(i32x4.extend_low_i16x8_s(first), scale, to + 64)
  storeScaled(i32x4.extend_low_i16x8_s(second), scale, to + 80)
  storeScaled(i32x4.extend_high_i16x8_s(first), scale, to + 96)
  storeScaled(i32x4.extend_high_i16x8_s(second), scale, to + 112)
}

@inline
function storeScaled(numbers: v128, scale: v128, to: usize): void {
  v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(numbers), scale))
}

/** Number `i` of a group. */
@inline
function int4(group: usize, i: i32): i32 {
  const byte = <i32>load<u8>(group + <usize>((i >> 3) * 4 + (i & 3)))
  return ((i & 4) == 0 ? byte & 15 : byte >> 4) - 8
}

/** The written-out join of four virtual lanes: the same everywhere, whatever the number of rows. */
@inline
export function joined(lanes: v128): f32 {
  return (
    (f32x4.extract_lane(lanes, 0) + f32x4.extract_lane(lanes, 1)) +
    (f32x4.extract_lane(lanes, 2) + f32x4.extract_lane(lanes, 3))
  )
}

/** All four lanes set to a condition on lane numbers: those below `count`. */
@inline
export function lanesBelow(count: i32): v128 {
  return i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(count))
}
