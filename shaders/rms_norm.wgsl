// Formula: y[t, i] = x[t, i] / sqrt(mean(x[t, :]^2) + eps) * weight[i].
// In: x [T, width] f32, weight [width] f32, both padded with zeros to whole vec4. Out: y [T, width] f32, the same padding.
// One workgroup of 64 computes one row: invocation l sums the vec4s l, l + 64, ...; a written-out tree joins the 64 sums, so
// the order does not depend on T or on the adapter. Dispatch: T workgroups, 2-D past 65,535.
// Source: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization". Reference: `rmsNorm` in tests/reference/ops.ts.
struct Params { width: u32, width4: u32, eps: f32 }
struct Step { rows: u32, position: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read> weight: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

var<workgroup> sums: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let t = group.y * grid.x + group.x;
  let row = min(t, step.rows - 1u) * params.width4; // a surplus group works on the last row and writes nothing
  var sum = 0.0;
  for (var c = lane; c < params.width4; c += 64u) {
    let v = x[row + c];
    sum += dot(v, v);
  }
  sums[lane] = sum;
  for (var half = 32u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half) { sums[lane] += sums[lane + half]; }
  }
  workgroupBarrier();
  let scale = inverseSqrt(sums[0] / f32(params.width) + params.eps);
  if (t >= step.rows) { return; }
  for (var c = lane; c < params.width4; c += 64u) {
    y[row + c] = x[row + c] * scale * weight[c];
  }
}
