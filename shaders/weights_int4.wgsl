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

// Eight numbers along a row for kernels that multiply a whole group by its scale once. As they lie in the word: eight too large, and
// component c is 256^c times itself. Taking that from x (`take_steps`: powers of two, exact) and from the group (`surplus`: eight times
// the sum of its x) costs a few operations a row of x and not several a weight.
struct Eight { low: vec4f, high: vec4f }

const BYTES = vec4u(0x0fu, 0x0f00u, 0x0f0000u, 0x0f000000u);

fn load_eight(index: u32) -> Eight {
  let word = weights[index];
  return Eight(vec4f(vec4i(vec4u(word) & BYTES)), vec4f(vec4i(vec4u(word >> 4u) & BYTES)));
}

fn take_steps(v: vec4f) -> vec4f { return v * vec4f(1.0, 0x1p-8, 0x1p-16, 0x1p-24); }

fn surplus(v: vec4f) -> f32 { return 8.0 * (v.x + v.y + v.z + v.w); }

fn load_scale(group: u32) -> f32 { return unpack2x16float(scales[group >> 1u])[group & 1u]; }
