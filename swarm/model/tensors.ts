/**
 * Which tensors a span of a Llama checkpoint consists of, under their Hugging Face names, with the shapes that the config
 * implies; and `TensorSink`, where their bytes go. Says nothing about where in which file they are (`plan-ranges.ts`).
 */
import { assert } from '../errors.ts'
import type { Span } from '../span.ts'
import { formatSpan, isValidSpan } from '../span.ts'
import type { LlamaConfig, WeightFormat } from './config.ts'

export interface TensorSpec {
  /** As in the checkpoint: `model.layers.3.self_attn.q_proj.weight`. */
  name: string
  /** Row-major: a projection is [out, in]. */
  shape: number[]
  /** The embedding table is always 'embed', also when a tied head alone reads it. */
  block: number | 'embed' | 'norm' | 'head'
  kind: 'matrix' | 'vector'
}

/** What weights are stored as in a file. */
export type TensorDtype = 'F32' | 'F16' | 'BF16'

export const BYTES_PER_ELEMENT: Readonly<Record<TensorDtype, number>> = { F32: 4, F16: 2, BF16: 2 }

/** No chunk handed to a sink is larger. */
export const MAX_TENSOR_CHUNK_BYTES = 8 * 1024 * 1024

/** Rows of a weight matrix as a format stores them; made by `engine/quantize.ts`, described in `shaders/weights_*.wgsl`. */
export interface StoredRows {
  /** Rows of `rowBytes(width, format)` each. */
  weights: Uint8Array<ArrayBuffer>
  /** Rows of `scaleBytes(width, format)` each; empty for formats without. */
  scales: Uint8Array<ArrayBuffer>
}

/** Takes a span's tensors as they are read, or rows of matrices as they were stored before. */
export interface TensorSink {
  /** What its matrices are stored as. */
  readonly format: WeightFormat
  /**
   * A piece of a tensor: contiguous little-endian elements from `elementOffset` (row-major), whole elements only, at most
   * MAX_TENSOR_CHUNK_BYTES; the pieces of one tensor come in order, those of different tensors may come in any order of
   * tensors. `bytes` may be reused once the promise resolves.
   */
  put(spec: TensorSpec, dtype: TensorDtype, bytes: Uint8Array, elementOffset: number): Promise<void>
  /** Whole rows of a matrix in the sink's format, to be kept and handed to `putRows`. @throws SwarmError UNSUPPORTED_MODEL */
  storeRows(spec: TensorSpec, dtype: TensorDtype, bytes: Uint8Array): StoredRows
  /** As `put`, of rows from `firstRow` of the matrix on. */
  putRows(spec: TensorSpec, firstRow: number, rows: StoredRows): Promise<void>
}

export const EMBEDDING_NAME = 'model.embed_tokens.weight'

/** All tensors of the span, embedding table first, norm and head last; each once. */
export function spanTensors(config: LlamaConfig, span: Span): TensorSpec[] {
  assert(isValidSpan(span, config.numHiddenLayers), `span ${formatSpan(span)} of ${config.numHiddenLayers} blocks`)
  const first = span.start === 0
  const last = span.end === config.numHiddenLayers
  const table = [config.vocabSize, config.hiddenSize]
  const specs: TensorSpec[] = []
  if (first || (last && config.tieWordEmbeddings)) specs.push(matrix(EMBEDDING_NAME, table, 'embed'))
  for (let block = span.start; block < span.end; block += 1) specs.push(...blockTensors(config, block))
  if (last) {
    specs.push(vector('model.norm.weight', config.hiddenSize, 'norm'))
    if (!config.tieWordEmbeddings) specs.push(matrix('lm_head.weight', table, 'head'))
  }
  return specs
}

export function tensorElements(spec: TensorSpec): number {
  return spec.shape.reduce((product, size) => product * size, 1)
}

function blockTensors(config: LlamaConfig, block: number): TensorSpec[] {
  const { hiddenSize, intermediateSize } = config
  const queryWidth = config.numAttentionHeads * config.headDim
  const keyWidth = config.numKeyValueHeads * config.headDim
  const prefix = `model.layers.${block}`
  const linear = (name: string, rows: number, columns: number, bias: boolean): TensorSpec[] => [
    matrix(`${prefix}.${name}.weight`, [rows, columns], block),
    ...(bias ? [vector(`${prefix}.${name}.bias`, rows, block)] : []),
  ]
  return [
    vector(`${prefix}.input_layernorm.weight`, hiddenSize, block),
    ...linear('self_attn.q_proj', queryWidth, hiddenSize, config.attentionBias),
    ...linear('self_attn.k_proj', keyWidth, hiddenSize, config.attentionBias),
    ...linear('self_attn.v_proj', keyWidth, hiddenSize, config.attentionBias),
    ...linear('self_attn.o_proj', hiddenSize, queryWidth, config.attentionBias),
    vector(`${prefix}.post_attention_layernorm.weight`, hiddenSize, block),
    ...linear('mlp.gate_proj', intermediateSize, hiddenSize, config.mlpBias),
    ...linear('mlp.up_proj', intermediateSize, hiddenSize, config.mlpBias),
    ...linear('mlp.down_proj', hiddenSize, intermediateSize, config.mlpBias),
  ]
}

function matrix(name: string, shape: number[], block: TensorSpec['block']): TensorSpec {
  return { name, shape, block, kind: 'matrix' }
}

function vector(name: string, size: number, block: TensorSpec['block']): TensorSpec {
  return { name, shape: [size], block, kind: 'vector' }
}
