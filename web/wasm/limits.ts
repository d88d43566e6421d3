/** What the WebAssembly backend can and cannot, for whoever plans with it; without the kernels themselves. */
import type { WeightFormat } from '../../swarm/model/config.ts'

/** Formats that the kernels read; `wasm/format.ts` says how. */
export const WASM_FORMATS = ['f32', 'f16'] as const satisfies readonly WeightFormat[]
export type WasmFormat = (typeof WASM_FORMATS)[number]

export const WASM_PAGE_BYTES = 64 * 1024
/** Of pointers with 32 bits, less a page so that an end is a pointer too: what one span may take, all included. */
export const MOST_WASM_BYTES = 2 ** 32 - WASM_PAGE_BYTES

export function isWasmFormat(format: WeightFormat): format is WasmFormat {
  return (WASM_FORMATS as readonly WeightFormat[]).includes(format)
}
