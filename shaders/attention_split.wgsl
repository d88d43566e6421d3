// Formula, for each split s of 128 positions: w[j] = exp(scale * (q[t, h, :] . k[j, h / group, :]) - m) with m the largest exponent;
// partial[t, h, s, :] = sum over its j of w[j] * v[j, h / group, :], stats = (m, sum of w). Causal: j <= position + t.
// In: q [T, heads, D] from row `first` on, k_cache and v_cache [max tokens, kv heads, D] as `kv4` reads them, D padded with zeros to
// whole vec4. Out: stats [T, heads, splits], partial [T, heads, splits, D]. For GPUs, steps of few rows: `attention_scores`, `_softmax`
// and `_values` in one, with their bits: sums go in their order, only where the largest is found differs. One workgroup handles one
// split of up to HEADS query heads (prelude, 1 to 4) that share a KV head: each key is read once, each value by all heads at once.
// Dispatch: T * kv_heads * chunks * splits workgroups of 64, 2-D; chunks = ceil(group / HEADS).
// Source: Dao et al. 2023 (Flash-Decoding). Reference: `attention` in tests/reference/ops.ts.
struct Params { heads: u32, group: u32, kv_heads: u32, chunks: u32, d4: u32, scale: f32 }
struct Step { rows: u32, position: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> q: array<vec4f>;
@group(0) @binding(3) var<storage, read> k_cache: array<Kv4>;
@group(0) @binding(4) var<storage, read> v_cache: array<Kv4>;
@group(0) @binding(5) var<storage, read_write> stats: array<vec2f>;
@group(0) @binding(6) var<storage, read_write> partial: array<vec4f>;

const SIZE = 64u;
// Component h belongs to head h.
var<workgroup> weights: array<vec4f, 128>;
var<workgroup> most: array<vec4f, SIZE>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = group.y * grid.x + group.x;
  let split = index % step.splits;
  let unit = index / step.splits; // (t * kv_heads + kv head) * chunks + chunk
  let t = unit / params.chunks / params.kv_heads;
  let first = split * 128u;
  if (t >= step.rows || first > step.position + t) { return; } // the whole workgroup
  let count = min(128u, step.position + t + 1u - first);
  let kv_head = unit / params.chunks % params.kv_heads;
  let begin = unit % params.chunks * HEADS;
  let end = params.group - 1u; // surplus heads repeat the last one and are not written
  let row = t * params.heads + kv_head * params.group; // of the group's first head
  let stride = params.kv_heads * params.d4;
  let kv_at = first * stride + kv_head * params.d4;

  let q_row = (step.first * params.heads + row) * params.d4;
  let q0 = q_row + begin * params.d4;
  let q1 = q_row + min(begin + 1u, end) * params.d4;
  let q2 = q_row + min(begin + 2u, end) * params.d4;
  let q3 = q_row + min(begin + 3u, end) * params.d4;
  for (var j = local; j < count; j += SIZE) {
    var score = vec4f();
    for (var i = 0u; i < params.d4; i++) {
      let k = kv4(k_cache[kv_at + j * stride + i]);
      score.x += dot(k, q[q0 + i]);
      if (HEADS > 1u) { score.y += dot(k, q[q1 + i]); }
      if (HEADS > 2u) { score.z += dot(k, q[q2 + i]); }
      if (HEADS > 3u) { score.w += dot(k, q[q3 + i]); }
    }
    weights[j] = score * params.scale;
  }
  workgroupBarrier();
  most[local] = max(weights[min(local, count - 1u)], weights[min(local + SIZE, count - 1u)]);
  for (var half = SIZE / 2u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (local < half) { most[local] = max(most[local], most[local + half]); }
  }
  workgroupBarrier();
  let highest = most[0];
  for (var j = local; j < count; j += SIZE) { weights[j] = exp(weights[j] - highest); }
  workgroupBarrier();

  let heads = min(HEADS, params.group - begin);
  // The last invocations have the fewest values.
  let h = SIZE - 1u - local;
  if (h < heads) {
    var sum = 0.0;
    for (var j = 0u; j < count; j++) { sum += weights[j][h]; }
    stats[(row + begin + h) * step.splits + split] = vec2f(highest[h], sum);
  }
  for (var c = local; c < heads * params.d4; c += SIZE) {
    let head = c / params.d4;
    let i = c % params.d4;
    var sum = vec4f();
    for (var j = 0u; j < count; j++) { sum += weights[j][head] * kv4(v_cache[kv_at + j * stride + i]); }
    partial[((row + begin + head) * step.splits + split) * params.d4 + i] = sum;
  }
}
