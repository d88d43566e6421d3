/** What a tab computes with. */

/**
 * What a person may ask for. `auto`: WebGPU on whatever adapter answers; `webgpu`: on a real GPU only; `software`: on the software
 * adapter; `wasm`: WebAssembly on the processor, without any adapter.
 */
export const BACKEND_CHOICES = ['auto', 'webgpu', 'wasm', 'software'] as const
export type BackendChoice = (typeof BACKEND_CHOICES)[number]

/** What it came to, as records say: a GPU, a software adapter, or WebAssembly. */
export type Backend = 'webgpu' | 'software' | 'wasm'
