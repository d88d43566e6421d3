/**
 * The head: final norm and output projection of the last rows of several sessions at once, and the best logits of each, chosen on the
 * GPU so that a few kilobytes come back and not the row. The whole row stays of the last one of each session.
 */
import { assert, SwarmError } from '../../swarm/errors.ts'
import { MAX_SESSIONS, MAX_TOP_K } from '../../swarm/limits.ts'
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { paddedWidth } from '../../swarm/model/span-bytes.ts'
import type { LogitsRow } from '../../swarm/span-runner.ts'
import { Readback, storageBuffer } from '../gpu/buffers.ts'
import type { Gpu } from '../gpu/device.ts'
import type { Dispatch, StepShape } from '../gpu/kernel.ts'
import { encode } from '../gpu/kernel.ts'
import type { KernelSet } from '../gpu/kernels/kernel-set.ts'
import { matMul } from '../gpu/kernels/matrix.ts'
import { rmsNorm } from '../gpu/kernels/pointwise.ts'
import { refuseNotFinite } from './step-checks.ts'
import { rowOfBest, TOP_K_HEADER, topLogits } from './top-k.ts'
import type { SpanWeights } from './weights.ts'

/** One of each session, or a few of one. */
const ROWS_AT_ONCE = MAX_SESSIONS
const ONE_ROW: StepShape = { rows: 1, position: 0, splits: 0, first: 0 }

export interface HeadRow {
  /** Among the rows of `hidden`. */
  row: number
  /** Where the session's logits stay, `[vocabSize]`: those of its last row here. */
  keep: GPUBuffer
  /** Of a row that another one of its session follows, 1 to MAX_TOP_K. */
  topK: number
}

export class Head {
  readonly #gpu: Gpu
  readonly #kernels: KernelSet
  readonly #dispatches: Dispatch[]
  readonly #rows: GPUBuffer
  readonly #normed: GPUBuffer
  readonly #logits: GPUBuffer
  readonly #best: GPUBuffer
  readonly #readback: Readback
  readonly #vocabSize: number
  readonly #rowBytes: number
  /** By the row that it chooses from: k is nearly always the same. */
  readonly #topK = new Map<GPUBuffer, { k: number; dispatch: Dispatch }>()

