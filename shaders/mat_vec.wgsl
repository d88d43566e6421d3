// Formula: y[t, row_offset + r] = sum over i of w[r, i] * x[t, i], for steps of few rows.
// In: x [T, width] f32, rows padded with zeros to whole vec4; w [row_count, width] in the weight format (`load_weights`), w4 vec4s a row.
// Out: y [T, y_stride] f32. One invocation computes four rows of w for one row of x, without workgroup memory or barriers,
// which cost most on software adapters. Dispatch: ceil(row_count / 4) * T invocations, WORKGROUP (prelude) a workgroup, 2-D past 65,535.
// Reference: `matMul` in tests/reference/ops.ts.
// Behind `mat_frame`.
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let unit = id.y * grid.x * WORKGROUP + id.x;
  let row_groups = (params.row_count + 3u) / 4u;
  let row = unit % row_groups * 4u;
  let t = unit / row_groups;
  if (t >= step.rows) { return; }
  let last = params.row_count - 1u; // surplus rows repeat the last one and are not written
  let w0 = row * params.w4;
  let w1 = min(row + 1u, last) * params.w4;
  let w2 = min(row + 2u, last) * params.w4;
  let w3 = min(row + 3u, last) * params.w4;
  let x_at = t * params.width4;
  var sums = vec4f();
  for (var i = 0u; i < params.width4; i++) {
    sums += four_rows(
      load_weights(w0 + i), load_weights(w1 + i), load_weights(w2 + i), load_weights(w3 + i), x[x_at + i],
    );
  }
  store(t, row, sums);
}
