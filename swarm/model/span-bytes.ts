/**
 * How many bytes of GPU memory a span takes: the one place where the planner, the loader and the page get the figure, and the
 * sizes from which the engine makes its buffers. What the driver adds on top is not counted.
 */
import { MAX_SESSIONS, MAX_TOP_K } from '../limits.ts'
import type { Span } from '../span.ts'
import { spanLength } from '../span.ts'
import type { KvFormat, LlamaConfig, WeightFormat } from './config.ts'

/** Rows that the engine runs at once; longer steps are run in chunks of this many. Measured: larger tiles gain nothing, 2026-11. */
export const ENGINE_MAX_ROWS = 64
/** Attention is summed in splits of this many positions at fixed places, so that bits do not depend on the step. */
export const ATTENTION_SPLIT = 128
/** Uniforms (a kernel's parameters, each different set once) and what buffers are rounded up by to whole 16 bytes. */
const SMALL_BUFFERS_BYTES = 16 * 1024
/** The best logits as they come back: a head, then an id and a value each. */
const BEST_LOGITS_BYTES = 4 * (4 + 2 * MAX_TOP_K)
/** Scores and partial sums of attention; a longer context is run in chunks of fewer rows, down to one. */
const ATTENTION_SCRATCH_BYTES = 16 * 1024 * 1024

export interface SpanBytes {
  weights: number
  kvCache: number
  activations: number
  total: number
}

export interface SpanBytesOptions {
  /** KV tokens set aside over the whole span. */
  cacheTokens: number
  /** f32 where it is left out. */
  kv?: KvFormat
  /** Rows of the largest chunk; ENGINE_MAX_ROWS for the engine as it is. */
  maxRows: number
}

export function spanBytes(config: LlamaConfig, span: Span, format: WeightFormat, options: SpanBytesOptions): SpanBytes {
  const weights = weightBytes(config, span, format)
  const kvCache = kvBytesPerToken(config, options.kv ?? 'f32') * spanLength(span) * options.cacheTokens
  const activations = activationBytes(config, span, options)
  return { weights, kvCache, activations, total: weights + kvCache + activations }
}

/** Elements of a row of activations: whole groups of four, the rest zero. */
export function paddedWidth(width: number): number {
  return Math.ceil(width / 4) * 4
}

/** Weights along a row that share a scale, in int8 and int4. */
export const WEIGHT_GROUP = 32

/** Elements of a row of weights as stored, the rest zero. Two groups at least: their scales are halves, and share a word. */
export function storedWidth(width: number, format: WeightFormat): number {
  const unit = format === 'int8' || format === 'int4' ? 2 * WEIGHT_GROUP : 4
  return Math.ceil(width / unit) * unit
}

/** Bytes of a matrix `[rows, width]` on the GPU, scales included. */
export function matrixBytes(rows: number, width: number, format: WeightFormat): number {
  return rows * (rowBytes(width, format) + scaleBytes(width, format))
}

/** Of one row's weights alone. */
export function rowBytes(width: number, format: WeightFormat): number {
  const elements = storedWidth(width, format)
  switch (format) {
    case 'f32':
      return elements * 4
    case 'f16':
      return elements * 2
    case 'int8':
      return elements
    case 'int4':
      return elements / 2
  }
}

/** Of one row's scales, halves; 0 for formats without. */
export function scaleBytes(width: number, format: WeightFormat): number {
  return format === 'int8' || format === 'int4' ? (storedWidth(width, format) / WEIGHT_GROUP) * 2 : 0
}

/** Keys and values of one token in one block, heads padded to whole groups of four. */
export function kvBytesPerToken(config: LlamaConfig, kv: KvFormat): number {
  return 2 * config.numKeyValueHeads * paddedWidth(config.headDim) * (kv === 'f16' ? 2 : 4)
}

/** Bytes of one split of one head of one row: scores, (max, sum), partial values. */
export function attentionUnitBytes(config: LlamaConfig): number {
  return 4 * ATTENTION_SPLIT + 8 + 4 * paddedWidth(config.headDim)
}

/** The longest session that a runner of this span takes: a one-block session may have the whole budget. */
export function maxSessionTokens(config: LlamaConfig, span: Span, cacheTokens: number): number {
  return Math.min(config.maxPositionEmbeddings, cacheTokens * spanLength(span))
}

/** How many (row, head, split) units the attention scratch holds: always enough for one row of the longest session. */
export function attentionUnits(config: LlamaConfig, span: Span, options: SpanBytesOptions): number {
  const splits = Math.ceil(maxSessionTokens(config, span, options.cacheTokens) / ATTENTION_SPLIT)
  const oneRow = config.numAttentionHeads * splits
  const budget = Math.floor(ATTENTION_SCRATCH_BYTES / attentionUnitBytes(config))
  return Math.min(options.maxRows * oneRow, Math.max(oneRow, budget))
}

function weightBytes(config: LlamaConfig, span: Span, format: WeightFormat): number {
  const { hiddenSize, intermediateSize, numAttentionHeads, numKeyValueHeads, headDim, vocabSize } = config
  const vector = (size: number): number => paddedWidth(size) * 4
  const qkvRows = (numAttentionHeads + 2 * numKeyValueHeads) * headDim
  const attention =
    matrixBytes(qkvRows, hiddenSize, format) + matrixBytes(hiddenSize, numAttentionHeads * headDim, format)
  const mlp = matrixBytes(2 * intermediateSize, hiddenSize, format) + matrixBytes(hiddenSize, intermediateSize, format)
  const attentionBias = config.attentionBias ? vector(qkvRows) + vector(hiddenSize) : 0
  const mlpBias = config.mlpBias ? vector(2 * intermediateSize) + vector(hiddenSize) : 0
  const block = attention + mlp + attentionBias + mlpBias + 2 * vector(hiddenSize)
  const first = span.start === 0
  const last = span.end === config.numHiddenLayers
  // A tied head reads the embedding table: one table, also when the span has both ends.
  const tables = config.tieWordEmbeddings ? (first || last ? 1 : 0) : (first ? 1 : 0) + (last ? 1 : 0)
  return (
    block * spanLength(span) + tables * matrixBytes(vocabSize, hiddenSize, format) + (last ? vector(hiddenSize) : 0)
  )
}

function activationBytes(config: LlamaConfig, span: Span, options: SpanBytesOptions): number {
  const { hiddenSize, intermediateSize, numAttentionHeads, numKeyValueHeads, headDim, vocabSize } = config
  const hidden = paddedWidth(hiddenSize)
  const row =
    3 * hidden + // the residual stream, its norm, a projection's result
    (numAttentionHeads + 2 * numKeyValueHeads) * headDim +
    numAttentionHeads * paddedWidth(headDim) +
    paddedWidth(numAttentionHeads * headDim) +
    2 * intermediateSize +
    paddedWidth(intermediateSize) +
    headDim + // rotary table
    1 // token id
  // The head works on one row of each session, as many as a tab takes; the best of its logits come back through a staging buffer, or
  // all of one row. A row of logits is also kept for each session.
  const logits = 4 * vocabSize
  const head =
    span.end === config.numHiddenLayers
      ? MAX_SESSIONS * (8 * hidden + 2 * logits) +
        Math.max(logits, MAX_SESSIONS * BEST_LOGITS_BYTES) +
        BEST_LOGITS_BYTES
      : 0
  const readBack = options.maxRows * hidden
  const attention = attentionUnits(config, span, options) * attentionUnitBytes(config)
  return 4 * (options.maxRows * row + readBack) + head + attention + SMALL_BUFFERS_BYTES
}
