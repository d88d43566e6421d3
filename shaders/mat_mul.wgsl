// Formula: y[t, row_offset + r] = sum over i of w[r, i] * x[t, i], for prefill.
// In: x [T, width] f32, rows padded with zeros to whole vec4; w [row_count, width] in the weight format (`load_weights`), w4 vec4s a row.
// Out: y [T, y_stride] f32. One invocation computes a tile of four rows of w by eight rows of x in registers; written out, because
// arrays of sums are half as fast on software adapters. Dispatch: ceil(row_count / 4) * ceil(T / 8) invocations, WORKGROUP (prelude) a workgroup, 2-D past 65,535.
// Reference: `matMul` in tests/reference/ops.ts. The same bits as `mat_vec`: `four_rows` is the loop of both.
// Behind `mat_frame`, `mat_input` and `mat_output`.
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let unit = id.y * grid.x * WORKGROUP + id.x;
  let row_groups = (params.row_count + 3u) / 4u;
  let row = unit % row_groups * 4u;
  let t = unit / row_groups * 8u;
  if (t >= step.rows) { return; }
  let last = params.row_count - 1u;
  let w0 = row * params.w4;
  let w1 = min(row + 1u, last) * params.w4;
  let w2 = min(row + 2u, last) * params.w4;
  let w3 = min(row + 3u, last) * params.w4;
  let x0 = x_start(t + 0u);
  let x1 = x_start(t + 1u);
  let x2 = x_start(t + 2u);
  let x3 = x_start(t + 3u);
  let x4 = x_start(t + 4u);
  let x5 = x_start(t + 5u);
  let x6 = x_start(t + 6u);
  let x7 = x_start(t + 7u);
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  var s4 = vec4f();
  var s5 = vec4f();
  var s6 = vec4f();
  var s7 = vec4f();
  for (var i = 0u; i < params.width4; i++) {
    let a = load_weights(w0 + i);
    let b = load_weights(w1 + i);
    let c = load_weights(w2 + i);
    let d = load_weights(w3 + i);
    s0 += four_rows(a, b, c, d, x[x0 + i]);
    s1 += four_rows(a, b, c, d, x[x1 + i]);
    s2 += four_rows(a, b, c, d, x[x2 + i]);
    s3 += four_rows(a, b, c, d, x[x3 + i]);
    s4 += four_rows(a, b, c, d, x[x4 + i]);
    s5 += four_rows(a, b, c, d, x[x5 + i]);
    s6 += four_rows(a, b, c, d, x[x6 + i]);
    s7 += four_rows(a, b, c, d, x[x7 + i]);
  }
  store(t + 0u, row, s0);
  store(t + 1u, row, s1);
  store(t + 2u, row, s2);
  store(t + 3u, row, s3);
  store(t + 4u, row, s4);
  store(t + 5u, row, s5);
  store(t + 6u, row, s6);
  store(t + 7u, row, s7);
}
