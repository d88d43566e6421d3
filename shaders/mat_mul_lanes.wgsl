// Formula: y[t, row_offset + r] = sum over i of w[r, i] * x[t, i]. The variant for GPUs: `mat_vec` and `mat_mul` in one source.
// In: x [T, width] f32, rows padded with zeros to whole vec4; w [row_count, width] in the weight format (`load_weights`), w4 vec4s a row.
// Out: y [T, y_stride] f32. 32 invocations share four rows of w and TOKENS rows of x: lane l takes the vec4s l, l + 32, ... (whole
// cache lines), and a written-out tree joins the lanes. TOKENS (prelude; 1: decode, 8: prefill) never changes a bit.
// Dispatch: ceil(T / TOKENS) * ceil(ceil(row_count / ROWS) / (WORKGROUP / 32)) workgroups of WORKGROUP (prelude), 2-D past 65,535: each
// works on the same tokens. Reference: `matMul` in tests/reference/ops.ts.
// Behind `mat_frame`, a `mat_input*` and a `mat_output*`.
const LANES = 32u;

// Sums of one lane: component r of a vec4 belongs to row r of the four.
var<workgroup> partial: array<vec4f, WORKGROUP * TOKENS>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = group.y * grid.x + group.x;
  let groups = (row_count() + ROWS * WORKGROUP / LANES - 1u) / (ROWS * WORKGROUP / LANES);
  let token = index / groups * TOKENS;
  let scale = prepare(token, local);
  let row = (index % groups * (WORKGROUP / LANES) + local / LANES) * ROWS;
  let lane = local % LANES;
  // Surplus rows and tokens are clamped, computed and not written: no branch around the barrier.
  let w = rows_of(row) * params.w4;
  var x_at: array<u32, TOKENS>;
  var sums: array<vec4f, TOKENS>;
  for (var t = 0u; t < TOKENS; t++) { x_at[t] = x_start(token + t); }
  for (var c = lane; c < params.width4; c += LANES) {
    let a = load_weights(w.x + c);
    let b = load_weights(w.y + c);
    let d = load_weights(w.z + c);
    let e = load_weights(w.w + c);
    for (var t = 0u; t < TOKENS; t++) {
      let v = input(x_at[t], c, scale);
      sums[t] += four_rows(a, b, d, e, v);
    }
  }
  for (var t = 0u; t < TOKENS; t++) { partial[t * WORKGROUP + local] = sums[t]; }
  for (var half = LANES / 2u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half) {
      for (var t = 0u; t < TOKENS; t++) { partial[t * WORKGROUP + local] += partial[t * WORKGROUP + local + half]; }
    }
  }
  if (lane > 0u) { return; }
  for (var t = 0u; t < TOKENS; t++) { store(token + t, row, partial[t * WORKGROUP + local]); }
}
