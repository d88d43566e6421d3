/** What a tab computes with. */

/**
 * What a person may ask for. `auto`: WebGPU on a real GPU, WebAssembly where there is none; `webgpu`: WebGPU on whatever adapter
 * answers, a GPU before the software adapter; `software`: WebGPU on the software adapter; `wasm`: WebAssembly on the processor.
 */
export const BACKEND_CHOICES = ['auto', 'webgpu', 'wasm', 'software'] as const
export type BackendChoice = (typeof BACKEND_CHOICES)[number]

/** What it came to, as records say: a GPU, a software adapter, or WebAssembly. */
export type Backend = 'webgpu' | 'software' | 'wasm'

/** Why it came to that: somebody asked for it, or what `auto` found. */
export type BackendReason = 'asked' | 'gpu' | 'software-adapter' | 'no-adapter' | 'no-device' | 'no-webgpu'

/**
 * Whether a tab times the kernels that its adapter may choose from at its first start. `again`: what an earlier start chose does not
 * count.
 */
export const AUTOTUNE_MODES = ['on', 'off', 'again'] as const
export type AutotuneMode = (typeof AUTOTUNE_MODES)[number]

/** Whether a browser without WebGPU cannot do what is asked for; `undefined`: nobody asked. */
export function needsWebGpu(choice: BackendChoice | undefined): boolean {
  return choice === 'webgpu' || choice === 'software'
}
