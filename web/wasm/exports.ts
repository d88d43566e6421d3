/** What the modules of `wasm/` export, as types, and an instance of one; without their bytes. Pointers are byte offsets. */
import type { WeightFormat } from '../../swarm/model/config.ts'

export type Embed = (table: number, scales: number, tokens: number, out: number, rows: number, groups: number) => void
export type MatMul = (
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
export type FormatExports = Record<`embed_${WeightFormat}`, Embed> & Record<`mat_mul_${WeightFormat}`, MatMul>

export interface Exports {
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

/** Of the module for a memory that threads share; see `wasm/threads.ts`. */
export interface SharedExports extends Exports, FormatExports {
  serve(job: number, index: number, scratch: number): void
  share(job: number, scratch: number, patienceNs: bigint): number
  stop(job: number, threads: number): void
}

/** `module` must be of the memory's kind. */
export async function instantiate<E extends Exports & FormatExports>(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
): Promise<E> {
  const instance = await WebAssembly.instantiate(module, { env: { memory } })
  return instance.exports as unknown as E
}
