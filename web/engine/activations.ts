/**
 * The buffers that one chunk of rows flows through, made once and shared by all sessions: steps run one after another.
 * T is at most ENGINE_MAX_ROWS. Widths of rows that a matrix multiplies are padded with zeros, which nothing ever overwrites.
 */
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { ATTENTION_SPLIT, attentionUnits, ENGINE_MAX_ROWS, paddedWidth } from '../../swarm/model/span-bytes.ts'
import type { Span } from '../../swarm/span.ts'
import { storageBuffer } from '../gpu/buffers.ts'
import type { Gpu } from '../gpu/device.ts'
import type { AttentionBuffers } from '../gpu/kernels/attention.ts'

export interface Activations {
  /** Token ids `[T]` u32. */
  tokens: GPUBuffer
  /** The residual stream `[T, hiddenSize]`. */
  hidden: GPUBuffer
  /** Its norm, input of a projection `[T, hiddenSize]`. */
  normed: GPUBuffer
  /** Result of a projection before it is added `[T, hiddenSize]`. */
  projected: GPUBuffer
  attention: AttentionBuffers
  /** `[T, 2 * intermediateSize]`. */
  gateUp: GPUBuffer
  /** `[T, intermediateSize]`, padded. */
  mlp: GPUBuffer
  /** (row, head, split) units that scores, stats and partial values have room for. */
  attentionUnits: number
  destroy(): void
}

/** Call inside `allocating`. */
export function createActivations(gpu: Gpu, config: LlamaConfig, span: Span, cacheTokens: number): Activations {
  const { hiddenSize, intermediateSize, numAttentionHeads: heads, numKeyValueHeads, headDim } = config
  const made: GPUBuffer[] = []
  const floats = (label: string, count: number): GPUBuffer => {
    const buffer = storageBuffer(gpu, label, count * 4)
    made.push(buffer)
    return buffer
  }
  const rows = (label: string, width: number): GPUBuffer => floats(label, ENGINE_MAX_ROWS * width)
  const units = attentionUnits(config, span, { cacheTokens, maxRows: ENGINE_MAX_ROWS })
  return {
    tokens: rows('tokens', 1),
    hidden: rows('hidden', paddedWidth(hiddenSize)),
    normed: rows('normed', paddedWidth(hiddenSize)),
    projected: rows('projected', paddedWidth(hiddenSize)),
    attention: {
      qkv: rows('qkv', (heads + 2 * numKeyValueHeads) * headDim),
      ropeTable: rows('rope table', headDim),
      q: rows('q', heads * paddedWidth(headDim)),
      scores: floats('attention scores', units * ATTENTION_SPLIT),
      stats: floats('attention stats', units * 2),
      partial: floats('attention partial', units * paddedWidth(headDim)),
      out: rows('attention out', paddedWidth(heads * headDim)),
    },
    gateUp: rows('gate and up', 2 * intermediateSize),
    mlp: rows('mlp', paddedWidth(intermediateSize)),
    attentionUnits: units,
    destroy: () => {
      for (const buffer of made) buffer.destroy()
    },
  }
}
