// Formula: scores[t, h, j] = scale * (q[t, h, :] . k[j, h / group, :]) for j <= position + t.
// In: q [T, heads, D] from row `first` on (the T rows are those of one session), k_cache [max tokens, kv heads, D] as `kv4` reads it, D padded with zeros to whole vec4. Out: scores [T, heads, splits * 128].
// One invocation computes one score; later positions (the causal mask) are not computed and not written.
// First of the four attention kernels, for decode and prefill alike: scores, softmax and values of each split of 128 positions,
// merge. Splits stand at fixed absolute positions, so a row's bits do not depend on the step it came in.
// Dispatch: ceil(T * heads * splits * 128 / 64) workgroups, 2-D. Reference: `attention` in tests/reference/ops.ts.
struct Params { heads: u32, group: u32, kv_heads: u32, d4: u32, scale: f32 }
struct Step { rows: u32, position: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> q: array<vec4f>;
@group(0) @binding(3) var<storage, read> k_cache: array<Kv4>;
@group(0) @binding(4) var<storage, read_write> scores: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let index = id.y * grid.x * 64u + id.x;
  let row = index / (step.splits * 128u); // t * heads + h
  let j = index % (step.splits * 128u);
  let t = row / params.heads;
  if (t >= step.rows || j > step.position + t) { return; }
  let q_at = (step.first * params.heads + row) * params.d4;
  let k_at = (j * params.kv_heads + row % params.heads / params.group) * params.d4;
  var sum = 0.0;
  for (var i = 0u; i < params.d4; i++) { sum += dot(q[q_at + i], kv4(k_cache[k_at + i])); }
  scores[index] = sum * params.scale;
}
