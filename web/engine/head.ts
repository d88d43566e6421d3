/**
 * The head: final norm and output projection of one row, read back as the whole row of logits. Only the last row of a step is
 * ever asked for, so its buffers are one row and the work is a matrix × vector.
 */
import { assert, SwarmError } from '../../swarm/errors.ts'
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { paddedWidth } from '../../swarm/model/span-bytes.ts'
import { Readback, storageBuffer } from '../gpu/buffers.ts'
import type { Gpu } from '../gpu/device.ts'
import type { Dispatch, StepShape } from '../gpu/kernel.ts'
import { encode } from '../gpu/kernel.ts'
import type { KernelSet } from '../gpu/kernels/kernel-set.ts'
import { matMul } from '../gpu/kernels/matrix.ts'
import { rmsNorm } from '../gpu/kernels/pointwise.ts'
import type { SpanWeights } from './weights.ts'

const ONE_ROW: StepShape = { rows: 1, position: 0, splits: 1 }

export class Head {
  readonly #gpu: Gpu
  readonly #kernels: KernelSet
  readonly #dispatches: Dispatch[]
  readonly #row: GPUBuffer
  readonly #normed: GPUBuffer
  readonly #logits: GPUBuffer
  readonly #readback: Readback
  readonly #logitsBytes: number
  readonly #rowBytes: number

  /** Call inside `allocating`. The weights must have the span's last block. */
  constructor(gpu: Gpu, kernels: KernelSet, config: LlamaConfig, weights: SpanWeights) {
    const { head, finalNorm } = weights
    assert(head !== null && finalNorm !== null, 'the span has a head')
    const { hiddenSize: width, rmsNormEps: eps, vocabSize } = config
    this.#gpu = gpu
    this.#kernels = kernels
    this.#rowBytes = paddedWidth(width) * 4
    this.#logitsBytes = vocabSize * 4
    this.#row = storageBuffer(gpu, 'head row', this.#rowBytes)
    this.#normed = storageBuffer(gpu, 'head normed', this.#rowBytes)
    this.#logits = storageBuffer(gpu, 'logits', this.#logitsBytes)
    this.#readback = new Readback(gpu, 'logits staging', this.#logitsBytes)
    this.#dispatches = [
      rmsNorm(kernels, 'final norm', { x: this.#row, weight: finalNorm, y: this.#normed, width, eps }),
      ...matMul(kernels, head, this.#normed, this.#logits, vocabSize),
    ]
  }

  /** Logits `[vocabSize]` of row `row` of `hidden`, whose blocks have been submitted. @throws SwarmError NOT_FINITE */
  async run(hidden: GPUBuffer, row: number): Promise<Float32Array<ArrayBuffer>> {
    const { device } = this.#gpu
    this.#kernels.writeStep(ONE_ROW)
    const encoder = device.createCommandEncoder({ label: 'head' })
    encoder.copyBufferToBuffer(hidden, row * this.#rowBytes, this.#row, 0, this.#rowBytes)
    const pass = encoder.beginComputePass({ label: 'head' })
    for (const dispatch of this.#dispatches) encode(pass, dispatch, ONE_ROW)
    pass.end()
    this.#readback.copy(encoder, this.#logits, this.#logitsBytes)
    device.queue.submit([encoder.finish()])
    const logits = await this.#readback.read(this.#logitsBytes)
    if (!logits.every(Number.isFinite)) {
      throw new SwarmError('NOT_FINITE', 'the logits hold a value that is not a finite number')
    }
    return logits
  }

  destroy(): void {
    for (const buffer of [this.#row, this.#normed, this.#logits]) buffer.destroy()
    this.#readback.destroy()
  }
}
