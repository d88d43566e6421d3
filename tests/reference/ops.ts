/**
 * Each operation of `shaders/` in plain TypeScript, written from the formulas and not from the shaders: numbers are f64, arrays are
 * row-major without padding. Slow and obvious on purpose. Checked against an independent implementation in tests/unit/reference.
 */
import type { LlamaConfig } from '../../swarm/model/config.ts'

export type Rows = Float32Array | Float64Array

/** out[t, :] = table[tokens[t], :]. */
export function embed(table: Rows, width: number, tokens: ArrayLike<number>): Float64Array {
  const out = new Float64Array(tokens.length * width)
  for (let t = 0; t < tokens.length; t += 1) {
    for (let i = 0; i < width; i += 1) out[t * width + i] = table[tokens[t]! * width + i]!
  }
  return out
}

/** x[t, i] / sqrt(mean(x[t, :]²) + eps) * weight[i]. */
export function rmsNorm(x: Rows, weight: Rows, eps: number): Float64Array {
  const width = weight.length
  const out = new Float64Array(x.length)
  for (let start = 0; start < x.length; start += width) {
    let squares = 0
    for (let i = 0; i < width; i += 1) squares += x[start + i]! ** 2
    const scale = 1 / Math.sqrt(squares / width + eps)
    for (let i = 0; i < width; i += 1) out[start + i] = x[start + i]! * scale * weight[i]!
  }
  return out
}

/** y[t, r] = Σ w[r, i] · x[t, i] (+ bias[r]); w is [rows, width]. */
export function matMul(x: Rows, w: Rows, rows: number, width: number, bias?: Rows): Float64Array {
  const T = x.length / width
  const out = new Float64Array(T * rows)
  for (let t = 0; t < T; t += 1) {
    for (let r = 0; r < rows; r += 1) {
      let sum = bias === undefined ? 0 : bias[r]!
      const from = r * width
      for (let i = 0; i < width; i += 1) sum += w[from + i]! * x[t * width + i]!
      out[t * rows + r] = sum
    }
  }
  return out
}

/** Angle per position of each of the headDim / 2 pairs; f32 where the original rounds. */
export function inverseFrequencies(config: LlamaConfig): number[] {
  return Array.from({ length: config.headDim / 2 }, (_, i) => {
    const frequency = Math.fround(1 / Math.fround(Math.pow(config.ropeTheta, Math.fround((2 * i) / config.headDim))))
    const scaling = config.ropeScaling
    if (scaling === null) return frequency
    const { factor, lowFreqFactor: low, highFreqFactor: high, originalMaxPositionEmbeddings: context } = scaling
    // In turns over the original context: fewer than `low` are stretched, more than `high` are kept.
    const turns = (context * frequency) / (2 * Math.PI)
    const kept = Math.min(1, Math.max(0, (turns - low) / (high - low)))
    return Math.fround(kept * frequency + ((1 - kept) * frequency) / factor)
  })
}

/** Turns the pairs (i, i + D/2) of every head of x [T, heads, D] by position · frequency. */
export function rope(x: Rows, heads: number, frequencies: readonly number[], position: number): Float64Array {
  const half = frequencies.length
  const out = Float64Array.from(x)
  const T = x.length / (heads * half * 2)
  for (let t = 0; t < T; t += 1) {
    for (let h = 0; h < heads; h += 1) {
      for (let i = 0; i < half; i += 1) {
        const a = (t * heads + h) * half * 2 + i
        const angle = Math.fround((position + t) * frequencies[i]!)
        out[a] = x[a]! * Math.cos(angle) - x[a + half]! * Math.sin(angle)
        out[a + half] = x[a + half]! * Math.cos(angle) + x[a]! * Math.sin(angle)
      }
    }
  }
  return out
}

export interface AttentionShape {
  heads: number
  kvHeads: number
  headDim: number
}

/** Causal attention of q [T, heads, D] at `position` over k and v [position + T, kvHeads, D]. */
export function attention(q: Rows, k: Rows, v: Rows, position: number, shape: AttentionShape): Float64Array {
  const { heads, kvHeads, headDim: D } = shape
  const T = q.length / (heads * D)
  const out = new Float64Array(q.length)
  for (let t = 0; t < T; t += 1) {
    for (let h = 0; h < heads; h += 1) {
      const kvHead = Math.floor(h / (heads / kvHeads))
      const at = (t * heads + h) * D
      const scores = Array.from({ length: position + t + 1 }, (_, j) => {
        let dot = 0
        for (let d = 0; d < D; d += 1) dot += q[at + d]! * k[(j * kvHeads + kvHead) * D + d]!
        return dot / Math.sqrt(D)
      })
      const highest = scores.reduce((a, b) => Math.max(a, b))
      const weights = scores.map((score) => Math.exp(score - highest))
      const total = weights.reduce((a, b) => a + b)
      for (let j = 0; j < weights.length; j += 1) {
        for (let d = 0; d < D; d += 1) out[at + d]! += (weights[j]! / total) * v[(j * kvHeads + kvHead) * D + d]!
      }
    }
  }
  return out
}

/** silu(gate) · up. */
export function siluMul(gate: Rows, up: Rows): Float64Array {
  return Float64Array.from(gate, (g, i) => (g / (1 + Math.exp(-g))) * up[i]!)
}

export function add(x: Rows, y: Rows): Float64Array {
  return Float64Array.from(x, (value, i) => value + y[i]!)
}

/** y[t, i] + bias[i]. */
export function addBias(y: Rows, bias: Rows): Float64Array {
  return Float64Array.from(y, (value, i) => value + bias[i % bias.length]!)
}

/** Ids of the best `k` logits, best first, ties to the lower id. */
export function topK(logits: Rows, k: number): number[] {
  const order = Array.from(logits.keys()).toSorted((a, b) => logits[b]! - logits[a]! || a - b)
  return order.slice(0, k)
}

/** log Σ exp(logit). */
export function logSumExp(logits: Rows): number {
  let highest = -Infinity
  for (const logit of logits) highest = Math.max(highest, logit)
  let sum = 0
  for (const logit of logits) sum += Math.exp(logit - highest)
  return highest + Math.log(sum)
}
