// The frame of `mat_vec` and `mat_mul` with their variants: params and rows of a step, x and y, and how four sums are written.
// Put in front of all of them.
struct Params { width4: u32, w4: u32, row_count: u32, row_offset: u32, y_stride: u32 }
struct Step { rows: u32, position: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// Writes rows `row` to `row + 3` of token t, or what of them exists.
fn store(t: u32, row: u32, sums: vec4f) {
  if (t >= step.rows || row >= params.row_count) { return; }
  let y_at = t * params.y_stride + params.row_offset + row;
  let n = params.row_count - row;
  y[y_at] = sums.x;
  if (n > 1u) { y[y_at + 1u] = sums.y; }
  if (n > 2u) { y[y_at + 2u] = sums.z; }
  if (n > 3u) { y[y_at + 3u] = sums.w; }
}

// Start of token t in x; surplus tokens repeat the last one and are not written.
fn x_start(t: u32) -> u32 { return min(t, step.rows - 1u) * params.width4; }
