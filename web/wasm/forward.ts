/**
 * Runs rows through blocks: the rows of one chunk may belong to several sessions, each with its own cache and position. Weights are
 * read once for all of them. Checks nothing about sessions (`span-runner.ts` does). Which rows share a chunk changes no bit.
 */
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { ATTENTION_SPLIT, ENGINE_MAX_ROWS, paddedWidth } from '../../swarm/model/span-bytes.ts'
import type { Span } from '../../swarm/span.ts'
import { inverseFrequencies, ropeTable } from '../engine/rope-tables.ts'
import type { StepRows } from '../engine/step-checks.ts'
import type { Kernels } from './kernels.ts'
import type { WasmKv } from './kv-arena.ts'
import { UNPACKED_ROWS } from './limits.ts'
import type { WasmMemory } from './memory.ts'
import type { WasmBlockWeights, WasmMatrix, WasmWeights } from './weights.ts'

/** Rows of one session within a chunk. */
export interface ChunkPart {
  cache: WasmKv
  input: StepRows
  /** First row of `input` that is in this chunk. */
  from: number
  rows: number
  /** Of that row. */
  position: number
}

export class WasmForward {
  readonly #memory: WasmMemory
  readonly #kernels: Kernels
  readonly #config: LlamaConfig
  readonly #weights: WasmWeights
  readonly #frequencies: Float32Array
  /** Offsets of buffers for ENGINE_MAX_ROWS rows. */
  readonly #at: {
    tokens: number
    hidden: number
    normed: number
    projected: number
    qkv: number
    ropeTable: number
    q: number
    attended: number
    gateUp: number
    mlp: number
    attention: number
  }
  /** Room for UNPACKED_ROWS rows of weights as f32; the head uses it too. */
  readonly unpacked: number

  /** @throws SwarmError OUT_OF_MEMORY */
  constructor(kernels: Kernels, weights: WasmWeights, ropeFrequencies?: Float32Array) {
    const { memory, config } = weights
    const { hiddenSize, intermediateSize, numAttentionHeads: heads, numKeyValueHeads, headDim } = config
    this.#memory = memory
    this.#kernels = kernels
    this.#config = config
    this.#weights = weights
    this.#frequencies = ropeFrequencies ?? inverseFrequencies(config)
    const words = (count: number): number => memory.takeWords('activations', count)
    const rows = (width: number): number => words(ENGINE_MAX_ROWS * width)
    this.#at = {
      tokens: rows(1),
      hidden: rows(paddedWidth(hiddenSize)),
      normed: rows(paddedWidth(hiddenSize)),
      projected: rows(paddedWidth(hiddenSize)),
      qkv: rows((heads + 2 * numKeyValueHeads) * headDim),
      ropeTable: rows(headDim),
      q: rows(heads * paddedWidth(headDim)),
      attended: rows(paddedWidth(heads * headDim)),
      gateUp: rows(2 * intermediateSize),
      mlp: rows(paddedWidth(intermediateSize)),
      attention: words(ATTENTION_SPLIT + 2 * paddedWidth(headDim)),
    }
    this.unpacked = words(UNPACKED_ROWS * Math.max(...[hiddenSize, heads * headDim, intermediateSize].map(paddedWidth)))
  }

  /** `breathe` is awaited between blocks; it throws to give the chunk up. At most ENGINE_MAX_ROWS rows. */
  async run(span: Span, parts: readonly ChunkPart[], breathe: () => Promise<void> | void): Promise<void> {
    const rows = parts.reduce((sum, part) => sum + part.rows, 0)
    this.#writeInputs(parts)
    if (this.#weights.embedding !== null && span.start === 0) this.#embed(this.#weights.embedding, rows)
    for (let block = span.start; block < span.end; block += 1) {
      await breathe()
      const weights = this.#weights.blocks[block - this.#weights.span.start] as WasmBlockWeights
      this.#block(block, weights, parts, rows)
    }
  }

  /** Hidden states `[rows, hiddenSize]` of the chunk that was run, from row `first` on. */
  readHidden(first: number, rows: number): Float32Array<ArrayBuffer> {
    const width = this.#config.hiddenSize
    const stride = paddedWidth(width)
    const padded = this.#memory.floats(this.#at.hidden, ENGINE_MAX_ROWS * stride)
    const out = new Float32Array(rows * width)
    for (let t = 0; t < rows; t += 1) {
      out.set(padded.subarray((first + t) * stride, (first + t) * stride + width), t * width)
    }
    return out
  }

  /** Where a row of it is, padded. */
  hiddenRow(row: number): number {
    return this.#at.hidden + row * paddedWidth(this.#config.hiddenSize) * 4
  }

  #writeInputs(parts: readonly ChunkPart[]): void {
    const width = this.#config.hiddenSize
    const stride = paddedWidth(width)
    const tokens = this.#memory.words(this.#at.tokens, ENGINE_MAX_ROWS)
    const hidden = this.#memory.floats(this.#at.hidden, ENGINE_MAX_ROWS * stride)
    const tables = this.#memory.floats(this.#at.ropeTable, ENGINE_MAX_ROWS * this.#config.headDim)
    let row = 0
    for (const { input, from, rows, position } of parts) {
      tables.set(ropeTable(this.#frequencies, position, rows), row * this.#config.headDim)
      if ('tokens' in input) {
        tokens.set(input.tokens.subarray(from, from + rows), row)
      } else {
        for (let t = 0; t < rows; t += 1) {
          hidden.set(input.hidden.subarray((from + t) * width, (from + t + 1) * width), (row + t) * stride)
        }
      }
      row += rows
    }
  }

  #embed(table: WasmMatrix, rows: number): void {
    this.#kernels.embed(table.at, table.scales, this.#at.tokens, this.#at.hidden, rows, table.groups)
  }

  #block(block: number, weights: WasmBlockWeights, parts: readonly ChunkPart[], rows: number): void {
    const { add, rms_norm: rmsNorm, silu_mul: siluMul } = this.#kernels
    const { hiddenSize: width, rmsNormEps: eps, intermediateSize } = this.#config
    const { hidden, normed, projected, qkv, attended, gateUp, mlp } = this.#at
    const stride = paddedWidth(width)
    const groups = (rows * stride) / 4

    rmsNorm(hidden, weights.attentionNorm, normed, rows, width, eps)
    this.#linear(weights.qkv, weights.qkvBias, normed, qkv, rows, weights.qkv.rows)
    this.#attention(block, parts)
    this.#linear(weights.output, weights.outputBias, attended, projected, rows, stride)
    add(hidden, projected, groups)

    rmsNorm(hidden, weights.mlpNorm, normed, rows, width, eps)
    this.#linear(weights.gateUp, weights.gateUpBias, normed, gateUp, rows, weights.gateUp.rows)
    siluMul(gateUp, mlp, rows, intermediateSize)
    this.#linear(weights.down, weights.downBias, mlp, projected, rows, stride)
    add(hidden, projected, groups)
  }

  #linear(w: WasmMatrix, bias: number | null, x: number, y: number, rows: number, yStride: number): void {
    this.#kernels.mat_mul(w.at, w.scales, x, y, this.unpacked, 0, w.rows, rows, w.groups, yStride)
    if (bias !== null) this.#kernels.add_bias(bias, y, rows, w.rows, yStride)
  }

  #attention(block: number, parts: readonly ChunkPart[]): void {
    const { numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim } = this.#config
    const { qkv, ropeTable: table, q, attended, attention: scratch } = this.#at
    const outStride = paddedWidth(heads * headDim)
    const bytes = { qkv: (heads + 2 * kvHeads) * headDim * 4, table: headDim * 4, q: heads * paddedWidth(headDim) * 4 }
    let row = 0
    for (const { cache, rows, position } of parts) {
      const keys = cache.keysOf(block)
      const values = keys + cache.maxTokens * kvHeads * paddedWidth(headDim) * 4
      const queries = q + row * bytes.q
      this.#kernels.rope(
        qkv + row * bytes.qkv,
        table + row * bytes.table,
        queries,
        keys,
        values,
        rows,
        position,
        heads,
        kvHeads,
        headDim,
        cache.maxTokens,
      )
      this.#kernels.attention(
        queries,
        keys,
        values,
        attended + row * outStride * 4,
        scratch,
        0,
        rows * kvHeads,
        position,
        heads,
        kvHeads,
        headDim,
        cache.maxTokens,
        outStride,
      )
      row += rows
    }
  }
}
