/** Devices that offer little, and shaders that do not compile. */
import type { Gpu } from '../../../web/gpu/device.ts'
import { Kernel } from '../../../web/gpu/kernel.ts'
import { defaultChoice } from '../../../web/gpu/kernels/kernel-choice.ts'
import { KernelSet } from '../../../web/gpu/kernels/kernel-set.ts'
import { openPlainGpu } from '../../support/plain-gpu.ts'

/** Every kernel compiles on a device without the optional features that its adapter lists. */
export async function plainDevice(): Promise<{ quads: boolean; features: string[] }> {
  const plain = await openPlainGpu()
  const kernels = await KernelSet.create(plain, { format: 'int4', choice: defaultChoice(plain) })
  kernels.destroy()
  const result = { quads: plain.quads, features: [...plain.device.features] }
  plain.device.destroy()
  return result
}

/** What is said of a shader that does not compile. */
export async function compileFailure(gpu: Gpu, code: string): Promise<string> {
  return Kernel.create(gpu, 'broken', code).then(
    () => 'it compiled',
    (error: unknown) => (error as Error).message,
  )
}
