/** One Llama block with random weights: as tensors for our engines, as an ONNX graph, and as a plain reference. */
import type { LlamaConfig } from '../../../swarm/model/config.ts'
import { spanTensors, tensorElements, type TensorSink } from '../../../swarm/model/tensors.ts'
import { f16ToF32 } from '../../../web/engine/convert.ts'
import { storeRows } from '../../../web/engine/quantize.ts'
import { inverseFrequencies, ropeTable } from '../../../web/engine/rope-tables.ts'
import { asStored } from '../../reference/fixtures.ts'
import * as ops from '../../reference/ops.ts'
import { FLOAT, INT32, onnxModel, UINT8, type OnnxNode, type OnnxTensor } from './onnx.ts'

export type BenchFormat = 'f32' | 'int4'
export type Shape = '135m' | '1b'

const base = {
  rmsNormEps: 1e-5,
  ropeScaling: null,
  attentionBias: false,
  mlpBias: false,
  tieWordEmbeddings: true,
  bosTokenId: null,
  eosTokenIds: [],
  dtype: null,
  headDim: 64,
}

/** SmolLM2-135M and Llama-3.2-1B (its rotary scaling left out: it changes no speed). */
export const SHAPES: Readonly<Record<Shape, LlamaConfig>> = {
  '135m': {
    ...base,
    hiddenSize: 576,
    intermediateSize: 1536,
    numHiddenLayers: 32,
    numAttentionHeads: 9,
    numKeyValueHeads: 3,
    vocabSize: 49_152,
    maxPositionEmbeddings: 8192,
    ropeTheta: 100_000,
  },
  '1b': {
    ...base,
    hiddenSize: 2048,
    intermediateSize: 8192,
    numHiddenLayers: 18,
    numAttentionHeads: 32,
    numKeyValueHeads: 8,
    vocabSize: 128_256,
    maxPositionEmbeddings: 8192,
    ropeTheta: 500_000,
  },
}
/** A block from the middle: no embedding, no head. */
export const FIRST_BLOCK = 1
const MAX_CONTEXT = 512

/** `[rows, width]` each, by the last words of their names: `q_proj`, `input_layernorm`, … */
export type BlockTensors = ReadonlyMap<string, { values: Float32Array; width: number }>

export function randomValues(length: number, scale: number, seed: number): Float32Array {
  const out = new Float32Array(length)
  let state = seed >>> 0
  for (let i = 0; i < length; i += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    out[i] = ((state >>> 8) / 2 ** 23 - 1) * scale
  }
  return out
}

const shortName = (name: string): string => name.split('.').at(-2) as string

export function randomBlock(config: LlamaConfig): BlockTensors {
  const specs = spanTensors(config, { start: FIRST_BLOCK, end: FIRST_BLOCK + 1 })
  return new Map(
    specs.map((spec, i) => {
      const width = spec.shape.at(-1) as number
      const values = randomValues(tensorElements(spec), spec.kind === 'matrix' ? 1.5 / Math.sqrt(width) : 0.5, i + 1)
      return [shortName(spec.name), { values: spec.kind === 'matrix' ? values : values.map((v) => v + 1), width }]
    }),
  )
}

/** The same block `blocks` times. */
export async function putBlocks(
  sink: TensorSink,
  config: LlamaConfig,
  tensors: BlockTensors,
  blocks: number,
): Promise<void> {
  for (const spec of spanTensors(config, { start: FIRST_BLOCK, end: FIRST_BLOCK + blocks })) {
    const { values } = tensors.get(shortName(spec.name))!
    await sink.put(spec, 'F32', new Uint8Array(values.buffer), 0)
  }
}

export interface Reference {
  /** Hidden states after the block `[T, hiddenSize]`. */
  y: Float64Array
  /** Keys (turned) and values `[T, kvHeads * headDim]`. */
  k: ArrayLike<number>
  v: ArrayLike<number>
}

/** The block over rows x from position 0, on the weights as the format stores them. */
export function referenceBlock(
  config: LlamaConfig,
  tensors: BlockTensors,
  format: BenchFormat,
  x: Float32Array,
): Reference {
  const { numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim, rmsNormEps: eps } = config
  const linear = (name: string, input: ops.Rows): Float64Array => {
    const { values, width } = tensors.get(name)!
    return ops.matMul(input, asStored(values, width, format), values.length / width, width)
  }
  const norm = (name: string, input: ops.Rows): Float64Array => ops.rmsNorm(input, tensors.get(name)!.values, eps)
  const frequencies = [...inverseFrequencies(config)]
  const n1 = norm('input_layernorm', x)
  const q = ops.rope(linear('q_proj', n1), heads, frequencies, 0)
  const k = ops.rope(linear('k_proj', n1), kvHeads, frequencies, 0)
  const v = linear('v_proj', n1)
  const attended = ops.attention(q, k, v, 0, { heads, kvHeads, headDim })
  const h = ops.add(x, linear('o_proj', attended))
  const n2 = norm('post_attention_layernorm', h)
  const y = ops.add(h, linear('down_proj', ops.siluMul(linear('gate_proj', n2), linear('up_proj', n2))))
  return { y, k, v }
}

