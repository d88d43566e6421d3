/**
 * The head: final norm and output projection of one row, and the best of its logits, chosen on the GPU so that a few kilobytes come
 * back and not the row. Only the last row of a step is ever asked for, so the buffers are one row.
 */
import { assert, SwarmError } from '../../swarm/errors.ts'
import { MAX_TOP_K } from '../../swarm/limits.ts'
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

const ONE_ROW: StepShape = { rows: 1, position: 0, splits: 1 }

export class Head {
  readonly #gpu: Gpu
  readonly #kernels: KernelSet
  readonly #dispatches: Dispatch[]
  readonly #row: GPUBuffer
  readonly #normed: GPUBuffer
  readonly #logits: GPUBuffer
  readonly #best: GPUBuffer
  readonly #readback: Readback
  readonly #vocabSize: number
  readonly #rowBytes: number
  /** One for each k that was asked for: nearly always the same. */
  readonly #topK = new Map<number, Dispatch>()

  /** Call inside `allocating`. The weights must have the span's last block. */
  constructor(gpu: Gpu, kernels: KernelSet, config: LlamaConfig, weights: SpanWeights) {
    const { head, finalNorm } = weights
    assert(head !== null && finalNorm !== null, 'the span has a head')
    const { hiddenSize: width, rmsNormEps: eps, vocabSize } = config
    this.#gpu = gpu
    this.#kernels = kernels
    this.#vocabSize = vocabSize
    this.#rowBytes = paddedWidth(width) * 4
    this.#row = storageBuffer(gpu, 'head row', this.#rowBytes)
    this.#normed = storageBuffer(gpu, 'head normed', this.#rowBytes)
    this.#logits = storageBuffer(gpu, 'logits', vocabSize * 4)
    this.#best = storageBuffer(gpu, 'best logits', (TOP_K_HEADER + 2 * MAX_TOP_K) * 4)
    this.#readback = new Readback(gpu, 'logits staging', Math.max(vocabSize, TOP_K_HEADER + 2 * MAX_TOP_K) * 4)
    this.#dispatches = [
      rmsNorm(kernels, 'final norm', { x: this.#row, weight: finalNorm, y: this.#normed, width, eps }),
      ...matMul(kernels, head, this.#normed, this.#logits, vocabSize),
    ]
  }

  /** Room for one session's logits, `keep` below. Call inside `allocating`; the caller destroys it. */
  createRow(): GPUBuffer {
    return storageBuffer(this.#gpu, 'kept logits', this.#vocabSize * 4)
  }

  /**
   * The best logits of row `row` of `hidden`, whose blocks have been submitted; the whole row stays in `keep`.
   * @throws SwarmError NOT_FINITE
   */
  run(hidden: GPUBuffer, row: number, keep: GPUBuffer, topK: number): Promise<LogitsRow> {
    const { device } = this.#gpu
    this.#kernels.writeStep(ONE_ROW)
    let encoder = device.createCommandEncoder({ label: 'head' })
    encoder.copyBufferToBuffer(hidden, row * this.#rowBytes, this.#row, 0, this.#rowBytes)
    for (const dispatch of this.#dispatches) {
      // A part of a large vocabulary takes a software adapter tens of milliseconds: a submit each keeps them short.
      this.#encode(encoder, dispatch)
      device.queue.submit([encoder.finish()])
      encoder = device.createCommandEncoder({ label: 'head' })
    }
    encoder.copyBufferToBuffer(this.#logits, 0, keep, 0, this.#vocabSize * 4)
    return this.#readBest(encoder, topK)
  }

  /** The best of a row that `run` kept. */
  again(keep: GPUBuffer, topK: number): Promise<LogitsRow> {
    const encoder = this.#gpu.device.createCommandEncoder({ label: 'head again' })
    encoder.copyBufferToBuffer(keep, 0, this.#logits, 0, this.#vocabSize * 4)
    return this.#readBest(encoder, topK)
  }

  destroy(): void {
    for (const buffer of [this.#row, this.#normed, this.#logits, this.#best]) buffer.destroy()
    this.#readback.destroy()
  }

  /** Of what is in `#logits` after `encoder`. A whole row, or more than any frame asks for, is sorted on the CPU. */
  async #readBest(encoder: GPUCommandEncoder, topK: number): Promise<LogitsRow> {
    const k = Math.min(topK, this.#vocabSize)
    const wholeRow = k === 0 || k > MAX_TOP_K
    const bytes = (wholeRow ? this.#vocabSize : TOP_K_HEADER + 2 * k) * 4
    if (!wholeRow) this.#encode(encoder, this.#topKDispatch(k))
    this.#readback.copy(encoder, wholeRow ? this.#logits : this.#best, bytes)
    this.#gpu.device.queue.submit([encoder.finish()])
    const read = await this.#readback.read(bytes)
    if (wholeRow) {
      const logits = new Float32Array(read)
      refuseNotFinite(logits, 'the logits')
      return topLogits(logits, topK)
    }
    const [notFinite] = new Uint32Array(read)
    if (notFinite === 0) return rowOfBest(read, k, this.#vocabSize)
    throw new SwarmError('NOT_FINITE', `${notFinite} of ${this.#vocabSize} logits are not finite numbers`)
  }

  #topKDispatch(k: number): Dispatch {
    let dispatch = this.#topK.get(k)
    if (dispatch === undefined) {
      // One workgroup, whatever the size.
      dispatch = this.#kernels.dispatch(
        'topK',
        'top k',
        { size: this.#vocabSize, k },
        [this.#logits, this.#best],
        () => 1,
      )
      this.#topK.set(k, dispatch)
    }
    return dispatch
  }

  #encode(encoder: GPUCommandEncoder, dispatch: Dispatch): void {
    const pass = encoder.beginComputePass({ label: dispatch.label })
    encode(pass, dispatch, ONE_ROW)
    pass.end()
  }
}
