// Formula, for each split s of 128 positions: partial[t, h, s, :] = sum over its j of weight[j] * v[j, h / group, :].
// In: weights [T, heads, splits * 128] f32 from `attention_softmax`; v_cache [max tokens, kv heads, D] as `kv4` reads it, D padded to whole
// vec4. Out: partial [T, heads, splits, D]. One invocation sums one vec4 of D over one split, in ascending order, for up to HEADS query
// heads (prelude, 1 to 4) that share a KV head, so that each value is read once for all of them.
// Dispatch: T * kv_heads * chunks * splits * D/4 invocations, 16 a workgroup, 2-D; chunks = ceil(group / HEADS). Third of the four
// attention kernels (see `attention_scores`). Reference: `attention` in tests/reference/ops.ts.
struct Params { heads: u32, group: u32, kv_heads: u32, chunks: u32, d4: u32 }
struct Step { rows: u32, position: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> weights: array<vec4f>;
@group(0) @binding(3) var<storage, read> v_cache: array<Kv4>;
@group(0) @binding(4) var<storage, read_write> partial: array<vec4f>;

// One after another: the order of the sum.
fn four_values(sum: vec4f, weight: vec4f, a: vec4f, b: vec4f, c: vec4f, d: vec4f) -> vec4f {
  var next = sum;
  next += weight.x * a;
  next += weight.y * b;
  next += weight.z * c;
  next += weight.w * d;
  return next;
}

@compute @workgroup_size(16)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let index = id.y * grid.x * 16u + id.x;
  let i = index % params.d4;
  let split = index / params.d4 % step.splits;
  let unit = index / params.d4 / step.splits; // (t * kv_heads + kv head) * chunks + chunk
  let t = unit / params.chunks / params.kv_heads;
  let first = split * 128u;
  if (t >= step.rows || first > step.position + t) { return; }
  let count = min(128u, step.position + t + 1u - first);
  let kv_head = unit / params.chunks % params.kv_heads;
  let begin = unit % params.chunks * HEADS;
  let end = params.group - 1u; // surplus heads repeat the last one and are not written
  let row = t * params.heads + kv_head * params.group; // of the group's first head
  // Units of scratch: (t * heads + h) * splits + s.
  let u0 = (row + begin) * step.splits + split;
  let u1 = (row + min(begin + 1u, end)) * step.splits + split;
  let u2 = (row + min(begin + 2u, end)) * step.splits + split;
  let u3 = (row + min(begin + 3u, end)) * step.splits + split;
  let stride = params.kv_heads * params.d4;
  var v_at = first * stride + kv_head * params.d4 + i;
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  let fours = count / 4u;
  for (var j = 0u; j < fours; j++) {
    let a = kv4(v_cache[v_at]);
    let b = kv4(v_cache[v_at + stride]);
    let c = kv4(v_cache[v_at + 2u * stride]);
    let d = kv4(v_cache[v_at + 3u * stride]);
    s0 = four_values(s0, weights[u0 * 32u + j], a, b, c, d);
    if (HEADS > 1u) { s1 = four_values(s1, weights[u1 * 32u + j], a, b, c, d); }
    if (HEADS > 2u) { s2 = four_values(s2, weights[u2 * 32u + j], a, b, c, d); }
    if (HEADS > 3u) { s3 = four_values(s3, weights[u3 * 32u + j], a, b, c, d); }
    v_at += 4u * stride;
  }
  for (var k = 0u; k < count % 4u; k++) {
    let a = kv4(v_cache[v_at]);
    s0 += weights[u0 * 32u + fours][k] * a;
    if (HEADS > 1u) { s1 += weights[u1 * 32u + fours][k] * a; }
    if (HEADS > 2u) { s2 += weights[u2 * 32u + fours][k] * a; }
    if (HEADS > 3u) { s3 += weights[u3 * 32u + fours][k] * a; }
    v_at += stride;
  }
  partial[u0 * params.d4 + i] = s0;
  if (HEADS > 1u && begin + 1u <= end) { partial[u1 * params.d4 + i] = s1; }
  if (HEADS > 2u && begin + 2u <= end) { partial[u2 * params.d4 + i] = s2; }
  if (HEADS > 3u && begin + 3u <= end) { partial[u3 * params.d4 + i] = s3; }
}
