// Formula: y[t, row_offset + r] = sum over groups g of scale[r, g] * (sum over i in g of w[r, i] * x[t, i]), for prefill and batches.
// In: x [T, width] f32, rows padded with zeros to whole vec4; w [row_count, width] in a weight format with scales, w4 vec4s a row.
// Out: y [T, y_stride] f32. As `mat_mul`, tiles in registers, of four rows of w by four rows of x (more do not fit), but a group
// of 32 is multiplied by its scale once. Dispatch: ceil(row_count / 4) * ceil(T / 4) invocations, WORKGROUP (prelude) a workgroup, 2-D past 65,535.
// Reference: `matMul` in tests/reference/ops.ts. The same bits as `mat_vec_groups`: the order of both is one.
// Behind `mat_frame`, `mat_input` and `mat_output`.
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let unit = id.y * grid.x * WORKGROUP + id.x;
  let row_groups = (params.row_count + 3u) / 4u;
  let row = unit % row_groups * 4u;
  let t = unit / row_groups * 4u;
  if (t >= step.rows) { return; }
  let last = params.row_count - 1u;
  let r1 = min(row + 1u, last);
  let r2 = min(row + 2u, last);
  let r3 = min(row + 3u, last);
  let w8 = params.w4 / 2u;
  let g8 = params.w4 / 8u;
  let x0 = x_start(t + 0u);
  let x1 = x_start(t + 1u);
  let x2 = x_start(t + 2u);
  let x3 = x_start(t + 3u);
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  let groups = params.width4 / 8u;
  for (var g = 0u; g < groups; g++) {
    var g0 = vec4f();
    var g1 = vec4f();
    var g2 = vec4f();
    var g3 = vec4f();
    var seen0 = vec4f();
    var seen1 = vec4f();
    var seen2 = vec4f();
    var seen3 = vec4f();
    for (var k = g * 4u; k < g * 4u + 4u; k++) {
      let a = load_eight(row * w8 + k);
      let b = load_eight(r1 * w8 + k);
      let c = load_eight(r2 * w8 + k);
      let d = load_eight(r3 * w8 + k);
      let low0 = x[x0 + 2u * k];
      let high0 = x[x0 + 2u * k + 1u];
      seen0 += low0;
      seen0 += high0;
      g0 += four_rows(a.low, b.low, c.low, d.low, take_steps(low0));
      g0 += four_rows(a.high, b.high, c.high, d.high, take_steps(high0));
      let low1 = x[x1 + 2u * k];
      let high1 = x[x1 + 2u * k + 1u];
      seen1 += low1;
      seen1 += high1;
      g1 += four_rows(a.low, b.low, c.low, d.low, take_steps(low1));
      g1 += four_rows(a.high, b.high, c.high, d.high, take_steps(high1));
      let low2 = x[x2 + 2u * k];
      let high2 = x[x2 + 2u * k + 1u];
      seen2 += low2;
      seen2 += high2;
      g2 += four_rows(a.low, b.low, c.low, d.low, take_steps(low2));
      g2 += four_rows(a.high, b.high, c.high, d.high, take_steps(high2));
      let low3 = x[x3 + 2u * k];
      let high3 = x[x3 + 2u * k + 1u];
      seen3 += low3;
      seen3 += high3;
      g3 += four_rows(a.low, b.low, c.low, d.low, take_steps(low3));
      g3 += four_rows(a.high, b.high, c.high, d.high, take_steps(high3));
    }
    let scale = vec4f(load_scale(row * g8 + g), load_scale(r1 * g8 + g), load_scale(r2 * g8 + g), load_scale(r3 * g8 + g));
    s0 += (g0 - surplus(seen0)) * scale;
    s1 += (g1 - surplus(seen1)) * scale;
    s2 += (g2 - surplus(seen2)) * scale;
    s3 += (g3 - surplus(seen3)) * scale;
  }
  // What is left of a row that is no whole number of groups.
  for (var i = groups * 8u; i < params.width4; i++) {
    let a = load_weights(row * params.w4 + i);
    let b = load_weights(r1 * params.w4 + i);
    let c = load_weights(r2 * params.w4 + i);
    let d = load_weights(r3 * params.w4 + i);
    s0 += four_rows(a, b, c, d, x[x0 + i]);
    s1 += four_rows(a, b, c, d, x[x1 + i]);
    s2 += four_rows(a, b, c, d, x[x2 + i]);
    s3 += four_rows(a, b, c, d, x[x3 + i]);
  }
  store(t + 0u, row, s0);
  store(t + 1u, row, s1);
  store(t + 2u, row, s2);
  store(t + 3u, row, s3);
}
