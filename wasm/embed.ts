/**
 * out[t, :] = table[tokens[t], :].
 * tokens `[T]` u32, table `[vocabSize, width]` in the weight format, and its scales where it has any; out `[T, width]` f32, padded to
 * whole groups of four. Reference: `embed` in tests/reference/ops.ts.
 */
import { rowBytes, scaleBytes, unpack } from './format'

@inline
export function embed<F>(table: usize, scales: usize, tokens: usize, out: usize, rows: i32, groups: i32): void {
  for (let t = 0; t < rows; t++) {
    const token = <usize>load<u32>(tokens + (<usize>t << 2))
    const to = out + (<usize>(t * groups) << 4)
    unpack<F>(table + token * rowBytes<F>(groups), scales + token * scaleBytes<F>(groups), to, groups)
  }
}
