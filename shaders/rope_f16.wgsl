// Formula: that of `rope`; k and v become halves, nearest first, and stay within what a half can be.
// In: qkv [T, qkv_stride] f32: heads of q, then of k, then of v, D each; table [T, D/2] of (cos, sin).
// Out: q [T, heads, d_stride] f32; k_cache and v_cache [max tokens, kv heads, d_stride] f16, two in a word.
// The T rows are those of one session, from row `first` of qkv, table and q on. One invocation does two neighbours of one head of one
// row: those of a word, so that no two invocations write to one.
// Dispatch: ceil(T * (heads + 2 * kv_heads) * D/2 / 64) workgroups, 2-D.
// Source: Su et al. 2021 (rotary embedding, halves as in Llama). Reference: `rope` in tests/reference/ops.ts.
struct Params { heads: u32, kv_heads: u32, head_dim: u32, d_stride: u32, qkv_stride: u32 }
struct Step { rows: u32, position: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> qkv: array<f32>;
@group(0) @binding(3) var<storage, read> table: array<vec2f>;
@group(0) @binding(4) var<storage, read_write> q: array<f32>;
@group(0) @binding(5) var<storage, read_write> k_cache: array<u32>;
@group(0) @binding(6) var<storage, read_write> v_cache: array<u32>;

const MOST = 65504.0;

// Element `e` of the head that begins at `source`, turned.
fn turned(source: u32, row: u32, e: u32) -> f32 {
  let half = params.head_dim / 2u;
  let i = e % half;
  let turn = table[row * half + i];
  let a = qkv[source + i];
  let b = qkv[source + half + i];
  if (e < half) { return a * turn.x - b * turn.y; }
  return b * turn.x + a * turn.y;
}

fn packed(a: f32, b: f32) -> u32 { return pack2x16float(clamp(vec2f(a, b), vec2f(-MOST), vec2f(MOST))); }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let index = id.y * grid.x * 64u + id.x;
  let words = params.head_dim / 2u;
  let all_heads = params.heads + 2u * params.kv_heads;
  let word = index % words;
  let head = index / words % all_heads;
  let t = index / words / all_heads;
  if (t >= step.rows) { return; }
  let row = step.first + t;
  let source = row * params.qkv_stride + head * params.head_dim;
  let e = 2u * word;
  if (head < params.heads) {
    let to = (row * params.heads + head) * params.d_stride + e;
    q[to] = turned(source, row, e);
    q[to + 1u] = turned(source, row, e + 1u);
    return;
  }
  let cache_row = (step.position + t) * params.kv_heads;
  if (head < params.heads + params.kv_heads) {
    let to = (cache_row + head - params.heads) * params.d_stride / 2u + word;
    k_cache[to] = packed(turned(source, row, e), turned(source, row, e + 1u));
  } else {
    let to = (cache_row + head - params.heads - params.kv_heads) * params.d_stride / 2u + word;
    v_cache[to] = packed(qkv[source + e], qkv[source + e + 1u]);
  }
}
