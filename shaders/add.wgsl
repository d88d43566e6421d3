// Formula: x[t, i] += y[t, i], the residual connection.
// In: y [T, width] f32. Out, in place: x [T, width] f32, both padded with zeros to whole vec4.
// One invocation adds one vec4. Dispatch: ceil(T * width4 / 64) workgroups, 2-D past 65,535.
// Reference: `add` in tests/reference/ops.ts.
struct Params { width4: u32 }
struct Step { rows: u32, position: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> y: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> x: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let index = id.y * grid.x * 64u + id.x;
  if (index >= step.rows * params.width4) { return; }
  x[index] += y[index];
}
