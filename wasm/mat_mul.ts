/**
 * y[t, r] = Σ w[r, i] · x[t, i], for rows r of [firstRow, endRow).
 * x `[T, width]` f32, padded with zeros to whole groups of four; w `[rows, width]` in the weight format, and its scales where it has
 * any; y `[T, yStride]` f32.
 *
 * Each sum runs over its row four by four into four virtual lanes, which are joined at the end: in every function below, so that
 * bits depend neither on T nor on how rows are shared out. One row of activations goes past eight rows of weights at a time; of
 * more rows, two go past four rows of weights.
 * Reference: `matMul` in tests/reference/ops.ts.
 */
import { isGrouped, joined, load4, rowBytes, scaleBytes, unpack } from './format'

/** `unpacked` has room for eight rows of weights as f32. */
@inline
export function matMul<F>(
  w: usize,
  scales: usize,
  x: usize,
  y: usize,
  unpacked: usize,
  firstRow: i32,
  endRow: i32,
  rowsOfX: i32,
  groups: i32,
  yStride: i32,
): void {
  // Eight rows of a format without groups are read in place; all others, and what is used more than once, are unpacked.
  const inPlace = !isGrouped<F>() && (isFloat<F>() || rowsOfX == 1)
  const atOnce = rowsOfX == 1 ? 8 : 4
  for (let row = firstRow; row < endRow; row += atOnce) {
    const count = min(atOnce, endRow - row)
    let rows = w + <usize>row * rowBytes<F>(groups)
    const to = y + (<usize>row << 2)
    if (!inPlace) {
      unpackRows<F>(rows, scales + <usize>row * scaleBytes<F>(groups), unpacked, count, groups)
      rows = unpacked
    }
    if (count < atOnce) {
      if (inPlace) fewRows<F>(rows, x, to, count, rowsOfX, groups, yStride)
      else fewRows<f32>(rows, x, to, count, rowsOfX, groups, yStride)
    } else if (rowsOfX > 1) {
      tileOfFour(rows, x, to, rowsOfX, groups, yStride)
    } else if (inPlace) {
      eightRows<F>(rows, x, to, groups)
    } else {
      eightRows<f32>(rows, x, to, groups)
    }
  }
}

function unpackRows<F>(w: usize, scales: usize, to: usize, count: i32, groups: i32): void {
  for (let row = 0; row < count; row++) {
    unpack<F>(w, scales, to, groups)
    w += rowBytes<F>(groups)
    scales += scaleBytes<F>(groups)
    to += <usize>groups << 4
  }
}

/** One row of weights against one of activations at a time. */
function fewRows<F>(w: usize, x: usize, y: usize, count: i32, rowsOfX: i32, groups: i32, yStride: i32): void {
  const stride = rowBytes<F>(groups)
  for (let t = 0; t < rowsOfX; t++) {
    for (let row = 0; row < count; row++) {
      const sum = oneRow<F>(w + <usize>row * stride, x + (<usize>(t * groups) << 4), groups)
      store<f32>(y + (<usize>(t * yStride + row) << 2), sum)
    }
  }
}

@inline
function oneRow<F>(w: usize, x: usize, groups: i32): f32 {
  let sum = f32x4.splat(0)
  for (let i = 0; i < groups; i++) {
    sum = f32x4.add(sum, f32x4.mul(load4<F>(w), v128.load(x)))
    w += 4 * sizeof<F>()
    x += 16
  }
  return joined(sum)
}

/** Eight sums at once keep the adders busy; activations are loaded once for all of them. */
@inline
function eightRows<F>(w: usize, x: usize, y: usize, groups: i32): void {
  const stride = rowBytes<F>(groups)
  let w4 = w + 4 * stride
  let a0 = f32x4.splat(0)
  let a1 = a0
  let a2 = a0
  let a3 = a0
  let a4 = a0
  let a5 = a0
  let a6 = a0
  let a7 = a0
  for (let i = 0; i < groups; i++) {
    const v = v128.load(x)
    a0 = f32x4.add(a0, f32x4.mul(load4<F>(w), v))
    a1 = f32x4.add(a1, f32x4.mul(load4<F>(w + stride), v))
    a2 = f32x4.add(a2, f32x4.mul(load4<F>(w + 2 * stride), v))
    a3 = f32x4.add(a3, f32x4.mul(load4<F>(w + 3 * stride), v))
    a4 = f32x4.add(a4, f32x4.mul(load4<F>(w4), v))
    a5 = f32x4.add(a5, f32x4.mul(load4<F>(w4 + stride), v))
    a6 = f32x4.add(a6, f32x4.mul(load4<F>(w4 + 2 * stride), v))
    a7 = f32x4.add(a7, f32x4.mul(load4<F>(w4 + 3 * stride), v))
    w += 4 * sizeof<F>()
    w4 += 4 * sizeof<F>()
    x += 16
  }
  store<f32>(y, joined(a0), 0)
  store<f32>(y, joined(a1), 4)
  store<f32>(y, joined(a2), 8)
  store<f32>(y, joined(a3), 12)
  store<f32>(y, joined(a4), 16)
  store<f32>(y, joined(a5), 20)
  store<f32>(y, joined(a6), 24)
  store<f32>(y, joined(a7), 28)
}

/** Four rows of f32 weights against every row of activations, two at a time. */
function tileOfFour(w: usize, x: usize, y: usize, rowsOfX: i32, groups: i32, yStride: i32): void {
  const stride = <usize>groups << 4
  const yBytes = <usize>yStride << 2
  let t = 0
  for (; t + 2 <= rowsOfX; t += 2) {
    let x0 = x + <usize>t * stride
    let x1 = x0 + stride
    let w0 = w
    let w1 = w + 2 * stride
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    let b0 = a0
    let b1 = a0
    let b2 = a0
    let b3 = a0
    for (let i = 0; i < groups; i++) {
      const u = v128.load(x0)
      const v = v128.load(x1)
      let row = v128.load(w0)
      a0 = f32x4.add(a0, f32x4.mul(row, u))
      b0 = f32x4.add(b0, f32x4.mul(row, v))
      row = v128.load(w0 + stride)
      a1 = f32x4.add(a1, f32x4.mul(row, u))
      b1 = f32x4.add(b1, f32x4.mul(row, v))
      row = v128.load(w1)
      a2 = f32x4.add(a2, f32x4.mul(row, u))
      b2 = f32x4.add(b2, f32x4.mul(row, v))
      row = v128.load(w1 + stride)
      a3 = f32x4.add(a3, f32x4.mul(row, u))
      b3 = f32x4.add(b3, f32x4.mul(row, v))
      x0 += 16
      x1 += 16
      w0 += 16
      w1 += 16
    }
    const at = y + <usize>t * yBytes
    store<f32>(at, joined(a0), 0)
    store<f32>(at, joined(a1), 4)
    store<f32>(at, joined(a2), 8)
    store<f32>(at, joined(a3), 12)
    store<f32>(at + yBytes, joined(b0), 0)
    store<f32>(at + yBytes, joined(b1), 4)
    store<f32>(at + yBytes, joined(b2), 8)
    store<f32>(at + yBytes, joined(b3), 12)
  }
  if (t == rowsOfX) return
  for (let row = 0; row < 4; row++) {
    const sum = oneRow<f32>(w + <usize>row * stride, x + <usize>t * stride, groups)
    store<f32>(y + <usize>t * yBytes + (<usize>row << 2), sum)
  }
}