/** The block as onnxruntime runs models: MatMul or MatMulNBits, GroupQueryAttention, the norm that skips nothing. */
export function blockGraph(
  config: LlamaConfig,
  tensors: BlockTensors,
  format: BenchFormat,
  accuracyLevel: number,
): Uint8Array<ArrayBuffer> {
  const { hiddenSize, numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim, rmsNormEps } = config
  const initializers: OnnxTensor[] = []
  const nodes: OnnxNode[] = []
  const floats = (name: string, values: Float32Array, dims: number[]): string => {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    initializers.push({ name, type: FLOAT, dims, bytes })
    return name
  }
  const linear = (name: string, input: string): string => {
    const { values, width } = tensors.get(name)!
    const rows = values.length / width
    if (format === 'f32') {
      const weight = floats(name, transposed(values, rows, width), [width, rows])
      nodes.push({ op: 'MatMul', inputs: [input, weight], outputs: [`${name}.y`] })
    } else {
      const { packed, scales } = nBits(values, width, name)
      initializers.push({ name, type: UINT8, dims: [rows, width / 32, 16], bytes: packed })
      nodes.push({
        op: 'MatMulNBits',
        contrib: true,
        inputs: [input, name, floats(`${name}.scales`, scales, [scales.length])],
        outputs: [`${name}.y`],
        ints: { K: width, N: rows, bits: 4, block_size: 32, accuracy_level: accuracyLevel },
      })
    }
    return `${name}.y`
  }
  const norm = (name: string, input: string): string => {
    const weight = floats(name, tensors.get(name)!.values, [hiddenSize])
    nodes.push({
      op: 'SimplifiedLayerNormalization',
      inputs: [input, weight],
      outputs: [`${name}.y`],
      floats: { epsilon: rmsNormEps },
      ints: { stash_type: 1 },
    })
    return `${name}.y`
  }
  const two = (op: string, a: string, b: string, out: string): string => {
    nodes.push({ op, inputs: [a, b], outputs: [out] })
    return out
  }
  const table = ropeTable(inverseFrequencies(config), 0, MAX_CONTEXT)
  const part = (offset: number): Float32Array =>
    Float32Array.from({ length: table.length / 2 }, (_, i) => table[2 * i + offset]!)
  const tables = ['cos', 'sin'].map((name, i) => floats(name, part(i), [MAX_CONTEXT, headDim / 2]))

  const n1 = norm('input_layernorm', 'x')
  const qkv = ['q_proj', 'k_proj', 'v_proj'].map((name) => linear(name, n1))
  nodes.push({
    op: 'GroupQueryAttention',
    contrib: true,
    inputs: [...qkv, 'past_key', 'past_value', 'seqlens_k', 'total', ...tables],
    outputs: ['attended', 'present_key', 'present_value'],
    ints: { num_heads: heads, kv_num_heads: kvHeads, do_rotary: 1 },
    floats: { scale: 1 / Math.sqrt(headDim) },
  })
  const h = two('Add', 'x', linear('o_proj', 'attended'), 'h')
  const n2 = norm('post_attention_layernorm', h)
  const gate = linear('gate_proj', n2)
  nodes.push({ op: 'Sigmoid', inputs: [gate], outputs: ['sigmoid'] })
  const silu = two('Mul', gate, 'sigmoid', 'silu')
  two('Add', h, linear('down_proj', two('Mul', silu, linear('up_proj', n2), 'mlp')), 'y')

  const cache = (name: string, length: string) => ({ name, type: FLOAT, dims: [1, kvHeads, length, headDim] })
  return onnxModel({
    nodes,
    initializers,
    inputs: [
      { name: 'x', type: FLOAT, dims: [1, 'rows', hiddenSize] },
      cache('past_key', 'past'),
      cache('past_value', 'past'),
      { name: 'seqlens_k', type: INT32, dims: [1] },
      { name: 'total', type: INT32, dims: [1] },
    ],
    outputs: [
      { name: 'y', type: FLOAT, dims: [1, 'rows', hiddenSize] },
      cache('present_key', 'present'),
      cache('present_value', 'present'),
    ],
  })
}

function transposed(values: Float32Array, rows: number, width: number): Float32Array {
  const out = new Float32Array(values.length)
  for (let r = 0; r < rows; r += 1) for (let i = 0; i < width; i += 1) out[i * rows + r] = values[r * width + i]!
  return out
}

/** Our int4 numbers in the order of MatMulNBits: two neighbours a byte, the first low; scales as f32. */
function nBits(values: Float32Array, width: number, name: string): { packed: Uint8Array; scales: Float32Array } {
  const stored = storeRows(values, width, 'int4', name)
  const packed = new Uint8Array(stored.weights.length)
  const bytes = stored.weights
  for (let word = 0; word < packed.length; word += 4) {
    for (let half = 0; half < 2; half += 1) {
      // Low halves of a word's bytes are its first four numbers, high halves the others.
      for (let i = 0; i < 2; i += 1) {
        const [a, b] = [bytes[word + 2 * i]! >> (4 * half), bytes[word + 2 * i + 1]! >> (4 * half)]
        packed[word + 2 * half + i] = (a & 15) | ((b & 15) << 4)
      }
    }
  }
  const halves = new Uint16Array(stored.scales.buffer, stored.scales.byteOffset, stored.scales.length / 2)
  return { packed, scales: Float32Array.from(halves, f16ToF32) }
}
