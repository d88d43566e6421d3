/**
 * Which of several kernels does each work, where there are several. What one may choose of never changes a bit of a result but for
 * `matMul`: there only `threads` and `quads` are one. Chosen by the kind of adapter, or by measuring (`web/engine/autotune.ts`).
 */
import type { Gpu } from '../device.ts'

/**
 * How matrices are multiplied: `threads` without workgroup memory for software adapters, `quads` the same with four lanes sharing
 * rows of x in prefill, `lanes` with 32 invocations a row for GPUs. Each is exact in itself (decode and prefill give the same bits);
 * `threads` and `quads` give the same, `lanes` differs from them in the last bits.
 */
export const MAT_MUL_VARIANTS = ['threads', 'quads', 'lanes'] as const
export type MatMulVariant = (typeof MAT_MUL_VARIANTS)[number]

/**
 * How a block takes steps of few rows: `separate`, an operation a dispatch, or `fused` in half as many, for GPUs, where each dispatch
 * costs: norms go into the projections behind them, residuals and SiLU·mul into those before, scores and softmax into attention's values.
 */
export const BLOCK_KERNELS = ['separate', 'fused'] as const
export type BlockKernels = (typeof BLOCK_KERNELS)[number]

export interface KernelChoice {
  matMul: MatMulVariant
  blockKernels: BlockKernels
  /** Invocations in a workgroup of the matrix kernel for few rows: decode. */
  matVecWorkgroup: number
  /** Of the one for many: prefill and batches. */
  matMulWorkgroup: number
}

/** Workgroup sizes that may be chosen. `lanes` keeps its sums in workgroup memory: 128 is what the least adapter has room for. */
const WORKGROUPS: Readonly<Record<MatMulVariant, readonly number[]>> = {
  threads: [16, 32, 64, 128],
  quads: [16, 32, 64, 128],
  lanes: [32, 64, 128],
}
const FIRST_WORKGROUP: Readonly<Record<MatMulVariant, number>> = { threads: 16, quads: 16, lanes: 64 }

/** What this adapter has when nothing was measured; `given` goes first. */
export function defaultChoice(gpu: Pick<Gpu, 'software' | 'quads'>, given: Partial<KernelChoice> = {}): KernelChoice {
  const matMul = given.matMul ?? (gpu.software ? (gpu.quads ? 'quads' : 'threads') : 'lanes')
  const workgroup = FIRST_WORKGROUP[matMul]
  const blockKernels = gpu.software ? 'separate' : 'fused'
  return { matMul, blockKernels, matVecWorkgroup: workgroup, matMulWorkgroup: workgroup, ...given }
}

/** Variants whose results are those of `variant` to the bit, and which this adapter can run. */
export function variantsLike(variant: MatMulVariant, gpu: Pick<Gpu, 'quads'>): readonly MatMulVariant[] {
  if (variant === 'lanes') return ['lanes']
  return gpu.quads ? ['quads', 'threads'] : ['threads']
}

type SizeLimits = Pick<GPUSupportedLimits, 'maxComputeInvocationsPerWorkgroup' | 'maxComputeWorkgroupSizeX'>

/** What a choice depends on. */
export type ChoosingGpu = Pick<Gpu, 'software' | 'quads'> & { limits: SizeLimits }

/** Sizes that may be chosen on this adapter. */
export function workgroupsOf(variant: MatMulVariant, gpu: Pick<ChoosingGpu, 'limits'>): readonly number[] {
  const { maxComputeInvocationsPerWorkgroup: most, maxComputeWorkgroupSizeX: wide } = gpu.limits
  return WORKGROUPS[variant].filter((size) => size <= Math.min(most, wide))
}
