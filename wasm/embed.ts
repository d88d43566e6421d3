/**
 * out[t, :] = table[tokens[t], :].
 * tokens `[T]` u32, table `[vocabSize, width]` in the weight format, out `[T, width]` f32; rows padded to whole groups of four.
 * Reference: `embed` in tests/reference/ops.ts.
 */
import { bytesOf4 } from './format'
import { unpack } from './mat_mul'

@inline
export function embed<F>(table: usize, tokens: usize, out: usize, rows: i32, groups: i32): void {
  const stride = <usize>groups * bytesOf4<F>()
  for (let t = 0; t < rows; t++) {
    const token = <usize>load<u32>(tokens + (<usize>t << 2))
    unpack<F>(table + token * stride, out + <usize>t * (<usize>groups << 4), groups)
  }
}
