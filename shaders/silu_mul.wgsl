// Formula: out[t, i] = silu(gate[t, i]) * up[t, i], silu(g) = g / (1 + exp(-g)).
// In: gate_up [T, 2 * width] f32, gate first, then up, without padding. Out: out [T, out_stride] f32.
// One invocation computes one element. Dispatch: ceil(T * width / 64) workgroups, 2-D past 65,535.
// Source: Shazeer 2020, "GLU Variants Improve Transformer". Reference: `siluMul` in tests/reference/ops.ts.
struct Params { width: u32, out_stride: u32 }
struct Step { rows: u32, position: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> gate_up: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
  let index = id.y * grid.x * 64u + id.x;
  let t = index / params.width;
  let i = index % params.width;
  if (t >= step.rows) { return; }
  let gate = gate_up[t * 2u * params.width + i];
  let up = gate_up[t * 2u * params.width + params.width + i];
  out[t * params.out_stride + i] = gate / (1.0 + exp(-gate)) * up;
}
