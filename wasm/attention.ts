/**
 * Causal attention with grouped queries over the cache.
 * q `[T, heads, P]`, k, v `[kvHeads, maxTokens, P]` as `rope` writes them, out `[T, outStride]` of which `[heads · D]` is written.
 * A row's context is split at fixed absolute positions, multiples of SPLIT; each split has its own maximum, sum and values, and
 * splits are merged in order, one after another. So neither T nor what is cached behind a row changes a bit of it. The queries of a
 * group go over a split of k and v while it is in the nearest cache.
 * scratch: SPLIT scores, then two rows of P values. Reference: `attention` in tests/reference/ops.ts.
 */
import { exp1, exp4 } from './exp'
import { joined, lanesBelow } from './format'

/** ATTENTION_SPLIT of swarm/model/span-bytes.ts; handed over at start and compared. */
export const SPLIT: i32 = 128

/** Units [firstUnit, endUnit) of T · kvHeads, `t · kvHeads + kvHead` each: what threads share out. */
export function attention(
  q: usize,
  k: usize,
  v: usize,
  out: usize,
  scratch: usize,
  firstUnit: i32,
  endUnit: i32,
  position: i32,
  heads: i32,
  kvHeads: i32,
  headDim: i32,
  maxTokens: i32,
  outStride: i32,
): void {
  const groups = (headDim + 3) >> 2
  const row = <usize>groups << 4
  const perGroup = heads / kvHeads
  const scale = <f32>1 / sqrt<f32>(<f32>headDim)
  for (let unit = firstUnit; unit < endUnit; unit++) {
    const t = unit / kvHeads
    const kvHead = unit % kvHeads
    const cache = <usize>(kvHead * maxTokens) * row
    const firstHead = kvHead * perGroup
    for (let head = firstHead; head < firstHead + perGroup; head++) {
      const to = out + (<usize>(t * outStride + head * headDim) << 2)
      oneHead(q + <usize>(t * heads + head) * row, k + cache, v + cache, to, scratch, position + t + 1, groups, headDim, scale)
    }
  }
}

function oneHead(
  q: usize,
  k: usize,
  v: usize,
  out: usize,
  scores: usize,
  context: i32,
  groups: i32,
  headDim: i32,
  scale: f32,
): void {
  const row = <usize>groups << 4
  const values = scores + (<usize>SPLIT << 2)
  const merged = values + row
  let highest: f32 = 0
  let total: f32 = 0
  for (let start = 0; start < context; start += SPLIT) {
    const count = min(SPLIT, context - start)
    const cached = <usize>start * row
    const top = scoresOf(q, k + cached, scores, count, groups, scale)
    const sum = weightsOf(scores, count, top)
    if (start == 0) {
      valuesOf(scores, v, merged, count, groups)
      highest = top
      total = sum
      continue
    }
    valuesOf(scores, v + cached, values, count, groups)
    const above = max<f32>(highest, top)
    const before = exp1(highest - above)
    const here = exp1(top - above)
    total = total * before + sum * here
    highest = above
    for (let at: usize = 0; at < row; at += 16) {
      const old = f32x4.mul(v128.load(merged + at), f32x4.splat(before))
      v128.store(merged + at, f32x4.add(old, f32x4.mul(v128.load(values + at), f32x4.splat(here))))
    }
  }
  const inverse = f32x4.splat(<f32>1 / total)
  for (let at: usize = 0; at < row; at += 16) v128.store(merged + at, f32x4.mul(v128.load(merged + at), inverse))
  memory.copy(out, merged, <usize>headDim << 2)
}

