/**
 * y[t, i] = x[t, i] / sqrt(mean(x[t, :]²) + eps) · weight[i].
 * x, y `[T, width]`, weight `[width]`, f32, padded with zeros to whole groups of four.
 * Reference: `rmsNorm` in tests/reference/ops.ts.
 */
import { joined } from './format'

export function rms_norm(x: usize, weight: usize, y: usize, rows: i32, width: i32, eps: f32): void {
  const groups = (width + 3) >> 2
  const stride = <usize>groups << 4
  for (let t = 0; t < rows; t++) {
    let squares = f32x4.splat(0)
    for (let at: usize = 0; at < stride; at += 16) {
      const v = v128.load(x + at)
      squares = f32x4.add(squares, f32x4.mul(v, v))
    }
    const scale = f32x4.splat(<f32>1 / sqrt<f32>(joined(squares) / <f32>width + eps))
    for (let at: usize = 0; at < stride; at += 16) {
      v128.store(y + at, f32x4.mul(f32x4.mul(v128.load(x + at), scale), v128.load(weight + at)))
    }
    x += stride
    y += stride
  }
}
