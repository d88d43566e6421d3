// Formula: with angle a = position * inverse frequency i, (q[i], q[i + D/2]) turns by a, likewise k; v is copied. The turned q goes
// to its own buffer, k and v go into the KV cache at their positions.
// In: qkv [T, qkv_stride] f32: heads of q, then of k, then of v, D each; table [T, D/2] of (cos, sin), from the CPU because a
// GPU's own cosine is off by 2e-4. Out: q [T, heads, d_stride], k_cache and v_cache [max tokens, kv heads, d_stride], all f32.
// The T rows are those of one session, from row `first` of qkv, table and q on. One invocation does one pair of one head of one row.
// Dispatch: ceil(T * (heads + 2 * kv_heads) * D/2 / 64) workgroups, 2-D.
// Source: Su et al. 2021 (rotary embedding, halves as in Llama). Reference: `rope` in tests/reference/ops.ts.
struct Params { heads: u32, kv_heads: u32, head_dim: u32, d_stride: u32, qkv_stride: u32 }
struct Step { rows: u32, position: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> qkv: array<f32>;
@group(0) @binding(3) var<storage, read> table: array<vec2f>;
@group(0) @binding(4) var<storage, read_write> q: array<f32>;
@group(0) @binding(5) var<storage, read_write> k_cache: array<f32>;
@group(0) @binding(6) var<storage, read_write> v_cache: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let index = id.y * grid.x * 64u + id.x;
  let half = params.head_dim / 2u;
  let all_heads = params.heads + 2u * params.kv_heads;
  let i = index % half;
  let head = index / half % all_heads;
  let t = index / half / all_heads;
  if (t >= step.rows) { return; }
  let row = step.first + t;
  let source = row * params.qkv_stride + head * params.head_dim + i;
  let a = qkv[source];
  let b = qkv[source + half];
  let turn = table[row * half + i];
  let turned_a = a * turn.x - b * turn.y;
  let turned_b = b * turn.x + a * turn.y;
  if (head < params.heads) {
    let to = (row * params.heads + head) * params.d_stride + i;
    q[to] = turned_a;
    q[to + half] = turned_b;
    return;
  }
  let cache_row = (step.position + t) * params.kv_heads;
  if (head < params.heads + params.kv_heads) {
    let to = (cache_row + head - params.heads) * params.d_stride + i;
    k_cache[to] = turned_a;
    k_cache[to + half] = turned_b;
  } else {
    let to = (cache_row + head - params.heads - params.kv_heads) * params.d_stride + i;
    v_cache[to] = a;
    v_cache[to + half] = b;
  }
}