/** scores[j] = q · k[j] · scale; returns the highest. */
@inline
function scoresOf(q: usize, k: usize, scores: usize, count: i32, groups: i32, scale: f32): f32 {
  const row = <usize>groups << 4
  let j = 0
  for (; j + 4 <= count; j += 4) {
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    const from = k + <usize>j * row
    for (let at: usize = 0; at < row; at += 16) {
      const x = v128.load(q + at)
      a0 = f32x4.add(a0, f32x4.mul(x, v128.load(from + at)))
      a1 = f32x4.add(a1, f32x4.mul(x, v128.load(from + row + at)))
      a2 = f32x4.add(a2, f32x4.mul(x, v128.load(from + 2 * row + at)))
      a3 = f32x4.add(a3, f32x4.mul(x, v128.load(from + 3 * row + at)))
    }
    const four = f32x4(joined(a0), joined(a1), joined(a2), joined(a3))
    v128.store(scores + (<usize>j << 2), f32x4.mul(four, f32x4.splat(scale)))
  }
  for (; j < count; j++) {
    let sum = f32x4.splat(0)
    const from = k + <usize>j * row
    for (let at: usize = 0; at < row; at += 16) sum = f32x4.add(sum, f32x4.mul(v128.load(q + at), v128.load(from + at)))
    store<f32>(scores + (<usize>j << 2), joined(sum) * scale)
  }
  let highest = load<f32>(scores)
  for (j = 1; j < count; j++) highest = max<f32>(highest, load<f32>(scores + (<usize>j << 2)))
  return highest
}

/** scores[j] = exp(scores[j] - highest); returns their sum. */
@inline
function weightsOf(scores: usize, count: i32, highest: f32): f32 {
  let sum = f32x4.splat(0)
  for (let j = 0; j < count; j += 4) {
    const at = scores + (<usize>j << 2)
    let weights = exp4(f32x4.sub(v128.load(at), f32x4.splat(highest)))
    if (j + 4 > count) weights = v128.and(weights, lanesBelow(count - j))
    v128.store(at, weights)
    sum = f32x4.add(sum, weights)
  }
  return joined(sum)
}

/** values[:] = Σ weights[j] · v[j, :], in the order of positions; 32 columns at a time stay in registers. */
@inline
function valuesOf(weights: usize, v: usize, values: usize, count: i32, groups: i32): void {
  const row = <usize>groups << 4
  let column = 0
  for (; column + 8 <= groups; column += 8) {
    let from = v + (<usize>column << 4)
    let a0 = f32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    let a4 = a0
    let a5 = a0
    let a6 = a0
    let a7 = a0
    for (let j = 0; j < count; j++) {
      const weight = v128.load_splat<f32>(weights + (<usize>j << 2))
      a0 = f32x4.add(a0, f32x4.mul(weight, v128.load(from, 0)))
      a1 = f32x4.add(a1, f32x4.mul(weight, v128.load(from, 16)))
      a2 = f32x4.add(a2, f32x4.mul(weight, v128.load(from, 32)))
      a3 = f32x4.add(a3, f32x4.mul(weight, v128.load(from, 48)))
      a4 = f32x4.add(a4, f32x4.mul(weight, v128.load(from, 64)))
      a5 = f32x4.add(a5, f32x4.mul(weight, v128.load(from, 80)))
      a6 = f32x4.add(a6, f32x4.mul(weight, v128.load(from, 96)))
      a7 = f32x4.add(a7, f32x4.mul(weight, v128.load(from, 112)))
      from += row
    }
    const to = values + (<usize>column << 4)
    v128.store(to, a0, 0)
    v128.store(to, a1, 16)
    v128.store(to, a2, 32)
    v128.store(to, a3, 48)
    v128.store(to, a4, 64)
    v128.store(to, a5, 80)
    v128.store(to, a6, 96)
    v128.store(to, a7, 112)
  }
  for (; column < groups; column++) {
    let from = v + (<usize>column << 4)
    let sum = f32x4.splat(0)
    for (let j = 0; j < count; j++) {
      sum = f32x4.add(sum, f32x4.mul(v128.load_splat<f32>(weights + (<usize>j << 2)), v128.load(from)))
      from += row
    }
    v128.store(values + (<usize>column << 4), sum)
  }
}
