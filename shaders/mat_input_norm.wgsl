// What `mat_vec` multiplies: the norm of x, x[t, i] / sqrt(mean(x[t, :]^2) + eps) * norm[i], with the bits of `rms_norm`: 64 lanes, joined
// by the same tree. Every workgroup computes it anew, of one token, with its WORKGROUP invocations. Behind `mat_frame`.
// In: norm [width] f32, padded with zeros to whole vec4, the binding behind all others.
struct Params { width4: u32, w4: u32, row_count: u32, row_offset: u32, y_stride: u32, width: u32, eps: f32 }
@group(0) @binding(NORM) var<storage, read> norm: array<vec4f>;

var<workgroup> squares: array<f32, 64>;

fn prepare(t: u32, local: u32) -> f32 {
  let at = x_start(t);
  for (var lane = local; lane < 64u; lane += WORKGROUP) {
    var sum = 0.0;
    for (var c = lane; c < params.width4; c += 64u) {
      let v = x[at + c];
      sum += dot(v, v);
    }
    squares[lane] = sum;
  }
  for (var half = 32u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    for (var lane = local; lane < half; lane += WORKGROUP) { squares[lane] += squares[lane + half]; }
  }
  workgroupBarrier();
  return inverseSqrt(squares[0] / f32(params.width) + params.eps);
}

fn input(at: u32, i: u32, scale: f32) -> vec4f { return x[at + i] * scale * norm[i]; }
