// Formula: the k largest logits, ties to the lower id, in no order; max and sum of exp(logit - max) over all; how many are not finite.
// In: logits [size] f32. Out: out u32: not finite, bits of max, bits of sum, taken = k, then k pairs (id, bits of the logit).
// One workgroup of 256: a radix select finds the k-th largest logit eight bits at a time, then, if more share it than are wanted,
// the largest id to take; a last pass collects. Integer comparisons only, so nothing depends on order. 1 <= k <= size < 2^24.
// Dispatch: one workgroup. Source: Alabi et al. 2012 (radix select). Reference: `topK` in tests/reference/ops.ts.
struct Params { size: u32, k: u32 }
struct Step { rows: u32, position: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;

// What `select_digit` found: the bin in which the wanted element is, how many are still wanted in it, how many it holds.
struct Choice { bin: u32, wanted: u32, held: u32 }

var<workgroup> bins: array<atomic<u32>, 256>;
var<workgroup> choice: Choice;
var<workgroup> tree: array<f32, 256>;
var<workgroup> taken: atomic<u32>;
var<workgroup> not_finite: atomic<u32>;

// Larger logits have larger keys; -0 and 0 are equal.
fn key_of(logit: f32) -> u32 {
  let bits = select(bitcast<u32>(logit), 0u, logit == 0.0);
  return select(bits | 0x80000000u, ~bits, bits >> 31u == 1u);
}

// Walks the bins, largest or smallest first, to the one that holds the element number `wanted`.
fn select_digit(lane: u32, wanted: u32, largest_first: bool) -> Choice {
  workgroupBarrier();
  if (lane == 0u) {
    var left = wanted;
    for (var i = 0u; i < 256u; i++) {
      let bin = select(i, 255u - i, largest_first);
      let held = atomicLoad(&bins[bin]);
      if (held >= left) {
        choice = Choice(bin, left, held);
        break;
      }
      left -= held;
    }
  }
  return workgroupUniformLoad(&choice);
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32) {
  // Max and sum, joined by written-out trees.
  var highest = logits[min(lane, params.size - 1u)];
  for (var i = lane; i < params.size; i += 256u) {
    let logit = logits[i];
    highest = max(highest, logit);
    if ((bitcast<u32>(logit) & 0x7f800000u) == 0x7f800000u) { atomicAdd(&not_finite, 1u); }
  }
  tree[lane] = highest;
  for (var half = 128u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half) { tree[lane] = max(tree[lane], tree[lane + half]); }
  }
  workgroupBarrier();
  highest = tree[0];
  workgroupBarrier();
  var sum = 0.0;
  for (var i = lane; i < params.size; i += 256u) { sum += exp(logits[i] - highest); }
  tree[lane] = sum;
  for (var half = 128u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half) { tree[lane] += tree[lane + half]; }
  }

  // The key of the k-th largest, from its highest eight bits down.
  var key = 0u;
  var known = 0u; // mask of the bits found
  var found = Choice(0u, params.k, 0u);
  for (var digit = 0u; digit < 4u; digit++) {
    let shift = 24u - 8u * digit;
    workgroupBarrier();
    atomicStore(&bins[lane], 0u);
    workgroupBarrier();
    for (var i = lane; i < params.size; i += 256u) {
      let candidate = key_of(logits[i]);
      if ((candidate & known) == key) { atomicAdd(&bins[(candidate >> shift) & 255u], 1u); }
    }
    found = select_digit(lane, found.wanted, true);
    key |= found.bin << shift;
    known |= 255u << shift;
  }

  // Of those with that very key the lowest ids are taken: the same select over the 24 bits of the id, smallest first.
  var last_id = 0xffffffffu;
  if (found.held > found.wanted) {
    last_id = 0u;
    known = 0u;
    for (var digit = 0u; digit < 3u; digit++) {
      let shift = 16u - 8u * digit;
      workgroupBarrier();
      atomicStore(&bins[lane], 0u);
      workgroupBarrier();
      for (var i = lane; i < params.size; i += 256u) {
        if (key_of(logits[i]) == key && (i & known) == last_id) { atomicAdd(&bins[(i >> shift) & 255u], 1u); }
      }
      found = select_digit(lane, found.wanted, false);
      last_id |= found.bin << shift;
      known |= 255u << shift;
    }
  }

  for (var i = lane; i < params.size; i += 256u) {
    let candidate = key_of(logits[i]);
    if (candidate > key || (candidate == key && i <= last_id)) {
      let slot = atomicAdd(&taken, 1u);
      out[4u + 2u * slot] = i;
      out[5u + 2u * slot] = bitcast<u32>(logits[i]);
    }
  }
  workgroupBarrier();
  if (lane == 0u) {
    out[0] = atomicLoad(&not_finite);
    out[1] = bitcast<u32>(highest);
    out[2] = bitcast<u32>(tree[0]);
    out[3] = atomicLoad(&taken);
  }
}
