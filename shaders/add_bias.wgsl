// Formula: y[t, i] += bias[i].
// In: bias [width] f32. Out, in place: y [T, y_stride] f32; only the first `width` elements of a row are touched.
// One invocation adds one element. Dispatch: ceil(T * width / 64) workgroups, 2-D past 65,535.
// Reference: `addBias` in tests/reference/ops.ts.
struct Params { width: u32, y_stride: u32 }
struct Step { rows: u32, position: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let index = id.y * grid.x * 64u + id.x;
  let t = index / params.width;
  let i = index % params.width;
  if (t >= step.rows) { return; }
  y[t * params.y_stride + i] += bias[i];
}
