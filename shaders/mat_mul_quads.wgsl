// Formula: y[t, row_offset + r] = sum over i of w[r, i] * x[t, i], for prefill and batches, on adapters with
// subgroups of exactly four lanes.
// In: x [T, width] f32, rows padded with zeros to whole vec4; w [row_count, width] in the weight format (`load_weights`), w4 vec4s a row.
// Out: y [T, y_stride] f32. As `mat_mul`, but four lanes share 8 rows of x: each loads every fourth and hands it on. A lane
// computes four rows of w, a quad sixteen. Dispatch: ceil(row_count / 16) * 4 * ceil(T / 8) invocations, WORKGROUP (prelude) a workgroup.
// Reference: `matMul` in tests/reference/ops.ts. The same bits as `mat_vec` and `mat_mul`: handing on changes no number.
// Behind `mat_frame`, `mat_input` and `mat_output`.
@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  // No branch around the exchange: surplus rows and tokens are clamped, computed and not written.
  let unit = id.y * grid.x * WORKGROUP + id.x;
  let row_groups = (params.row_count + 15u) / 16u * 4u;
  let row = unit % row_groups * 4u;
  let t = unit / row_groups * 8u;
  let last = params.row_count - 1u;
  let w0 = min(row, last) * params.w4;
  let w1 = min(row + 1u, last) * params.w4;
  let w2 = min(row + 2u, last) * params.w4;
  let w3 = min(row + 3u, last) * params.w4;
  let own0 = x_start(t + 0u + lane);
  let own1 = x_start(t + 4u + lane);
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
    let v_own0 = x[own0 + i];
    let v_own1 = x[own1 + i];
    s0 += four_rows(a, b, c, d, subgroupBroadcast(v_own0, 0u));
    s1 += four_rows(a, b, c, d, subgroupBroadcast(v_own0, 1u));
    s2 += four_rows(a, b, c, d, subgroupBroadcast(v_own0, 2u));
    s3 += four_rows(a, b, c, d, subgroupBroadcast(v_own0, 3u));
    s4 += four_rows(a, b, c, d, subgroupBroadcast(v_own1, 0u));
    s5 += four_rows(a, b, c, d, subgroupBroadcast(v_own1, 1u));
    s6 += four_rows(a, b, c, d, subgroupBroadcast(v_own1, 2u));
    s7 += four_rows(a, b, c, d, subgroupBroadcast(v_own1, 3u));
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
