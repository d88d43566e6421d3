/**
 * What goes over elements one by one: residual, bias, silu·mul. Rows padded to whole groups of four stay padded with zeros.
 * References: `add`, `addBias` and `siluMul` in tests/reference/ops.ts.
 */
import { exp4 } from './exp'
import { lanesBelow } from './format'

/** x[i] += y[i] over `groups` groups of four. */
export function add(x: usize, y: usize, groups: i32): void {
  for (let i = 0; i < groups; i++) {
    v128.store(x, f32x4.add(v128.load(x), v128.load(y)))
    x += 16
    y += 16
  }
}

/** y[t, i] += bias[i]; bias `[width]`, y `[T, yStride]`. */
export function add_bias(bias: usize, y: usize, rows: i32, width: i32, yStride: i32): void {
  for (let t = 0; t < rows; t++) {
    const row = y + (<usize>(t * yStride) << 2)
    let i = 0
    for (; i + 4 <= width; i += 4) {
      const at = <usize>i << 2
      v128.store(row + at, f32x4.add(v128.load(row + at), v128.load(bias + at)))
    }
    for (; i < width; i++) {
      const at = <usize>i << 2
      store<f32>(row + at, load<f32>(row + at) + load<f32>(bias + at))
    }
  }
}

/**
 * out[t, i] = silu(gate[t, i]) · up[t, i]. gate_up `[T, 2 · width]`: gate, then up; out `[T, width]`, padded. Where width is no
 * multiple of four, up to 12 bytes past gate_up are read and not used.
 */
export function silu_mul(gateUp: usize, out: usize, rows: i32, width: i32): void {
  const bytes = <usize>width << 2
  for (let t = 0; t < rows; t++) {
    for (let i = 0; i < width; i += 4) {
      const at = gateUp + (<usize>i << 2)
      const gate = v128.load(at)
      const up = v128.load(at + bytes)
      const silu = f32x4.div(gate, f32x4.add(f32x4.splat(1), exp4(f32x4.neg(gate))))
      const product = f32x4.mul(silu, up)
      v128.store(out, i + 4 <= width ? product : v128.and(product, lanesBelow(width - i)))
      out += 16
    }
    gateUp += 2 * bytes
  }
}
