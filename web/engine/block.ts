/**
 * One Llama block as lists of dispatches, in the order in which rows flow through it: those that take the rows of all sessions alike,
 * made at load; between them attention, made for each session (`gpu/kernels/attention.ts`). Running a step only encodes them. There are
 * two plans with the same bits: an operation a dispatch, and the fused one of few rows (`KernelChoice.blockKernels`), with attention seven.
 */
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { paddedWidth } from '../../swarm/model/span-bytes.ts'
import type { Dispatch } from '../gpu/kernel.ts'
import { onlyWhere } from '../gpu/kernel.ts'
import type { KernelSet } from '../gpu/kernels/kernel-set.ts'
import type { Matrix } from '../gpu/kernels/matrix.ts'
import { isFused, matMul, matMulAdd, normGateUp, normMatMul } from '../gpu/kernels/matrix.ts'
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

  const separate: BlockPlan = {
    before: [
      rmsNorm(kernels, 'attention norm', { x: hidden, weight: weights.attentionNorm, y: normed, width, eps }),
      ...matMul(kernels, weights.qkv, normed, qkv, weights.qkv.rows),
      ...bias(weights.qkvBias, qkv, weights.qkv.rows, weights.qkv.rows),
    ],
    after: [
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
    ],
  }

  const attentionNorm = { x: hidden, weight: weights.attentionNorm, eps }
  const mlpNorm = { x: hidden, weight: weights.mlpNorm, eps }
  // A bias stands between a projection and what would go into it: then that one stays by itself.
  const residual = (matrix: Matrix, offset: GPUBuffer | null, x: GPUBuffer): Dispatch[] =>
    offset === null
      ? matMulAdd(kernels, matrix, x, hidden, stride)
      : [
          ...matMul(kernels, matrix, x, projected, stride),
          ...bias(offset, projected, width, stride),
          add(kernels, 'residual', hidden, projected, width),
        ]
  const paired = weights.gateUpBias === null && weights.gateUp.parts.length === 1
  const fused: BlockPlan = {
    before: [
      ...normMatMul(kernels, weights.qkv, attentionNorm, qkv, weights.qkv.rows),
      ...bias(weights.qkvBias, qkv, weights.qkv.rows, weights.qkv.rows),
    ],
    after: [
      ...residual(weights.output, weights.outputBias, out),
      ...(paired
        ? normGateUp(kernels, weights.gateUp, mlpNorm, mlp, paddedWidth(intermediateSize))
        : [
            ...normMatMul(kernels, weights.gateUp, mlpNorm, gateUp, weights.gateUp.rows),
            ...bias(weights.gateUpBias, gateUp, weights.gateUp.rows, weights.gateUp.rows),
            siluMul(kernels, 'silu mul', { gateUp, out: mlp, width: intermediateSize }),
          ]),
      ...residual(weights.down, weights.downBias, mlp),
    ],
  }

  const either = (part: keyof BlockPlan): Dispatch[] => [
    ...onlyWhere((step) => isFused(kernels, step), fused[part]),
    ...onlyWhere((step) => !isFused(kernels, step), separate[part]),
  ]
  return { before: either('before'), after: either('after') }
}
