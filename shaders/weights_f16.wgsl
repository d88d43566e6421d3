// Weight format f16: a matrix [rows, width] with rows padded by zeros to a multiple of four, four halves in a vec2u.
// Core WGSL unpacks halves, so the optional feature shader-f16 is not needed; sums stay f32.
// Put in front of `embed.wgsl` and `mat_mul.wgsl`, which read weights only through this function.
@group(0) @binding(3) var<storage, read> weights: array<vec2u>;

fn load_weights(index: u32) -> vec4f {
  let packed = weights[index];
  return vec4f(unpack2x16float(packed.x), unpack2x16float(packed.y));
}
