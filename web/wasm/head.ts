/**
 * The head: final norm and output projection of the last rows of several sessions at once, and the best logits of each. Logits of a
 * session's last step are kept outside, a row a session.
 */
import { assert, SwarmError } from '../../swarm/errors.ts'
import { MAX_SESSIONS, MAX_TOP_K } from '../../swarm/limits.ts'
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { paddedWidth } from '../../swarm/model/span-bytes.ts'
import type { LogitsRow } from '../../swarm/span-runner.ts'
import { refuseNotFinite } from '../engine/step-checks.ts'
import { rowOfBest, TOP_K_HEADER, topLogits } from '../engine/top-k.ts'
import type { Kernels } from './kernels.ts'
import type { WasmMemory } from './memory.ts'
import type { WasmMatrix, WasmWeights } from './weights.ts'

export interface HeadBuffers {
  /** `WasmForward`'s room for unpacked weights. */
  unpacked: number
  /** Bytes that logits may take here: as many rows as fit are done at once, at least one. */
  logitsBytes: number
}

export class WasmHead {
  /** Rows at once. */
  readonly maxRows: number
  readonly #memory: WasmMemory
  readonly #kernels: Kernels
  readonly #config: LlamaConfig
  readonly #matrix: WasmMatrix
  readonly #norm: number
  readonly #unpacked: number
  readonly #rows: number
  readonly #normed: number
  readonly #logits: number
  readonly #best: number

  /** The weights must have the span's last block. @throws SwarmError OUT_OF_MEMORY */
  constructor(kernels: Kernels, { memory, config, head, finalNorm }: WasmWeights, buffers: HeadBuffers) {
    assert(head !== null && finalNorm !== null, 'the span has a head')
    this.#memory = memory
    this.#kernels = kernels
    this.#config = config
    this.#matrix = head
    this.#norm = finalNorm
    this.#unpacked = buffers.unpacked
    this.maxRows = Math.max(1, Math.min(MAX_SESSIONS, Math.floor(buffers.logitsBytes / (4 * config.vocabSize))))
    const width = paddedWidth(config.hiddenSize)
    this.#rows = memory.takeWords('the head', this.maxRows * width)
    this.#normed = memory.takeWords('the head', this.maxRows * width)
    this.#logits = memory.takeWords('logits', this.maxRows * config.vocabSize)
    this.#best = memory.takeWords('the best logits', TOP_K_HEADER + 2 * MAX_TOP_K)
  }

  /** Computes the logits of padded rows of hidden states at these places, at most `maxRows` of them. */
  run(rows: readonly number[]): void {
    const { hiddenSize: width, rmsNormEps: eps, vocabSize } = this.#config
    const bytes = paddedWidth(width) * 4
    rows.forEach((row, i) => {
      this.#memory.bytesAt(this.#rows + i * bytes, bytes).set(this.#memory.bytesAt(row, bytes))
    })
    const { at, scales, groups } = this.#matrix
    this.#kernels.rms_norm(this.#rows, this.#norm, this.#normed, rows.length, width, eps)
    const count = rows.length
    const { mat_mul: matMul } = this.#kernels
    matMul(at, scales, this.#normed, this.#logits, this.#unpacked, 0, vocabSize, count, groups, vocabSize)
  }

  /** The best of row `index` of what was run; the whole row goes to `keep`. @throws SwarmError NOT_FINITE */
  best(index: number, topK: number, keep: Float32Array): LogitsRow {
    keep.set(this.#row(index))
    return this.#bestOf(this.#logits + index * this.#config.vocabSize * 4, topK)
  }

  /** The best of a row that `best` kept. @throws SwarmError NOT_FINITE */
  again(keep: Float32Array, topK: number): LogitsRow {
    this.#row(0).set(keep)
    return this.#bestOf(this.#logits, topK)
  }

  #row(index: number): Float32Array {
    const { vocabSize } = this.#config
    return this.#memory.floats(this.#logits + index * vocabSize * 4, vocabSize)
  }

  #bestOf(logits: number, topK: number): LogitsRow {
    const { vocabSize } = this.#config
    const k = Math.min(topK, vocabSize)
    // A whole row, or more than any frame asks for, is sorted apart.
    if (k === 0 || k > MAX_TOP_K) {
      const row = this.#memory.floats(logits, vocabSize)
      refuseNotFinite(row, 'the logits')
      return topLogits(row, topK)
    }
    this.#kernels.top_k(logits, vocabSize, k, this.#best)
    const [notFinite] = this.#memory.words(this.#best, 1)
    if (notFinite !== 0) {
      throw new SwarmError('NOT_FINITE', `${notFinite} of ${vocabSize} logits are not finite numbers`)
    }
    return rowOfBest(this.#memory.bytesAt(this.#best, (TOP_K_HEADER + 2 * k) * 4).slice().buffer, k, vocabSize)
  }
}
