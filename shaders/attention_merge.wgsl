// Formula: with M = max of m over the splits, out[t, h, d] = sum of exp(m - M) * partial[d] / sum of exp(m - M) * l.
// In: stats [T, heads, splits] of (m, l); partial [T, heads, splits, d_stride] f32. Out: out [T, out_stride] f32 from row
// `first` on, heads side by side without padding between them. One invocation merges one element, splits in ascending order; one split takes the same way.
// Dispatch: ceil(T * heads * D / 64) workgroups, 2-D. Last of the four attention kernels (see `attention_scores`).
// Source: Dao et al. 2023 (Flash-Decoding). Reference: `attention` in tests/reference/ops.ts.
struct Params { heads: u32, head_dim: u32, d_stride: u32, out_stride: u32 }
struct Step { rows: u32, position: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> stats: array<vec2f>;
@group(0) @binding(3) var<storage, read> partial: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let index = id.y * grid.x * 64u + id.x;
  let d = index % params.head_dim;
  let row = index / params.head_dim; // t * heads + h
  let t = row / params.heads;
  if (t >= step.rows) { return; }
  let splits = (step.position + t) / 128u + 1u;
  let at = row * step.splits;
  var highest = stats[at].x;
  for (var s = 1u; s < splits; s++) { highest = max(highest, stats[at + s].x); }
  var sum = 0.0;
  var total = 0.0;
  for (var s = 0u; s < splits; s++) {
    let share = exp(stats[at + s].x - highest);
    sum += share * partial[(at + s) * params.d_stride + d];
    total += share * stats[at + s].y;
  }
  out[(step.first + t) * params.out_stride + row % params.heads * params.head_dim + d] = sum / total;
}
