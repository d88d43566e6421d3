// Weight format int4: a matrix [rows, width] with rows padded by zeros to a multiple of 64; eight numbers from 0 to 15, eight too
// large, in a u32: the low halves of its bytes are the first four, the high halves the others. For each 32 along a row there is a
// half that multiplies them, two in a u32. Sums stay f32.
// Put in front of `embed.wgsl` and `mat_*.wgsl`, which read weights only through this function.
@group(0) @binding(3) var<storage, read> weights: array<u32>;
@group(0) @binding(5) var<storage, read> scales: array<u32>;

fn load_weights(index: u32) -> vec4f {
  let scale = unpack2x16float(scales[index >> 4u])[(index >> 3u) & 1u];
  let four = (weights[index >> 1u] >> ((index & 1u) * 4u)) & 0x0f0f0f0fu;
  return (vec4f(unpack4xU8(four)) - 8.0) * scale;
}

// Eight numbers along a row, still without their scale: for kernels that multiply a whole group by it once.
struct Eight { low: vec4f, high: vec4f }

fn load_eight(index: u32) -> Eight {
  let word = weights[index];
  return Eight(
    vec4f(unpack4xU8(word & 0x0f0f0f0fu)) - 8.0,
    vec4f(unpack4xU8((word >> 4u) & 0x0f0f0f0fu)) - 8.0,
  );
}

fn load_scale(group: u32) -> f32 { return unpack2x16float(scales[group >> 1u])[group & 1u]; }
