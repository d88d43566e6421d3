/**
 * A whole Llama with random weights, already quantised: as a GGUF, as tensors for our engine, as a plain reference. In every group
 * of 32 one weight is as far from zero as the format goes, so that our own int8 and int4 make the very same numbers of it again.
 */
import type { LlamaConfig } from '../../../swarm/model/config.ts'
import {
  BYTES_PER_ELEMENT,
  EMBEDDING_NAME,
  MAX_TENSOR_CHUNK_BYTES,
  spanTensors,
  tensorElements,
  type TensorSink,
  type TensorSpec,
} from '../../../swarm/model/tensors.ts'
import { f32ToF16 } from '../../../web/engine/convert.ts'
import * as ops from '../../reference/ops.ts'
import { randomValues, SHAPES } from './block-model.ts'
import { BLOCK, BLOCK_BYTES, dequantized, ggufFile, type GgufTensor, type QuantType } from './gguf.ts'

export type WholeFormat = 'int8' | 'int4'
const TYPES: Readonly<Record<WholeFormat, QuantType>> = { int8: 'Q8_0', int4: 'Q4_0' }
/** llama.cpp's numbers for files that are mostly of the type. */
const FILE_TYPES: Readonly<Record<QuantType, number>> = { Q8_0: 7, Q4_0: 2 }

/** SmolLM2-135M as it is: all its blocks, embedding and tied head. */
export const WHOLE: LlamaConfig = { ...SHAPES['135m'], numHiddenLayers: 30 }

/** Furthest weights: hidden states keep their size through the blocks, and logits are a few units apart. */
const FURTHEST_EMBEDDING = 0.2
const SCALES = 256

/** Token i as text, and nothing else in the text: one code point each, none of them the beginning of another token. */
const FIRST_CODE_POINT = 0x20000
export const tokenText = (ids: Iterable<number>): string =>
  String.fromCodePoint(...Array.from(ids, (id) => FIRST_CODE_POINT + id))

type Weights = { spec: TensorSpec; bytes: Uint8Array<ArrayBuffer> }

export class RandomLlama {
  readonly format: WholeFormat
  readonly #type: QuantType
  /** Matrices in blocks of the format, vectors as f32; rows in a checkpoint's order. */
  readonly #tensors: Map<string, Weights>

