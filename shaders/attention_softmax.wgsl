// Formula, for each split s of 128 positions: m = max of its scores, scores[j] becomes exp(scores[j] - m), l = their sum.
// In, overwritten: scores [T, heads, splits * 128] f32. Out: stats [T, heads, splits] of (m, l).
// One invocation handles one split of one head of one row in ascending order; splits past the row's position are left alone.
// Dispatch: ceil(T * heads * splits / 16) workgroups, 2-D. Second of the four attention kernels (see `attention_scores`).
// Source: Milakov and Gimelshein 2018 (online softmax). Reference: `attention` in tests/reference/ops.ts.
struct Params { heads: u32 }
struct Step { rows: u32, position: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read_write> scores: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> stats: array<vec2f>;

@compute @workgroup_size(16)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let index = id.y * grid.x * 16u + id.x;
  let t = index / step.splits / params.heads;
  let first = index % step.splits * 128u;
  if (t >= step.rows || first > step.position + t) { return; }
  let count = min(128u, step.position + t + 1u - first);
  let at = index * 32u;
  let rest = at + count / 4u;
  var highest = scores[at].x;
  for (var i = at; i < rest; i++) {
    let four = scores[i];
    highest = max(highest, max(max(four.x, four.y), max(four.z, four.w)));
  }
  for (var k = 0u; k < count % 4u; k++) { highest = max(highest, scores[rest][k]); }
  var sum = 0.0;
  for (var i = at; i < rest; i++) {
    let four = exp(scores[i] - highest);
    scores[i] = four;
    sum += four.x;
    sum += four.y;
    sum += four.z;
    sum += four.w;
  }
  for (var k = 0u; k < count % 4u; k++) {
    let weight = exp(scores[rest][k] - highest);
    scores[rest][k] = weight;
    sum += weight;
  }
  stats[index] = vec2f(highest, sum);
}
