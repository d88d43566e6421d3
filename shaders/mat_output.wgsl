// What becomes of the sums of `mat_vec` and `mat_mul`: y[t, row_offset + r], or, where ADDED (prelude), what is added to it: the residual
// connection, with the bits of `add`. Four rows of w together. Behind `mat_frame`.
const ROWS = 4u;

fn row_count() -> u32 { return params.row_count; }

// Rows of w from `row` of y on; surplus ones repeat the last one and are not written.
fn rows_of(row: u32) -> vec4u { return min(vec4u(row, row + 1u, row + 2u, row + 3u), vec4u(params.row_count - 1u)); }

fn put(at: u32, sum: f32) {
  if (ADDED) { y[at] += sum; } else { y[at] = sum; }
}

// Writes rows `row` to `row + 3` of token t, or what of them exists.
fn store(t: u32, row: u32, sums: vec4f) {
  if (t >= step.rows || row >= params.row_count) { return; }
  let y_at = t * params.y_stride + params.row_offset + row;
  let n = params.row_count - row;
  put(y_at, sums.x);
  if (n > 1u) { put(y_at + 1u, sums.y); }
  if (n > 2u) { put(y_at + 2u, sums.z); }
  if (n > 3u) { put(y_at + 3u, sums.w); }
}
