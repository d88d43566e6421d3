/**
 * Counter-based random numbers: Philox 4x32 with 10 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
 * 2011). The number for (seed, index) does not depend on what was drawn before, so a token computed again after a fault
 * is drawn with the same number.
 */
const MULTIPLIER_0 = 0xd2511f53
const MULTIPLIER_1 = 0xcd9e8d57
const WEYL_0 = 0x9e3779b9
const WEYL_1 = 0xbb67ae85
const ROUNDS = 10

type Words4 = [number, number, number, number]

/** One block of four 32-bit words. */
export function philox(counter: Words4, key: [number, number]): Words4 {
  let [c0, c1, c2, c3] = counter
  let [k0, k1] = key
  for (let round = 0; round < ROUNDS; round += 1) {
    const [high0, low0] = multiply(MULTIPLIER_0, c0)
    const [high1, low1] = multiply(MULTIPLIER_1, c2)
    ;[c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0]
    k0 = (k0 + WEYL_0) >>> 0
    k1 = (k1 + WEYL_1) >>> 0
  }
  return [c0, c1, c2, c3]
}

/** A uniform number in [0, 1) with 53 bits for token `index` of the answer that `seed` names. */
export function uniform(seed: number, index: number): number {
  const [a, b] = philox(
    [index >>> 0, Math.floor(index / 2 ** 32), 0, 0],
    [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0],
  )
  return ((a >>> 5) * 2 ** 26 + (b >>> 6)) / 2 ** 53
}

/** 32 × 32 → 64 bits as [high, low], from 16-bit halves: a plain product loses the low bits beyond 2^53. */
function multiply(a: number, b: number): [number, number] {
  const aHigh = a >>> 16
  const aLow = a & 0xffff
  const bHigh = b >>> 16
  const bLow = b & 0xffff
  const low = aLow * bLow
  const mid = aHigh * bLow + (low >>> 16)
  const cross = aLow * bHigh + (mid & 0xffff)
  const high = aHigh * bHigh + Math.floor(mid / 0x10000) + Math.floor(cross / 0x10000)
  return [high >>> 0, (((cross & 0xffff) << 16) | (low & 0xffff)) >>> 0]
}