  /** Call inside `allocating`. The weights must have the span's last block. */
  constructor(gpu: Gpu, kernels: KernelSet, config: LlamaConfig, weights: SpanWeights) {
    const { head, finalNorm } = weights
    assert(head !== null && finalNorm !== null, 'the span has a head')
    const { hiddenSize: width, rmsNormEps: eps, vocabSize } = config
    this.#gpu = gpu
    this.#kernels = kernels
    this.#vocabSize = vocabSize
    this.#rowBytes = paddedWidth(width) * 4
    this.#rows = storageBuffer(gpu, 'head rows', ROWS_AT_ONCE * this.#rowBytes)
    this.#normed = storageBuffer(gpu, 'head normed', ROWS_AT_ONCE * this.#rowBytes)
    this.#logits = storageBuffer(gpu, 'logits', ROWS_AT_ONCE * vocabSize * 4)
    this.#best = storageBuffer(gpu, 'best logits', bestBytes(MAX_TOP_K))
    this.#readback = new Readback(gpu, 'logits staging', Math.max(vocabSize * 4, ROWS_AT_ONCE * bestBytes(MAX_TOP_K)))
    this.#dispatches = [
      rmsNorm(kernels, 'final norm', { x: this.#rows, weight: finalNorm, y: this.#normed, width, eps }),
      ...matMul(kernels, head, this.#normed, this.#logits, vocabSize),
    ]
  }

  /** Room for one session's logits, `keep` below. Call inside `allocating`; the caller destroys it. */
  createRow(): GPUBuffer {
    return storageBuffer(this.#gpu, 'kept logits', this.#vocabSize * 4)
  }

  /** The best logits of rows of `hidden`, whose blocks have been submitted. NOT_FINITE is the row's own, in its place. */
  async run(hidden: GPUBuffer, rows: readonly HeadRow[]): Promise<(LogitsRow | SwarmError)[]> {
    const results: (LogitsRow | SwarmError)[] = []
    for (let begin = 0; begin < rows.length; begin += ROWS_AT_ONCE) {
      const some = rows.slice(begin, begin + ROWS_AT_ONCE)
      this.#project(hidden, some)
      results.push(...(await this.#readBest(some, this.#logits)))
    }
    return results
  }

  /** Of at most ROWS_AT_ONCE rows. */
  #project(hidden: GPUBuffer, rows: readonly HeadRow[]): void {
    const { device } = this.#gpu
    const step: StepShape = { ...ONE_ROW, rows: rows.length }
    this.#kernels.writeStep(step)
    let encoder = device.createCommandEncoder({ label: 'head' })
    for (const [i, { row }] of rows.entries()) {
      encoder.copyBufferToBuffer(hidden, row * this.#rowBytes, this.#rows, i * this.#rowBytes, this.#rowBytes)
    }
    for (const dispatch of this.#dispatches) {
      // A part of a large vocabulary takes a software adapter tens of milliseconds: a submit each keeps them short.
      this.#encode(encoder, dispatch, step)
      device.queue.submit([encoder.finish()])
      encoder = device.createCommandEncoder({ label: 'head' })
    }
  }

  /** The best of a row that `run` kept. @throws SwarmError NOT_FINITE */
  async again(keep: GPUBuffer, topK: number): Promise<LogitsRow> {
    const [row] = await this.#readBest([{ row: 0, keep, topK }], null)
    assert(row !== undefined, 'a row each')
    if (row instanceof SwarmError) throw row
    return row
  }

  /** To be called before `keep` is destroyed. */
  forget(keep: GPUBuffer): void {
    this.#topK.delete(keep)
  }

  destroy(): void {
    for (const buffer of [this.#rows, this.#normed, this.#logits, this.#best]) buffer.destroy()
    this.#readback.destroy()
  }

  /**
   * Of the rows in `logits`, each of which goes to its `keep` first; null: of what is kept. All that are chosen here come back together;
   * a whole row comes alone and is sorted on the CPU.
   */
  async #readBest(rows: readonly HeadRow[], logits: GPUBuffer | null): Promise<(LogitsRow | SwarmError)[]> {
    const results: (LogitsRow | SwarmError)[] = []
    const chosen: { index: number; k: number; at: number }[] = []
    const encoder = this.#gpu.device.createCommandEncoder({ label: 'best logits' })
    const bytes = this.#vocabSize * 4
    let at = 0
    for (const [index, { keep, topK }] of rows.entries()) {
      if (logits !== null) encoder.copyBufferToBuffer(logits, index * bytes, keep, 0, bytes)
      const k = Math.min(topK, this.#vocabSize)
      if (k === 0 || k > MAX_TOP_K) continue
      this.#encode(encoder, this.#topKDispatch(keep, k), ONE_ROW)
      this.#readback.copy(encoder, this.#best, bestBytes(k), at)
      chosen.push({ index, k, at })
      at += bestBytes(k)
    }
    this.#gpu.device.queue.submit([encoder.finish()])
    if (chosen.length > 0) {
      const read = await this.#readback.read(at)
      for (const { index, k, at: begin } of chosen) {
        results[index] = this.#best1(read.slice(begin, begin + bestBytes(k)), k)
      }
    }
    for (const [index, { keep, topK }] of rows.entries()) results[index] ??= await this.#readWhole(keep, topK)
    return results
  }

  #best1(read: ArrayBuffer, k: number): LogitsRow | SwarmError {
    const [notFinite] = new Uint32Array(read)
    if (notFinite === 0) return rowOfBest(read, k, this.#vocabSize)
    return new SwarmError('NOT_FINITE', `${notFinite} of ${this.#vocabSize} logits are not finite numbers`)
  }

  async #readWhole(keep: GPUBuffer, topK: number): Promise<LogitsRow | SwarmError> {
    const encoder = this.#gpu.device.createCommandEncoder({ label: 'logits' })
    const bytes = this.#vocabSize * 4
    this.#readback.copy(encoder, keep, bytes)
    this.#gpu.device.queue.submit([encoder.finish()])
    const logits = new Float32Array(await this.#readback.read(bytes))
    try {
      refuseNotFinite(logits, 'the logits')
    } catch (error) {
      if (error instanceof SwarmError) return error
      throw error
    }
    return topLogits(logits, topK)
  }

  #topKDispatch(keep: GPUBuffer, k: number): Dispatch {
    const made = this.#topK.get(keep)
    if (made?.k === k) return made.dispatch
    // One workgroup, whatever the size.
    const dispatch = this.#kernels.dispatch('topK', 'top k', { size: this.#vocabSize, k }, [keep, this.#best], () => 1)
    this.#topK.set(keep, { k, dispatch })
    return dispatch
  }

  #encode(encoder: GPUCommandEncoder, dispatch: Dispatch, step: StepShape): void {
    const pass = encoder.beginComputePass({ label: dispatch.label })
    encode(pass, dispatch, step)
    pass.end()
  }
}

function bestBytes(k: number): number {
  return (TOP_K_HEADER + 2 * k) * 4
}
