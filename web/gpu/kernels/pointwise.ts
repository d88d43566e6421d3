/** Operations on rows of activations: norm, SiLU·mul, residual and bias. Buffers belong to the caller. */
import { paddedWidth } from '../../../swarm/model/span-bytes.ts'
import type { Dispatch } from '../kernel.ts'
import type { KernelSet } from './kernel-set.ts'

/** y = rms_norm(x) * weight, x and y `[T, width]` padded to whole groups of four. */
export function rmsNorm(
  kernels: KernelSet,
  label: string,
  options: { x: GPUBuffer; weight: GPUBuffer; y: GPUBuffer; width: number; eps: number },
): Dispatch {
  const { width, eps, x, weight, y } = options
  const params = { width, width4: paddedWidth(width) / 4, eps }
  // One workgroup a row.
  return kernels.dispatch('rmsNorm', label, params, [x, weight, y], ({ rows }) => rows * 64)
}

/** out `[T, width]` (padded) = silu(gate) * up, gateUp `[T, 2 * width]`. */
export function siluMul(
  kernels: KernelSet,
  label: string,
  options: { gateUp: GPUBuffer; out: GPUBuffer; width: number },
): Dispatch {
  const { gateUp, out, width } = options
  const params = { width, out_stride: paddedWidth(width) }
  return kernels.dispatch('siluMul', label, params, [gateUp, out], ({ rows }) => rows * width)
}

/** x += y, both `[T, width]` padded. */
export function add(kernels: KernelSet, label: string, x: GPUBuffer, y: GPUBuffer, width: number): Dispatch {
  const width4 = paddedWidth(width) / 4
  return kernels.dispatch('add', label, { width4 }, [y, x], ({ rows }) => rows * width4)
}

/** y `[T, yStride]` += bias `[width]`. */
export function addBias(
  kernels: KernelSet,
  label: string,
  options: { bias: GPUBuffer; y: GPUBuffer; width: number; yStride: number },
): Dispatch {
  const { bias, y, width, yStride } = options
  return kernels.dispatch('addBias', label, { width, y_stride: yStride }, [bias, y], ({ rows }) => rows * width)
}
