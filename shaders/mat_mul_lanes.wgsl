// Formula: y[t, row_offset + r] = sum over i of w[r, i] * x[t, i]. The variant for GPUs: `mat_vec` and `mat_mul` in one source.
// In: x [T, width] f32, rows padded with zeros to whole vec4; w [row_count, width] in the weight format (`load_weights`), w4 vec4s a row.
// Out: y [T, y_stride] f32. 32 invocations share four rows of w and TOKENS rows of x: lane l takes the vec4s l, l + 32, ... (whole
// cache lines), and a written-out tree joins the lanes. TOKENS (prelude; 1: decode, 8: prefill) never changes a bit.
// Dispatch: ceil(row_count / 4) * ceil(T / TOKENS) units, WORKGROUP (prelude) / 32 a workgroup, 2-D past 65,535.
// Reference: `matMul` in tests/reference/ops.ts.
struct Params { width4: u32, w4: u32, row_count: u32, row_offset: u32, y_stride: u32 }
struct Step { rows: u32, position: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

const LANES = 32u;

// Sums of one lane: component r of a vec4 belongs to row r of the four.
var<workgroup> partial: array<vec4f, WORKGROUP * TOKENS>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let unit = (group.y * grid.x + group.x) * (WORKGROUP / LANES) + local / LANES;
  let lane = local % LANES;
  let row_groups = (params.row_count + 3u) / 4u;
  let row = unit % row_groups * 4u;
  let token = unit / row_groups * TOKENS;
  // Surplus rows and tokens are clamped, computed and not written: no branch around the barrier.
  let last_row = params.row_count - 1u;
  let w0 = row * params.w4;
  let w1 = min(row + 1u, last_row) * params.w4;
  let w2 = min(row + 2u, last_row) * params.w4;
  let w3 = min(row + 3u, last_row) * params.w4;
  var x_at: array<u32, TOKENS>;
  var sums: array<vec4f, TOKENS>;
  for (var t = 0u; t < TOKENS; t++) { x_at[t] = min(token + t, step.rows - 1u) * params.width4; }
  for (var c = lane; c < params.width4; c += LANES) {
    let a = load_weights(w0 + c);
    let b = load_weights(w1 + c);
    let d = load_weights(w2 + c);
    let e = load_weights(w3 + c);
    for (var t = 0u; t < TOKENS; t++) {
      let v = x[x_at[t] + c];
      sums[t] += vec4f(dot(a, v), dot(b, v), dot(d, v), dot(e, v));
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
  for (var t = 0u; t < TOKENS; t++) {
    if (token + t < step.rows) {
      let y_at = (token + t) * params.y_stride + params.row_offset + row;
      for (var r = 0u; r < min(4u, params.row_count - row); r++) { y[y_at + r] = partial[t * WORKGROUP + local][r]; }
    }
  }
}
