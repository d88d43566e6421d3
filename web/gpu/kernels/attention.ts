/**
 * Rotary embedding with the KV write, and attention: three kernels and a merge, or, for few rows and `blockKernels: 'fused'`, one and the
 * merge, with the same bits.
 */
import type { LlamaConfig } from '../../../swarm/model/config.ts'
import { ATTENTION_SPLIT, paddedWidth } from '../../../swarm/model/span-bytes.ts'
import type { Dispatch, StepShape } from '../kernel.ts'
import { onlyWhere } from '../kernel.ts'
import type { KernelSet } from './kernel-set.ts'
import { isFused } from './matrix.ts'

/** Of `attention_split`: one for each split of the heads that share a KV head. */
const SPLIT_WORKGROUP = 64

/** Keys and values of one session in one block: `[maxTokens, numKeyValueHeads, padded headDim]` each, f32 or f16. */
export interface KvBuffers {
  k: GPUBuffer
  v: GPUBuffer
}

/** Buffers that attention of every block and session shares. */
export interface AttentionBuffers {
  /** `[T, (heads + 2 kvHeads) * headDim]`. */
  qkv: GPUBuffer
  /** (cos, sin) `[T, headDim / 2]`. */
  ropeTable: GPUBuffer
  /** `[T, heads, padded headDim]`. */
  q: GPUBuffer
  /** `[T, heads, splits * 128]`. */
  scores: GPUBuffer
  /** (max, sum) `[T, heads, splits]`. */
  stats: GPUBuffer
  /** `[T, heads, splits, padded headDim]`. */
  partial: GPUBuffer
  /** `[T, heads * headDim]`, rows padded. */
  out: GPUBuffer
}

/**
 * Attention of one session's rows in one block. `step` (`KernelSet.createStep`) tells which rows of the chunk they are: sessions take
 * turns, each with a cache and a position of its own, and share the scratch.
 */
export function attention(
  kernels: KernelSet,
  config: LlamaConfig,
  buffers: AttentionBuffers,
  kv: KvBuffers,
  step: GPUBuffer,
): Dispatch[] {
  const { numAttentionHeads: heads, numKeyValueHeads, headDim } = config
  const group = heads / numKeyValueHeads
  const dStride = paddedWidth(headDim)
  const chunks = Math.ceil(group / kernels.sharedHeads)
  const shape = { heads, group, kv_heads: numKeyValueHeads, chunks, d4: dStride / 4 }
  const allHeads = heads + 2 * numKeyValueHeads
  const scale = 1 / Math.sqrt(headDim)
  const rope = kernels.dispatch(
    'rope',
    'rope',
    {
      heads,
      kv_heads: numKeyValueHeads,
      head_dim: headDim,
      d_stride: dStride,
      qkv_stride: allHeads * headDim,
    },
    [buffers.qkv, buffers.ropeTable, buffers.q, kv.k, kv.v],
    ({ rows }) => (rows * allHeads * headDim) / 2,
    step,
  )
  const separate = [
    kernels.dispatch(
      'attentionScores',
      'attention scores',
      { ...shape, scale },
      [buffers.q, kv.k, buffers.scores],
      ({ rows, splits }) => rows * numKeyValueHeads * chunks * splits * (ATTENTION_SPLIT / 4),
      step,
    ),
    kernels.dispatch(
      'attentionSoftmax',
      'attention softmax',
      { heads },
      [buffers.scores, buffers.stats],
      ({ rows, splits }) => rows * heads * splits,
      step,
    ),
    kernels.dispatch(
      'attentionValues',
      'attention values',
      shape,
      [buffers.scores, kv.v, buffers.partial],
      ({ rows, splits }) => rows * numKeyValueHeads * chunks * splits * (dStride / 4),
      step,
    ),
  ]
  const split = kernels.dispatch(
    'attentionSplit',
    'attention split',
    { ...shape, scale },
    [buffers.q, kv.k, kv.v, buffers.stats, buffers.partial],
    ({ rows, splits }) => rows * numKeyValueHeads * chunks * splits * SPLIT_WORKGROUP,
    step,
  )
  const merge = kernels.dispatch(
    'attentionMerge',
    'attention merge',
    { heads, head_dim: headDim, d_stride: dStride, out_stride: paddedWidth(heads * headDim) },
    [buffers.stats, buffers.partial, buffers.out],
    ({ rows }) => rows * heads * headDim,
    step,
  )
  const fused = (part: StepShape): boolean => isFused(kernels, part)
  return [rope, ...onlyWhere(fused, [split]), ...onlyWhere((part) => !fused(part), separate), merge]
}
