// What `mat_vec` and `mat_mul` multiply: x as it is. Behind `mat_frame`.
struct Params { width4: u32, w4: u32, row_count: u32, row_offset: u32, y_stride: u32 }

fn prepare(t: u32, local: u32) -> f32 { return 1.0; }

fn input(at: u32, i: u32, scale: f32) -> vec4f { return x[at + i]; }
