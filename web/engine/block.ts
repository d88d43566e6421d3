/**
 * One Llama block as lists of dispatches, in the order in which rows flow through it: those that take the rows of all sessions alike,
 * made at load; between them attention, made for each session (`gpu/kernels/attention.ts`). Running a step only encodes them.
 */
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { paddedWidth } from '../../swarm/model/span-bytes.ts'
import type { Dispatch } from '../gpu/kernel.ts'
import type { KernelSet } from '../gpu/kernels/kernel-set.ts'
import { matMul } from '../gpu/kernels/matrix.ts'
import { add, addBias, rmsNorm, siluMul } from '../gpu/kernels/pointwise.ts'
import type { Activations } from './activations.ts'
import type { BlockWeights } from './weights.ts'

/** The parts of a block that every session shares; attention goes between them. */
export interface BlockPlan {
  before: Dispatch[]
  after: Dispatch[]
}

export function planBlock(
  kernels: KernelSet,
  config: LlamaConfig,
  weights: BlockWeights,
  activations: Activations,
): BlockPlan {
  const { hiddenSize: width, rmsNormEps: eps, intermediateSize } = config
  const { hidden, normed, projected, gateUp, mlp } = activations
  const { qkv, out } = activations.attention
  const stride = paddedWidth(width)
  const bias = (buffer: GPUBuffer | null, y: GPUBuffer, rows: number, yStride: number): Dispatch[] =>
    buffer === null ? [] : [addBias(kernels, 'bias', { bias: buffer, y, width: rows, yStride })]

  const before = [
    rmsNorm(kernels, 'attention norm', { x: hidden, weight: weights.attentionNorm, y: normed, width, eps }),
    ...matMul(kernels, weights.qkv, normed, qkv, weights.qkv.rows),
    ...bias(weights.qkvBias, qkv, weights.qkv.rows, weights.qkv.rows),
  ]
  const after = [
    ...matMul(kernels, weights.output, out, projected, stride),
    ...bias(weights.outputBias, projected, width, stride),
    add(kernels, 'attention residual', hidden, projected, width),
    rmsNorm(kernels, 'mlp norm', { x: hidden, weight: weights.mlpNorm, y: normed, width, eps }),
    ...matMul(kernels, weights.gateUp, normed, gateUp, weights.gateUp.rows),
    ...bias(weights.gateUpBias, gateUp, weights.gateUp.rows, weights.gateUp.rows),
    siluMul(kernels, 'silu mul', { gateUp, out: mlp, width: intermediateSize }),
    ...matMul(kernels, weights.down, mlp, projected, stride),
    ...bias(weights.downBias, projected, width, stride),
    add(kernels, 'mlp residual', hidden, projected, width),
  ]
  return { before, after }
}
