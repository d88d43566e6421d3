/**
 * The best `k` of `size` logits, ties to the lower id, and what the log-sum-exp of all of them needs. out: how many are not finite
 * (u32; then nothing else counts), the highest (f32), Σ exp(logit - highest) (f32), how many were taken (u32), then k pairs
 * (id u32, logit f32) in no order: the layout of `shaders/top_k.wgsl`. A heap whose root is the worst of those kept.
 * Reference: `topK` and `logSumExp` in tests/reference/ops.ts.
 */
import { exp4 } from './exp'
import { lanesBelow } from './format'

export function top_k(logits: usize, size: i32, k: i32, out: usize): void {
  let notFinite: u32 = 0
  let highest = load<f32>(logits)
  for (let id = 0; id < size; id++) {
    const value = load<f32>(logits + (<usize>id << 2))
    if (!isFinite(value)) notFinite++
    highest = max<f32>(highest, value)
  }
  store<u32>(out, notFinite, 0)
  store<f32>(out, highest, 4)
  store<f32>(out, sumOfExp(logits, size, highest), 8)
  store<u32>(out, 0, 12)
  if (notFinite == 0) store<u32>(out, keepBest(logits, size, k, out + 16), 12)
}

/** Added up in f64: a vocabulary has a hundred thousand words, and an f32 would lose the last digits. */
function sumOfExp(logits: usize, size: i32, highest: f32): f32 {
  let low = f64x2.splat(0)
  let high = low
  for (let id = 0; id < size; id += 4) {
    let terms = exp4(f32x4.sub(v128.load(logits + (<usize>id << 2)), f32x4.splat(highest)))
    // Up to 12 bytes past the logits are read and not used.
    if (id + 4 > size) terms = v128.and(terms, lanesBelow(size - id))
    low = f64x2.add(low, f64x2.promote_low_f32x4(terms))
    high = f64x2.add(high, f64x2.promote_low_f32x4(i32x4.shuffle(terms, terms, 2, 3, 2, 3)))
  }
  const sum = f64x2.add(low, high)
  return <f32>(f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1))
}

function keepBest(logits: usize, size: i32, k: i32, heap: usize): i32 {
  let count = 0
  for (let id = 0; id < size; id++) {
    const value = load<f32>(logits + (<usize>id << 2))
    if (count < k) {
      put(heap, count, id, value)
      for (let i = count; i > 0 && isWorse(heap, i, (i - 1) >> 1); i = (i - 1) >> 1) swap(heap, i, (i - 1) >> 1)
      count++
    } else if (value > load<f32>(heap, 4)) {
      // Of equals the one kept has the lower id: ids come in order.
      put(heap, 0, id, value)
      sink(heap, k)
    }
  }
  return count
}

function sink(heap: usize, size: i32): void {
  for (let i = 0; ; ) {
    let worst = i
    const left = 2 * i + 1
    if (left < size && isWorse(heap, left, worst)) worst = left
    if (left + 1 < size && isWorse(heap, left + 1, worst)) worst = left + 1
    if (worst == i) return
    swap(heap, i, worst)
    i = worst
  }
}

@inline
function put(heap: usize, at: i32, id: i32, value: f32): void {
  store<i32>(heap + (<usize>at << 3), id)
  store<f32>(heap + (<usize>at << 3), value, 4)
}

@inline
function isWorse(heap: usize, a: i32, b: i32): bool {
  const x = heap + (<usize>a << 3)
  const y = heap + (<usize>b << 3)
  const p = load<f32>(x, 4)
  const q = load<f32>(y, 4)
  return p < q || (p == q && load<i32>(x) > load<i32>(y))
}

@inline
function swap(heap: usize, a: i32, b: i32): void {
  const x = heap + (<usize>a << 3)
  const y = heap + (<usize>b << 3)
  const pair = load<u64>(x)
  store<u64>(x, load<u64>(y))
  store<u64>(y, pair)
}
