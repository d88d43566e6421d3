/**
 * The WebAssembly kernels as typed functions over one memory. Pointers are byte offsets; shapes stand in `wasm/*.ts`. Nothing is
 * checked here: whoever calls (`forward.ts`, `head.ts`) has made the buffers.
 */
import bytes from 'virtual:wasm-kernels'
import sharedBytes from 'virtual:wasm-kernels-shared'
import { assert, describeError, SwarmError } from '../../swarm/errors.ts'
import type { WeightFormat } from '../../swarm/model/config.ts'
import { ATTENTION_SPLIT } from '../../swarm/model/span-bytes.ts'
import { instantiate, type Embed, type Exports, type FormatExports, type MatMul } from './exports.ts'

/** Bytes at the start of every memory that belong to the module. */
export const MODULE_BYTES = 1024

/** The exports, with those that read weights chosen by format. */
export type Kernels = Omit<Exports, 'first_free' | 'attention_split'> & {
  embed: Embed
  mat_mul: MatMul
}

/**
 * Compiles the module, once a tab; `shared`: for a memory that threads share.
 * @throws SwarmError NO_ADAPTER where the browser has no WebAssembly SIMD
 */
export async function compileKernels(shared = false): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(shared ? sharedBytes : bytes)
  } catch (error) {
    throw new SwarmError('NO_ADAPTER', `the browser runs no WebAssembly with SIMD (${describeError(error)})`, {
      action: 'Update the browser, or use one that has WebGPU.',
      cause: error,
    })
  }
}

export async function createKernels(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  format: WeightFormat,
): Promise<Kernels> {
  return kernelsOf(await instantiate(module, memory), format)
}

export function kernelsOf(exports: Exports & FormatExports, format: WeightFormat): Kernels {
  assert(exports.first_free() <= MODULE_BYTES, `the module takes ${exports.first_free()} bytes`)
  assert(exports.attention_split() === ATTENTION_SPLIT, `attention is split at ${exports.attention_split()}`)
  return { ...exports, embed: exports[`embed_${format}`], mat_mul: exports[`mat_mul_${format}`] }
}
