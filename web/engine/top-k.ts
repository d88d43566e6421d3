/**
 * The best logits of a row and its log-sum-exp: of a whole row on the CPU, and from what `top_k.wgsl` chose. Both give the same ids and
 * values; the log-sum-exp of the GPU is summed in f32.
 */
import { assert } from '../../swarm/errors.ts'
import type { LogitsRow } from '../../swarm/span-runner.ts'

/** Words in front of the pairs that `top_k.wgsl` writes: not finite, max, sum, taken. */
export const TOP_K_HEADER = 4

/** Sorts what the kernel chose: it writes the pairs in no order. */
export function rowOfBest(read: ArrayBuffer, k: number, vocabSize: number): LogitsRow {
  const words = new Uint32Array(read)
  const floats = new Float32Array(read)
  assert(words[3] === k, `top_k took ${words[3]} of ${k}`)
  const pairs = Array.from({ length: k }, (_, i) => {
    return { id: words[TOP_K_HEADER + 2 * i] as number, value: floats[TOP_K_HEADER + 2 * i + 1] as number }
  })
  pairs.sort((a, b) => b.value - a.value || a.id - b.id)
  const [, highest, sum] = floats as unknown as [number, number, number]
  return {
    ids: Uint32Array.from(pairs, ({ id }) => id),
    values: Float32Array.from(pairs, ({ value }) => value),
    logSumExp: highest + Math.log(sum),
    vocabSize,
  }
}

/** Best first, ties to the lower id; `topK` 0 or past the vocabulary gives the whole row. Logits are finite. */
export function topLogits(logits: Float32Array, topK: number): LogitsRow {
  const count = topK === 0 ? logits.length : Math.min(topK, logits.length)
  const ids = count === logits.length ? Uint32Array.from(logits.keys()) : bestIds(logits, count)
  ids.sort((a, b) => (isBetter(logits, a, b) ? -1 : 1))
  const values = Float32Array.from(ids, (id) => logits[id] as number)
  return { ids, values, logSumExp: logSumExp(logits), vocabSize: logits.length }
}

function isBetter(logits: Float32Array, a: number, b: number): boolean {
  const x = logits[a] as number
  const y = logits[b] as number
  return x > y || (x === y && a < b)
}

/** The best `count` ids in no order: a heap whose root is the worst of those kept. */
function bestIds(logits: Float32Array, count: number): Uint32Array {
  const heap = new Uint32Array(count)
  let size = 0
  const worse = (i: number, j: number): boolean => isBetter(logits, heap[j] as number, heap[i] as number)
  const swap = (i: number, j: number): void => {
    const kept = heap[i] as number
    heap[i] = heap[j] as number
    heap[j] = kept
  }
  for (let id = 0; id < logits.length; id += 1) {
    if (size < count) {
      heap[size] = id
      for (let i = size; i > 0 && worse(i, (i - 1) >> 1); i = (i - 1) >> 1) swap(i, (i - 1) >> 1)
      size += 1
    } else if (isBetter(logits, id, heap[0] as number)) {
      heap[0] = id
      for (let i = 0; ;) {
        let worst = i
        if (2 * i + 1 < size && worse(2 * i + 1, worst)) worst = 2 * i + 1
        if (2 * i + 2 < size && worse(2 * i + 2, worst)) worst = 2 * i + 2
        if (worst === i) break
        swap(i, worst)
        i = worst
      }
    }
  }
  return heap
}

function logSumExp(logits: Float32Array): number {
  let highest = -Infinity
  for (const logit of logits) highest = Math.max(highest, logit)
  let sum = 0
  for (const logit of logits) sum += Math.exp(logit - highest)
  return highest + Math.log(sum)
}
