// Formula: y[t, row_offset + r] = sum over groups g of scale[r, g] * (sum over i in g of w[r, i] * x[t, i]), for steps of few rows.
// In: x [T, width] f32, rows padded with zeros to whole vec4; w [row_count, width] in a weight format with scales, w4 vec4s a row.
// Out: y [T, y_stride] f32. As `mat_vec`, but a group of 32 is multiplied by its scale once and not weight by weight.
// Dispatch: T * ceil(ceil(row_count / ROWS) / WORKGROUP) workgroups of WORKGROUP (prelude), 2-D past 65,535: each works on one token.
// Reference: `matMul` in tests/reference/ops.ts. Behind `mat_frame`, a `mat_input*` and a `mat_output*`.
@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = group.y * grid.x + group.x;
  let workgroups = (row_count() + ROWS * WORKGROUP - 1u) / (ROWS * WORKGROUP);
  let t = index / workgroups;
  if (t >= step.rows) { return; } // the whole workgroup
  let norm_scale = prepare(t, local);
  let row = (index % workgroups * WORKGROUP + local) * ROWS;
  if (row >= row_count()) { return; }
  let r = rows_of(row);
  let w8 = params.w4 / 2u;
  let g8 = params.w4 / 8u;
  let x_at = t * params.width4;
  let groups = params.width4 / 8u;
  var sums = vec4f();
  for (var g = 0u; g < groups; g++) {
    var group_sums = vec4f();
    var seen = vec4f();
    for (var k = g * 4u; k < g * 4u + 4u; k++) {
      let a = load_eight(r.x * w8 + k);
      let b = load_eight(r.y * w8 + k);
      let c = load_eight(r.z * w8 + k);
      let d = load_eight(r.w * w8 + k);
      let low = input(x_at, 2u * k, norm_scale);
      let high = input(x_at, 2u * k + 1u, norm_scale);
      seen += low;
      seen += high;
      group_sums += four_rows(a.low, b.low, c.low, d.low, take_steps(low));
      group_sums += four_rows(a.high, b.high, c.high, d.high, take_steps(high));
    }
    let scale = vec4f(load_scale(r.x * g8 + g), load_scale(r.y * g8 + g), load_scale(r.z * g8 + g), load_scale(r.w * g8 + g));
    sums += (group_sums - surplus(seen)) * scale;
  }
  // What is left of a row that is no whole number of groups.
  for (var i = groups * 8u; i < params.width4; i++) {
    sums += four_rows(
      load_weights(r.x * params.w4 + i), load_weights(r.y * params.w4 + i), load_weights(r.z * params.w4 + i),
      load_weights(r.w * params.w4 + i), input(x_at, i, norm_scale),
    );
  }
  store(t, row, sums);
}
