// The frame of `mat_vec`, `mat_mul` and their variants: the rows of a step, x and y. Between this and the kernel stand a `mat_input*`
// (what is multiplied: x, or its norm) and a `mat_output*` (which rows of w go together, and what becomes of their sums).
struct Step { rows: u32, position: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// Start of token t in x; surplus tokens repeat the last one and are not written.
fn x_start(t: u32) -> u32 { return min(t, step.rows - 1u) * params.width4; }
