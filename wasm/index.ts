/** What the module exports: one function a kernel, those that read weights once for each format. Called by web/wasm/kernels.ts. */
import { embed } from './embed'
import { matMul } from './mat_mul'
import { SPLIT } from './attention'

export { add, add_bias, silu_mul } from './pointwise'
export { attention } from './attention'
export { rms_norm } from './rms_norm'
export { rope } from './rope'
export { top_k } from './top_k'

/** First byte that is not the module's own. */
export function first_free(): usize {
  return __heap_base
}

export function attention_split(): i32 {
  return SPLIT
}

export function embed_f32(table: usize, scales: usize, tokens: usize, out: usize, rows: i32, groups: i32): void {
  embed<f32>(table, scales, tokens, out, rows, groups)
}

export function embed_f16(table: usize, scales: usize, tokens: usize, out: usize, rows: i32, groups: i32): void {
  embed<u16>(table, scales, tokens, out, rows, groups)
}

export function embed_int8(table: usize, scales: usize, tokens: usize, out: usize, rows: i32, groups: i32): void {
  embed<i8>(table, scales, tokens, out, rows, groups)
}

export function embed_int4(table: usize, scales: usize, tokens: usize, out: usize, rows: i32, groups: i32): void {
  embed<u8>(table, scales, tokens, out, rows, groups)
}

export function mat_mul_f32(
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
  matMul<f32>(w, scales, x, y, unpacked, firstRow, endRow, rowsOfX, groups, yStride)
}

export function mat_mul_f16(
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
  matMul<u16>(w, scales, x, y, unpacked, firstRow, endRow, rowsOfX, groups, yStride)
}

export function mat_mul_int8(
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
  matMul<i8>(w, scales, x, y, unpacked, firstRow, endRow, rowsOfX, groups, yStride)
}

export function mat_mul_int4(
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
  matMul<u8>(w, scales, x, y, unpacked, firstRow, endRow, rowsOfX, groups, yStride)
}
