// Formula: scores[t, h, j] = scale * (q[t, h, :] . k[j, h / group, :]) for j <= position + t.
// In: q [T, heads, D] from row `first` on (the T rows are those of one session), k_cache [max tokens, kv heads, D] as `kv4` reads it, D
// padded with zeros to whole vec4. Out: scores [T, heads, splits * 128]. One invocation computes four positions for up to HEADS
// query heads (prelude, 1 to 4) that share a KV head, so that each key is read once for all of them.
// Later positions (the causal mask) are not computed; up to three behind the last one are written and never read.
// First of the four attention kernels, for decode and prefill alike: scores, softmax and values of each split of 128 positions,
// merge. Splits stand at fixed absolute positions, so a row's bits do not depend on the step it came in.
// Dispatch: T * kv_heads * chunks * splits * 32 invocations, 16 a workgroup, 2-D; chunks = ceil(group / HEADS).
// Reference: `attention` in tests/reference/ops.ts. Behind `four_rows`.
struct Params { heads: u32, group: u32, kv_heads: u32, chunks: u32, d4: u32, scale: f32 }
struct Step { rows: u32, position: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> q: array<vec4f>;
@group(0) @binding(3) var<storage, read> k_cache: array<Kv4>;
@group(0) @binding(4) var<storage, read_write> scores: array<vec4f>;

@compute @workgroup_size(16)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let index = id.y * grid.x * 16u + id.x;
  let fours = step.splits * 32u;
  let j = index % fours * 4u;
  let unit = index / fours; // (t * kv_heads + kv head) * chunks + chunk
  let t = unit / params.chunks / params.kv_heads;
  let last = step.position + t;
  if (t >= step.rows || j > last) { return; }
  let kv_head = unit / params.chunks % params.kv_heads;
  let begin = unit % params.chunks * HEADS;
  let row = t * params.heads + kv_head * params.group; // of the group's first head
  let end = params.group - 1u; // surplus heads repeat the last one and are not written
  let q_row = (step.first * params.heads + row) * params.d4;
  let q0 = q_row + begin * params.d4;
  let q1 = q_row + min(begin + 1u, end) * params.d4;
  let q2 = q_row + min(begin + 2u, end) * params.d4;
  let q3 = q_row + min(begin + 3u, end) * params.d4;
  let k0 = (j * params.kv_heads + kv_head) * params.d4;
  let k1 = (min(j + 1u, last) * params.kv_heads + kv_head) * params.d4;
  let k2 = (min(j + 2u, last) * params.kv_heads + kv_head) * params.d4;
  let k3 = (min(j + 3u, last) * params.kv_heads + kv_head) * params.d4;
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  for (var i = 0u; i < params.d4; i++) {
    let a = kv4(k_cache[k0 + i]);
    let b = kv4(k_cache[k1 + i]);
    let c = kv4(k_cache[k2 + i]);
    let d = kv4(k_cache[k3 + i]);
    s0 += four_rows(a, b, c, d, q[q0 + i]);
    if (HEADS > 1u) { s1 += four_rows(a, b, c, d, q[q1 + i]); }
    if (HEADS > 2u) { s2 += four_rows(a, b, c, d, q[q2 + i]); }
    if (HEADS > 3u) { s3 += four_rows(a, b, c, d, q[q3 + i]); }
  }
  let at = (row + begin) * fours + j / 4u;
  scores[at] = s0 * params.scale;
  if (HEADS > 1u && begin + 1u <= end) { scores[at + fours] = s1 * params.scale; }
  if (HEADS > 2u && begin + 2u <= end) { scores[at + 2u * fours] = s2 * params.scale; }
  if (HEADS > 3u && begin + 3u <= end) { scores[at + 3u * fours] = s3 * params.scale; }
}
