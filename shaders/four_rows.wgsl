// The inner product of `mat_vec` and `mat_mul`: four rows of w against one row of x, a vec4 at a time. Component r belongs to row r.
// Both kernels add these up in ascending order and nothing else, so a row's bits do not depend on how many rows a step has.
// Put in front of both (after the weight format).
fn four_rows(a: vec4f, b: vec4f, c: vec4f, d: vec4f, v: vec4f) -> vec4f {
  return vec4f(dot(a, v), dot(b, v), dot(c, v), dot(d, v));
}