  constructor(format: WholeFormat) {
    this.format = format
    this.#type = TYPES[format]
    this.#tensors = new Map(
      this.#specs().map((spec, i) => {
        const bytes = spec.kind === 'matrix' ? randomMatrix(spec, this.#type, i + 1) : randomVector(spec, i + 1)
        return [spec.name, { spec, bytes }]
      }),
    )
  }

  async put(sink: TensorSink): Promise<void> {
    for (const spec of this.#specs()) {
      const values = new Uint8Array(this.#values(spec.name).buffer)
      for (let at = 0; at < values.length; at += MAX_TENSOR_CHUNK_BYTES) {
        const piece = values.subarray(at, at + MAX_TENSOR_CHUNK_BYTES)
        await sink.put(spec, 'F32', piece, at / BYTES_PER_ELEMENT.F32)
      }
    }
  }

  /** As llama.cpp wants a Llama: its names, and rows of queries and keys for pairs that are neighbours. */
  gguf(): Blob {
    const { headDim, vocabSize } = WHOLE
    const ids = Array.from({ length: vocabSize }, (_, id) => id)
    const u32s: Record<string, number> = {
      'general.file_type': FILE_TYPES[this.#type],
      'llama.context_length': WHOLE.maxPositionEmbeddings,
      'llama.embedding_length': WHOLE.hiddenSize,
      'llama.block_count': WHOLE.numHiddenLayers,
      'llama.feed_forward_length': WHOLE.intermediateSize,
      'llama.attention.head_count': WHOLE.numAttentionHeads,
      'llama.attention.head_count_kv': WHOLE.numKeyValueHeads,
      'llama.rope.dimension_count': headDim,
      'llama.vocab_size': vocabSize,
    }
    const metadata = {
      'general.architecture': { string: 'llama' },
      ...Object.fromEntries(Object.entries(u32s).map(([key, u32]) => [key, { u32 }])),
      'llama.attention.layer_norm_rms_epsilon': { f32: WHOLE.rmsNormEps },
      'llama.rope.freq_base': { f32: WHOLE.ropeTheta },
      'tokenizer.ggml.model': { string: 'llama' },
      'tokenizer.ggml.tokens': { strings: ids.map((id) => tokenText([id])) },
      'tokenizer.ggml.scores': { f32s: ids.map(() => 0) },
      ...Object.fromEntries(
        ['add_bos_token', 'add_eos_token', 'add_space_prefix'].map((key) => [`tokenizer.ggml.${key}`, { bool: false }]),
      ),
    }
    const tensors = [...this.#tensors.values()].map(({ spec, bytes }): GgufTensor => {
      const turned = /\.(q|k)_proj\./.test(spec.name)
      return {
        name: ggufName(spec.name),
        type: spec.kind === 'matrix' ? this.#type : 'F32',
        shape: spec.shape,
        bytes: turned ? neighbours(bytes, spec.shape[0]!, headDim) : bytes,
      }
    })
    return ggufFile(metadata, tensors)
  }

  /** Logits `[vocabSize]` of each row from row `first` on, of `tokens` from position 0. */
  reference(tokens: readonly number[], first: number): Float64Array[] {
    const { hiddenSize, numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim, rmsNormEps: eps } = WHOLE
    const frequencies = ops.inverseFrequencies(WHOLE)
    const table = this.#values(EMBEDDING_NAME)
    let x = ops.embed(table, hiddenSize, tokens)
    for (let block = 0; block < WHOLE.numHiddenLayers; block += 1) {
      const name = (part: string): string => `model.layers.${block}.${part}.weight`
      const linear = (part: string, input: ops.Rows): Float64Array => {
        const [rows, width] = this.#tensors.get(name(part))!.spec.shape as [number, number]
        return ops.matMul(input, this.#values(name(part)), rows, width)
      }
      const n1 = ops.rmsNorm(x, this.#values(name('input_layernorm')), eps)
      const q = ops.rope(linear('self_attn.q_proj', n1), heads, frequencies, 0)
      const k = ops.rope(linear('self_attn.k_proj', n1), kvHeads, frequencies, 0)
      const attended = ops.attention(q, k, linear('self_attn.v_proj', n1), 0, { heads, kvHeads, headDim })
      const h = ops.add(x, linear('self_attn.o_proj', attended))
      const n2 = ops.rmsNorm(h, this.#values(name('post_attention_layernorm')), eps)
      const mlp = ops.siluMul(linear('mlp.gate_proj', n2), linear('mlp.up_proj', n2))
      x = ops.add(h, linear('mlp.down_proj', mlp))
    }
    const last = ops.rmsNorm(x.subarray(first * hiddenSize), this.#values('model.norm.weight'), eps)
    const logits = ops.matMul(last, table, WHOLE.vocabSize, hiddenSize)
    const rows = tokens.length - first
    return Array.from({ length: rows }, (_, i) => logits.subarray(i * WHOLE.vocabSize, (i + 1) * WHOLE.vocabSize))
  }

  #specs(): TensorSpec[] {
    return spanTensors(WHOLE, { start: 0, end: WHOLE.numHiddenLayers })
  }

  #values(name: string): Float32Array<ArrayBuffer> {
    const { spec, bytes } = this.#tensors.get(name)!
    return spec.kind === 'matrix' ? dequantized(bytes, this.#type) : new Float32Array(bytes.buffer)
  }
}

function randomVector(spec: TensorSpec, seed: number): Uint8Array<ArrayBuffer> {
  const values = Float32Array.from(randomValues(tensorElements(spec), 0.5, seed), (v) => v + 1)
  return new Uint8Array(values.buffer)
}

/** Bytes of a generator with 32 bits: a hundred million of them in about a second. */
function randomMatrix(spec: TensorSpec, type: QuantType, seed: number): Uint8Array<ArrayBuffer> {
  const furthest = spec.block === 'embed' ? FURTHEST_EMBEDDING : 1.5 / Math.sqrt(spec.shape[1]!)
  const most = type === 'Q8_0' ? 127 : 8
  const scales = f32ToF16(
    Float32Array.from({ length: SCALES }, (_, i) => ((0.5 + i / SCALES) * furthest) / most),
    spec.name,
  )
  const stride = BLOCK_BYTES[type]
  const out = new Uint8Array((tensorElements(spec) / BLOCK) * stride)
  let state = Math.imul(seed, 0x9e3779b1) | 1
  const next = (): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
  for (let at = 0; at < out.length; at += stride) {
    for (let i = 2; i < stride; i += 4) {
      const word = next()
      for (let byte = 0; byte < 4; byte += 1) out[at + i + byte] = (word >>> (8 * byte)) & 255
    }
    const draw = next()
    const scale = scales[draw & (SCALES - 1)]!
    const furthestAt = (draw >>> 8) & (BLOCK - 1)
    const isNegative = ((draw >>> 16) & 1) === 1
    if (type === 'Q8_0') {
      for (let i = 2; i < stride; i += 1) if (out[at + i] === 128) out[at + i] = 129
      out[at + 2 + furthestAt] = isNegative ? 256 - most : most
    } else {
      // -8, of which there is no opposite: the scale takes the sign.
      const byte = at + 2 + (furthestAt % 16)
      out[byte] = out[byte]! & (furthestAt < 16 ? 0xf0 : 0x0f)
    }
    out[at] = scale & 255
    out[at + 1] = (scale >> 8) | (type === 'Q4_0' && isNegative ? 0x80 : 0)
  }
  return out
}

const GGUF_PARTS: Readonly<Record<string, string>> = {
  input_layernorm: 'attn_norm',
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  post_attention_layernorm: 'ffn_norm',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
}

function ggufName(name: string): string {
  if (name === EMBEDDING_NAME) return 'token_embd.weight'
  if (name === 'model.norm.weight') return 'output_norm.weight'
  const [, block, part] = /^model\.layers\.(\d+)\.(.+)\.weight$/.exec(name)!
  return `blk.${block}.${GGUF_PARTS[part!]!}.weight`
}

/** Rows i and i + headDim / 2 of each head, which are turned together, become rows 2i and 2i + 1. */
function neighbours(bytes: Uint8Array, rows: number, headDim: number): Uint8Array<ArrayBuffer> {
  const rowBytes = bytes.length / rows
  const out = new Uint8Array(bytes.length)
  for (let row = 0; row < rows; row += 1) {
    const within = row % headDim
    const from = row - within + Math.floor(within / 2) + (within % 2) * (headDim / 2)
    out.set(bytes.subarray(from * rowBytes, (from + 1) * rowBytes), row * rowBytes)
  }
  return out
}
