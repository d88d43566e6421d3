// What becomes of the sums of `mat_vec` where w [row_count, width] is gate rows, then as many up rows: y[t, r] = silu(gate) * up, with the
// bits of `silu_mul`. Two rows of each go together. Behind `mat_frame`.
const ROWS = 2u;

fn row_count() -> u32 { return params.row_count / 2u; }

// Rows of w from `row` of y on; surplus ones repeat the last one and are not written.
fn rows_of(row: u32) -> vec4u {
  let n = row_count();
  let gates = min(vec2u(row, row + 1u), vec2u(n - 1u));
  return vec4u(gates, n + gates);
}

// Writes rows `row` and `row + 1` of token t, or what of them exists.
fn store(t: u32, row: u32, sums: vec4f) {
  if (t >= step.rows || row >= row_count()) { return; }
  let y_at = t * params.y_stride + params.row_offset + row;
  y[y_at] = sums.x / (1.0 + exp(-sums.x)) * sums.z;
  if (row + 1u < row_count()) { y[y_at + 1u] = sums.y / (1.0 + exp(-sums.y)) * sums.w; }
}
