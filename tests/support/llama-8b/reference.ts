/**
 * The synthetic checkpoint in plain f64 on its weights as int4 stores them: nothing of the engine, and never more than a row of a
 * matrix at once. Rows of hidden states are positions 0, 1, … of one session.
 */
import { tensorElements, type TensorSpec } from '../../../swarm/model/tensors.ts'
import { add, attention, inverseFrequencies, rmsNorm, rope, siluMul } from '../../reference/ops.ts'
import { roundToF16 } from '../../reference/fixtures.ts'
import { fillElements, llama8b } from './checkpoint.ts'

const GROUP = 32

export function embedding(tokens: readonly number[]): Float64Array {
  const table = matrix('model.embed_tokens.weight', llama8b.vocabSize, llama8b.hiddenSize)
  const out = new Float64Array(tokens.length * llama8b.hiddenSize)
  tokens.forEach((token, t) => out.set(int4Row(table, token), t * llama8b.hiddenSize))
  return out
}

/** `[T, hiddenSize]` after a block. */
export function block(number: number, hidden: Float64Array): Float64Array {
  const { hiddenSize, intermediateSize, numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim } = llama8b
  const name = `model.layers.${number}.`
  const linear = (x: Float64Array, part: string, rows: number, width: number): Float64Array =>
    project(x, matrix(`${name}${part}.weight`, rows, width))
  const frequencies = inverseFrequencies(llama8b)
  const normed = rmsNorm(hidden, vector(`${name}input_layernorm.weight`), llama8b.rmsNormEps)
  const q = rope(linear(normed, 'self_attn.q_proj', heads * headDim, hiddenSize), heads, frequencies, 0)
  const k = rope(linear(normed, 'self_attn.k_proj', kvHeads * headDim, hiddenSize), kvHeads, frequencies, 0)
  const v = linear(normed, 'self_attn.v_proj', kvHeads * headDim, hiddenSize)
  const attended = attention(q, k, v, 0, { heads, kvHeads, headDim })
  const middle = add(hidden, linear(attended, 'self_attn.o_proj', hiddenSize, heads * headDim))
  const normed2 = rmsNorm(middle, vector(`${name}post_attention_layernorm.weight`), llama8b.rmsNormEps)
  const gated = siluMul(
    linear(normed2, 'mlp.gate_proj', intermediateSize, hiddenSize),
    linear(normed2, 'mlp.up_proj', intermediateSize, hiddenSize),
  )
  return add(middle, linear(gated, 'mlp.down_proj', hiddenSize, intermediateSize))
}

/** Logits `[T, ids]`. */
export function logits(hidden: Float64Array, ids: readonly number[]): Float64Array {
  const normed = rmsNorm(hidden, vector('model.norm.weight'), llama8b.rmsNormEps)
  return project(normed, matrix('lm_head.weight', llama8b.vocabSize, llama8b.hiddenSize), ids)
}

function project(x: Float64Array, spec: TensorSpec, picked?: readonly number[]): Float64Array {
  const [all, width] = spec.shape as [number, number]
  const rows = picked?.length ?? all
  const T = x.length / width
  const out = new Float64Array(T * rows)
  for (let r = 0; r < rows; r += 1) {
    const weights = int4Row(spec, picked?.[r] ?? r)
    for (let t = 0; t < T; t += 1) {
      let sum = 0
      for (let i = 0; i < width; i += 1) sum += weights[i]! * x[t * width + i]!
      out[t * rows + r] = sum
    }
  }
  return out
}

/** A row as int4 gives it back: an eighth of the furthest value, its sign turned, as a half, times -8 to 7. */
export function int4Row(spec: TensorSpec, row: number): Float64Array {
  const width = spec.shape[1]!
  const out = elements(spec, row * width, width)
  for (let start = 0; start < width; start += GROUP) {
    let furthest = 0
    for (let i = start; i < start + GROUP; i += 1) if (Math.abs(out[i]!) > Math.abs(furthest)) furthest = out[i]!
    const scale = roundToF16(furthest / -8)
    for (let i = start; i < start + GROUP; i += 1) {
      const exact = out[i]! / scale
      const floor = Math.floor(exact)
      const up = exact - floor > 0.5 || (exact - floor === 0.5 && floor % 2 !== 0)
      out[i] = Math.min(7, Math.max(-8, up ? floor + 1 : floor)) * scale
    }
  }
  return out
}

function vector(name: string): Float64Array {
  const spec: TensorSpec = { name, shape: [llama8b.hiddenSize], block: 'norm', kind: 'vector' }
  return elements(spec, 0, tensorElements(spec))
}

export function matrix(name: string, rows: number, width: number): TensorSpec {
  return { name, shape: [rows, width], block: 0, kind: 'matrix' }
}

/** bf16 is the upper half of an f32. */
export function elements(spec: TensorSpec, first: number, count: number): Float64Array {
  const halves = new Uint16Array(count)
  fillElements(spec, first, halves)
  const bits = new Uint32Array(count)
  for (let i = 0; i < count; i += 1) bits[i] = halves[i]! << 16
  return new Float64Array(new Float32Array(bits.buffer))
}
