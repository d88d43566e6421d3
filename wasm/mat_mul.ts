/**
 * y[t, r] = Σ w[r, i] · x[t, i], for rows r of [firstRow, endRow).
 * x `[T, width]` f32, w `[rows, width]` in the weight format, both padded with zeros to whole groups of four; y `[T, yStride]` f32.
 *
 * Each sum runs over its row four by four into four virtual lanes, which are joined at the end: in every function below, so that
 * bits depend neither on T nor on how rows are shared out. One row of activations goes past eight rows of weights at a time; of
 * more rows, two go past four rows of weights, which are unpacked once.
 * Reference: `matMul` in tests/reference/ops.ts.
 */
import { bytesOf4, joined, load4 } from './format'

/** `unpacked` has room for four rows of weights as f32. */
@inline
export function matMul<F>(
  w: usize,
  x: usize,
  y: usize,
  unpacked: usize,
  firstRow: i32,
  endRow: i32,
  rowsOfX: i32,
  groups: i32,
  yStride: i32,
): void {
  const wStride = <usize>groups * bytesOf4<F>()
  if (rowsOfX == 1) {
    let row = firstRow
    for (; row + 8 <= endRow; row += 8) eightRows<F>(w + <usize>row * wStride, x, y + (<usize>row << 2), groups)
    for (; row < endRow; row++) store<f32>(y + (<usize>row << 2), oneRow<F>(w + <usize>row * wStride, x, groups))
    return
  }
  const xStride = <usize>groups << 4
  let row = firstRow
  for (; row + 4 <= endRow; row += 4) {
    let rows = w + <usize>row * wStride
    if (!isFloat<F>()) {
      unpack<F>(rows, unpacked, groups << 2)
      rows = unpacked
    }
    tileOfFour(rows, x, y + (<usize>row << 2), rowsOfX, groups, yStride)
  }
  for (; row < endRow; row++) {
    for (let t = 0; t < rowsOfX; t++) {
      const sum = oneRow<F>(w + <usize>row * wStride, x + <usize>t * xStride, groups)
      store<f32>(y + (<usize>(t * yStride + row) << 2), sum)
    }
  }
}

@inline
function oneRow<F>(w: usize, x: usize, groups: i32): f32 {
  let sum = f32x4.splat(0)
  for (let i = 0; i < groups; i++) {
    sum = f32x4.add(sum, f32x4.mul(load4<F>(w), v128.load(x)))
    w += bytesOf4<F>()
    x += 16
  }
  return joined(sum)
}

/** Eight sums at once keep the adders busy; activations are loaded once for all of them. */
@inline
function eightRows<F>(w: usize, x: usize, y: usize, groups: i32): void {
  const stride = <usize>groups * bytesOf4<F>()
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
    w += bytesOf4<F>()
    w4 += bytesOf4<F>()
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

/** `groups` groups of four weights as f32. */
@inline
export function unpack<F>(from: usize, to: usize, groups: i32): void {
  for (let i = 0; i < groups; i++) {
    v128.store(to, load4<F>(from))
    from += bytesOf4<F>()
    to += 16
  }
}
