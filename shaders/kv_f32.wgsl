// How keys and values are kept: four f32. Put in front of the operations that read them.
alias Kv4 = vec4f;
fn kv4(four: Kv4) -> vec4f { return four; }
