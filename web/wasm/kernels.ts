/**
 * The WebAssembly kernels as typed functions over one memory. Pointers are byte offsets; shapes stand in `wasm/*.ts`. Nothing is
 * checked here: whoever calls (`forward.ts`, `head.ts`) has made the buffers.
 */
import bytes from 'virtual:wasm-kernels'
import { assert, describeError, SwarmError } from '../../swarm/errors.ts'
import type { WeightFormat } from '../../swarm/model/config.ts'
import { ATTENTION_SPLIT } from '../../swarm/model/span-bytes.ts'

/** Bytes at the start of every memory that belong to the module. */
export const MODULE_BYTES = 1024

type Embed = (table: number, scales: number, tokens: number, out: number, rows: number, groups: number) => void
type MatMul = (
  w: number,
  scales: number,
  x: number,
  y: number,
  unpacked: number,
  firstRow: number,
  endRow: number,
  rowsOfX: number,
  groups: number,
  yStride: number,
) => void

/** Each format's way of reading weights. */
type FormatExports = Record<`embed_${WeightFormat}`, Embed> & Record<`mat_mul_${WeightFormat}`, MatMul>

interface Exports {
  first_free(): number
  attention_split(): number
  add(x: number, y: number, groups: number): void
  add_bias(bias: number, y: number, rows: number, width: number, yStride: number): void
  silu_mul(gateUp: number, out: number, rows: number, width: number): void
  rms_norm(x: number, weight: number, y: number, rows: number, width: number, eps: number): void
  rope(
    qkv: number,
    table: number,
    q: number,
    k: number,
    v: number,
    rows: number,
    position: number,
    heads: number,
    kvHeads: number,
    headDim: number,
    maxTokens: number,
  ): void
  attention(
    q: number,
    k: number,
    v: number,
    out: number,
    scratch: number,
    firstUnit: number,
    endUnit: number,
    position: number,
    heads: number,
    kvHeads: number,
    headDim: number,
    maxTokens: number,
    outStride: number,
  ): void
  top_k(logits: number, size: number, k: number, out: number): void
}

/** The exports, with those that read weights chosen by format. */
export type Kernels = Omit<Exports, 'first_free' | 'attention_split'> & {
  embed: Embed
  mat_mul: MatMul
}

/** Compiles the module, once a tab. @throws SwarmError NO_ADAPTER where the browser has no WebAssembly SIMD */
export async function compileKernels(): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(bytes)
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
  const instance = await WebAssembly.instantiate(module, { env: { memory } })
  const exports = instance.exports as unknown as Exports & FormatExports
  assert(exports.first_free() <= MODULE_BYTES, `the module takes ${exports.first_free()} bytes`)
  assert(exports.attention_split() === ATTENTION_SPLIT, `attention is split at ${exports.attention_split()}`)
  return { ...exports, embed: exports[`embed_${format}`], mat_mul: exports[`mat_mul_${format}`] }
}
