// How keys and values are kept: four halves in two words. Put in front of the operations that read them; needs no `shader-f16`.
alias Kv4 = vec2u;
fn kv4(four: Kv4) -> vec4f { return vec4f(unpack2x16float(four.x), unpack2x16float(four.y)); }
