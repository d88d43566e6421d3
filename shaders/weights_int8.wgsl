// Weight format int8: a matrix [rows, width] with rows padded by zeros to a multiple of 64; four signed bytes in a u32, and for each
// 32 of them along a row a half that multiplies them, two in a u32. Sums stay f32.
// Put in front of `embed.wgsl` and `mat_*.wgsl`, which read weights only through this function.
@group(0) @binding(3) var<storage, read> weights: array<u32>;
@group(0) @binding(5) var<storage, read> scales: array<u32>;

fn load_weights(index: u32) -> vec4f {
  let scale = unpack2x16float(scales[index >> 4u])[(index >> 3u) & 1u];
  return vec4f(unpack4xI8(weights[index])) * scale;
}

// Eight numbers along a row, still without their scale: for kernels that multiply a whole group by it once.
struct Eight { low: vec4f, high: vec4f }

fn load_eight(index: u32) -> Eight {
  return Eight(vec4f(unpack4xI8(weights[2u * index])), vec4f(unpack4xI8(weights[2u * index + 1u])));
}

// These are the numbers themselves (those of int4 are not).
fn take_steps(v: vec4f) -> vec4f { return v; }

fn surplus(v: vec4f) -> f32 { return 0.0; }

fn load_scale(group: u32) -> f32 { return unpack2x16float(scales[group >> 1u])[group & 1u]; }
