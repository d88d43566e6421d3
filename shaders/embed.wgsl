// Formula: hidden[t, :] = table[tokens[t], :].
// In: tokens [T] u32; the table [rows, width] in the weight format (`load_weights`), w4 vec4s a row. Out: hidden [T, width] f32, rows
// padded to whole vec4. One invocation copies one vec4. A table cut by rows is one dispatch a part: a part leaves the tokens of
// the others alone. Dispatch: ceil(T * width4 / 64) workgroups, 2-D past 65,535. Token ids are checked by the caller.
// Reference: `embed` in tests/reference/ops.ts.
struct Params { width4: u32, w4: u32, row_start: u32, row_count: u32 }
struct Step { rows: u32, position: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> tokens: array<u32>;
@group(0) @binding(4) var<storage, read_write> hidden: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let index = id.y * grid.x * 64u + id.x;
  let t = index / params.width4;
  if (t >= step.rows) { return; }
  let row = tokens[t] - params.row_start; // wraps to a large number for a token of an earlier part
  if (row >= params.row_count) { return; }
  hidden[index] = load_weights(row * params.w4 + index % params.width4);
}
