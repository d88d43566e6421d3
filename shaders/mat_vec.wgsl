// Formula: y[t, row_offset + r] = sum over i of w[r, i] * x[t, i], for steps of few rows.
// In: x [T, width] f32, rows padded with zeros to whole vec4; w [row_count, width] in the weight format (`load_weights`), w4 vec4s a row.
// Out: y [T, y_stride] f32. One invocation computes four rows of w for one row of x, without workgroup memory or barriers of its own,
// which cost most on software adapters. Dispatch: T * ceil(ceil(row_count / ROWS) / WORKGROUP) workgroups of WORKGROUP (prelude), 2-D past
// 65,535: each works on one token. Reference: `matMul` in tests/reference/ops.ts.
// Behind `mat_frame`, a `mat_input*` and a `mat_output*`.
@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = group.y * grid.x + group.x;
  let groups = (row_count() + ROWS * WORKGROUP - 1u) / (ROWS * WORKGROUP);
  let t = index / groups;
  if (t >= step.rows) { return; } // the whole workgroup
  let scale = prepare(t, local);
  let row = (index % groups * WORKGROUP + local) * ROWS;
  if (row >= row_count()) { return; }
  let w = rows_of(row) * params.w4;
  let x_at = t * params.width4;
  var sums = vec4f();
  for (var i = 0u; i < params.width4; i++) {
    sums += four_rows(
      load_weights(w.x + i), load_weights(w.y + i), load_weights(w.z + i), load_weights(w.w + i), input(x_at, i, scale),
    );
  }
  store(t, row, sums);
}
