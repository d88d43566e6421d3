// Formula: y[t, row_offset + r] = sum over groups g of scale[r, g] * (sum over i in g of w[r, i] * x[t, i]), for steps of few rows.
// In: x [T, width] f32, rows padded with zeros to whole vec4; w [row_count, width] in a weight format with scales, w4 vec4s a row.
// Out: y [T, y_stride] f32. As `mat_vec`, but a group of 32 is multiplied by its scale once and not weight by weight.
// Dispatch: ceil(row_count / 4) * T invocations, WORKGROUP (prelude) a workgroup, 2-D past 65,535. Reference: `matMul` in tests/reference/ops.ts.
// Behind `mat_frame`.
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let unit = id.y * grid.x * WORKGROUP + id.x;
  let row_groups = (params.row_count + 3u) / 4u;
  let row = unit % row_groups * 4u;
  let t = unit / row_groups;
  if (t >= step.rows) { return; }
  let last = params.row_count - 1u; // surplus rows repeat the last one and are not written
  let r1 = min(row + 1u, last);
  let r2 = min(row + 2u, last);
  let r3 = min(row + 3u, last);
  let w8 = params.w4 / 2u;
  let g8 = params.w4 / 8u;
  let x_at = t * params.width4;
  let groups = params.width4 / 8u;
  var sums = vec4f();
  for (var g = 0u; g < groups; g++) {
    var group = vec4f();
    var seen = vec4f();
    for (var k = g * 4u; k < g * 4u + 4u; k++) {
      let a = load_eight(row * w8 + k);
      let b = load_eight(r1 * w8 + k);
      let c = load_eight(r2 * w8 + k);
      let d = load_eight(r3 * w8 + k);
      let low = x[x_at + 2u * k];
      let high = x[x_at + 2u * k + 1u];
      seen += low;
      seen += high;
      group += four_rows(a.low, b.low, c.low, d.low, take_steps(low));
      group += four_rows(a.high, b.high, c.high, d.high, take_steps(high));
    }
    let scale = vec4f(load_scale(row * g8 + g), load_scale(r1 * g8 + g), load_scale(r2 * g8 + g), load_scale(r3 * g8 + g));
    sums += (group - surplus(seen)) * scale;
  }
  // What is left of a row that is no whole number of groups.
  for (var i = groups * 8u; i < params.width4; i++) {
    sums += four_rows(
      load_weights(row * params.w4 + i), load_weights(r1 * params.w4 + i), load_weights(r2 * params.w4 + i),
      load_weights(r3 * params.w4 + i), x[x_at + i],
    );
  }
  store(t, row, sums);
}
