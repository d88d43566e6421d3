/**
 * Buffers: making them under an error scope, so that running out of GPU memory is an error of ours and not a lost tab, and
 * reading results back. Ownership: whoever makes a buffer destroys it.
 */
import { describeError, SwarmError } from '../../swarm/errors.ts'
import type { Gpu } from './device.ts'

/** A storage buffer of zeros; `bytes` is rounded up to a multiple of 16. Make it inside `allocating`. */
export function storageBuffer(gpu: Gpu, label: string, bytes: number): GPUBuffer {
  const size = Math.max(16, Math.ceil(bytes / 16) * 16)
  if (size > gpu.limits.maxBufferSize || size > gpu.limits.maxStorageBufferBindingSize) {
    throw new SwarmError(
      'ADAPTER_TOO_SMALL',
      `${label} needs a buffer of ${size} bytes, the adapter allows ${gpu.limits.maxStorageBufferBindingSize}`,
      {
        action: 'Serve fewer blocks or a smaller cache on this adapter.',
        details: { needed: size, limit: gpu.limits.maxStorageBufferBindingSize },
      },
    )
  }
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC
  return gpu.device.createBuffer({ label, size, usage })
}

/**
 * Runs `make`, which creates buffers, and reports exhaustion. `ready` must be awaited before the result is relied on; it
 * rejects with OUT_OF_MEMORY (the device survives that).
 */
export function allocating<T>(gpu: Gpu, what: string, make: () => T): { value: T; ready: Promise<void> } {
  gpu.device.pushErrorScope('out-of-memory')
  let value: T
  let scope: Promise<GPUError | null>
  try {
    value = make()
  } finally {
    scope = gpu.device.popErrorScope()
  }
  return { value, ready: scope.then((error) => refuseExhaustion(error, what)) }
}

function refuseExhaustion(error: GPUError | null, what: string): void {
  if (error === null) return
  throw new SwarmError('OUT_OF_MEMORY', `the GPU has no memory left for ${what}: ${error.message}`, {
    retryable: true,
    action: 'Close other tabs that use the GPU, or serve fewer blocks.',
  })
}

/** One mapped staging buffer, used by one read at a time: copy into it in the last submit, then `read`. */
export class Readback {
  readonly #buffer: GPUBuffer

  constructor(gpu: Gpu, label: string, bytes: number) {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST
    this.#buffer = gpu.device.createBuffer({ label, size: Math.ceil(bytes / 16) * 16, usage })
  }

  /** `at`: where in the buffer, for several copies before one read. */
  copy(encoder: GPUCommandEncoder, source: GPUBuffer, bytes: number, at = 0): void {
    encoder.copyBufferToBuffer(source, 0, this.#buffer, at, bytes)
  }

  /** Resolves once the GPU has done what was submitted. @throws SwarmError GPU_LOST */
  async read(bytes: number): Promise<ArrayBuffer> {
    try {
      await this.#buffer.mapAsync(GPUMapMode.READ, 0, bytes)
    } catch (error) {
      // Sizes and usage are ours, so what is left is a lost device or a buffer destroyed with its runner.
      throw new SwarmError('GPU_LOST', `reading results back from the GPU failed: ${describeError(error)}`, {
        retryable: true,
        action: 'Reload the tab to serve again.',
        cause: error,
      })
    }
    const values = this.#buffer.getMappedRange(0, bytes).slice(0)
    this.#buffer.unmap()
    return values
  }

  destroy(): void {
    this.#buffer.destroy()
  }
}
