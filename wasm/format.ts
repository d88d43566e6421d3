/**
 * Weight formats, each by the type of its stored element. A further format (int8 and int4 in groups of 32) is one more branch
 * here: everything else reads weights through `load4` alone. Branches are on types, so none is left at run time.
 */

/** Bytes of the four elements from a multiple of four on: f32 is f32, f16 is u16. */
@inline
export function bytesOf4<F>(): usize {
  return 4 * sizeof<F>()
}

/**
 * Four weights as f32, exactly. A half's exponent and fraction moved to their place in an f32 are that half · 2⁻¹¹², zeros and
 * subnormals included; loading sign-extends, so the sign is there already. Halves are finite (`f32ToF16` sees to it).
 */
@inline
export function load4<F>(at: usize): v128 {
  if (isFloat<F>()) return v128.load(at)
  const moved = v128.and(i32x4.shl(v128.load_ext<i16>(at), 13), i32x4.splat(0x8fffe000))
  return f32x4.mul(moved, f32x4.splat(reinterpret<f32>(0x77800000)))
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
