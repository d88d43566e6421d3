// Weight format f32: a matrix [rows, width] with rows padded by zeros to whole vec4, one vec4f for four weights.
// Put in front of `embed.wgsl` and `mat_mul.wgsl`, which read weights only through this function.
@group(0) @binding(3) var<storage, read> weights: array<vec4f>;

fn load_weights(index: u32) -> vec4f { return weights[index]; }
