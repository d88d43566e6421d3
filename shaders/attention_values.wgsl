// Formula, for each split s of 128 positions: partial[t, h, s, :] = sum over its j of weight[j] * v[j, h / group, :].
// In: weights [T, heads, splits * 128] f32 from `attention_softmax`; v_cache [max tokens, kv heads, D] as `kv4` reads it, D padded to whole
// vec4. Out: partial [T, heads, splits, D]. One invocation sums one vec4 of D over one split, in ascending order.
// Dispatch: ceil(T * heads * splits * D/4 / 16) workgroups, 2-D. Third of the four attention kernels (see `attention_scores`).
// Reference: `attention` in tests/reference/ops.ts.
struct Params { heads: u32, group: u32, kv_heads: u32, d4: u32 }
struct Step { rows: u32, position: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> v_cache: array<Kv4>;
@group(0) @binding(4) var<storage, read_write> partial: array<vec4f>;

@compute @workgroup_size(16)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let index = id.y * grid.x * 16u + id.x;
  let unit = index / params.d4; // (t * heads + h) * splits + s
  let row = unit / step.splits;
  let t = row / params.heads;
  let first = unit % step.splits * 128u;
  if (t >= step.rows || first > step.position + t) { return; }
  let count = min(128u, step.position + t + 1u - first);
  let stride = params.kv_heads * params.d4;
  var v_at = first * stride + row % params.heads / params.group * params.d4 + index % params.d4;
  var sum = vec4f();
  for (var j = 0u; j < count; j++) {
    sum += weights[unit * 128u + j] * kv4(v_cache[v_at]);
    v_at += stride;
  }
  partial[index] = sum;
}
