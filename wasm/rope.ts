/**
 * Rotary embedding of q and k, and the write of k and v into the cache: the pairs (i, i + D / 2) of every head are turned.
 * qkv `[T, (heads + 2 · kvHeads) · D]`; table of (cos, sin) pairs `[T, D / 2]` from the CPU (web/engine/rope-tables.ts);
 * q `[T, heads, P]`; k, v `[kvHeads, maxTokens, P]`, P being D rounded up to whole groups of four, the rest zeros.
 * Writes positions [position, position + T). Reference: `rope` in tests/reference/ops.ts.
 */
export function rope(
  qkv: usize,
  table: usize,
  q: usize,
  k: usize,
  v: usize,
  rows: i32,
  position: i32,
  heads: i32,
  kvHeads: i32,
  headDim: i32,
  maxTokens: i32,
): void {
  const padded = <usize>((headDim + 3) & ~3) << 2
  const head = <usize>headDim << 2
  for (let t = 0; t < rows; t++) {
    for (let h = 0; h < heads; h++) {
      turn(qkv, table, q, headDim)
      qkv += head
      q += padded
    }
    const at = <usize>(position + t) * padded
    for (let h = 0; h < kvHeads; h++) {
      turn(qkv, table, k + <usize>(h * maxTokens) * padded + at, headDim)
      qkv += head
    }
    for (let h = 0; h < kvHeads; h++) {
      const to = v + <usize>(h * maxTokens) * padded + at
      pad(to, headDim)
      memory.copy(to, qkv, head)
      qkv += head
    }
    table += head
  }
}

function turn(from: usize, table: usize, to: usize, headDim: i32): void {
  const half = <usize>(headDim >> 1) << 2
  pad(to, headDim)
  for (let i: usize = 0; i < half; i += 4) {
    const cos = load<f32>(table + 2 * i)
    const sin = load<f32>(table + 2 * i, 4)
    const a = load<f32>(from + i)
    const b = load<f32>(from + half + i)
    store<f32>(to + i, a * cos - b * sin)
    store<f32>(to + half + i, b * cos + a * sin)
  }
}

/** Zeros in the last group of four, before what belongs there is written: a cache's memory was another's before. */
@inline
function pad(to: usize, headDim: i32): void {
  if (headDim & 3) v128.store(to + (<usize>(headDim & ~3) << 2), f32x4.splat(0))
}
