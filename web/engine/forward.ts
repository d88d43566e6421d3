/**
 * Runs rows of one session through its blocks: chunks of rows, cut into submits that stay short. Checks nothing about sessions
 * (`span-runner.ts` does) and keeps no state between steps but buffers. How rows are cut never changes a bit of the result.
 */
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { ATTENTION_SPLIT, ENGINE_MAX_ROWS, paddedWidth } from '../../swarm/model/span-bytes.ts'
import type { Span } from '../../swarm/span.ts'
import { Readback } from '../gpu/buffers.ts'
import type { Gpu } from '../gpu/device.ts'
import type { Dispatch, StepShape } from '../gpu/kernel.ts'
import { encode } from '../gpu/kernel.ts'
import type { KernelSet } from '../gpu/kernels/kernel-set.ts'
import { embed } from '../gpu/kernels/matrix.ts'
import type { Activations } from './activations.ts'
import { createActivations } from './activations.ts'
import type { BlockPlan } from './block.ts'
import { planBlock, sessionBlock } from './block.ts'
import type { KvCache } from './kv-cache.ts'
import { inverseFrequencies, ropeTable } from './rope-tables.ts'
import type { StepRows } from './step-checks.ts'
import { SubmitPacer } from './submit-pacer.ts'
import type { SpanWeights } from './weights.ts'

export interface ForwardRequest {
  /** `sessionPlan` of the session: one list of dispatches a block. */
  blocks: readonly (readonly Dispatch[])[]
  input: StepRows
  position: number
  rows: number
  /** Whether hidden states come back. */
  readHidden: boolean
  /** Called before each submit; throws to give the step up. */
  checkStopped: () => void
}

export interface ForwardOptions {
  cacheTokens: number
  /** Rotary frequencies `[headDim / 2]` in place of the config's. */
  ropeFrequencies?: Float32Array
}

export class Forward {
  readonly #gpu: Gpu
  readonly #kernels: KernelSet
  readonly #config: LlamaConfig
  readonly #span: Span
  readonly #activations: Activations
  readonly #embed: Dispatch[]
  readonly #plans: BlockPlan[]
  readonly #frequencies: Float32Array
  readonly #pacer: SubmitPacer
  readonly #readback: Readback

  /** Call inside `allocating`. */
  constructor(gpu: Gpu, kernels: KernelSet, config: LlamaConfig, weights: SpanWeights, options: ForwardOptions) {
    this.#gpu = gpu
    this.#kernels = kernels
    this.#config = config
    this.#span = weights.span
    this.#activations = createActivations(gpu, config, weights.span, options.cacheTokens)
    const { tokens, hidden } = this.#activations
    this.#embed = weights.embedding === null ? [] : embed(kernels, weights.embedding, tokens, hidden)
    this.#plans = weights.blocks.map((block) => planBlock(kernels, config, block, this.#activations))
    this.#frequencies = options.ropeFrequencies ?? inverseFrequencies(config)
    this.#pacer = new SubmitPacer(gpu.software)
    this.#readback = new Readback(gpu, 'hidden staging', ENGINE_MAX_ROWS * paddedWidth(config.hiddenSize) * 4)
  }

  /** The residual stream after `run`: its last chunk's rows. */
  get hidden(): GPUBuffer {
    return this.#activations.hidden
  }

  /** Dispatches of the blocks of `span` (a part of the weights' span) on this cache. */
  sessionPlan(span: Span, cache: KvCache): Dispatch[][] {
    const first = span.start - this.#span.start
    return cache.blocks.map((kv, i) =>
      sessionBlock(this.#kernels, this.#config, this.#plans[first + i] as BlockPlan, this.#activations, kv),
    )
  }

  /** Hidden states `[rows, hiddenSize]` if asked, and where in `hidden` the last row lies. */
  async run(request: ForwardRequest): Promise<{ hidden: Float32Array | null; lastRow: number }> {
    const { hiddenSize } = this.#config
    const out = request.readHidden ? new Float32Array(request.rows * hiddenSize) : null
    let done = 0
    let rows = 0
    while (done < request.rows) {
      rows = this.#chunkRows(request.position + done, request.rows - done)
      const step = this.#writeInputs(request, done, rows)
      await this.#runBlocks(request, step, out !== null)
      if (out !== null) this.#unpad(await this.#readHidden(rows), rows, out, done)
      done += rows
    }
    return { hidden: out, lastRow: rows - 1 }
  }

  destroy(): void {
    this.#activations.destroy()
    this.#readback.destroy()
  }

  /** Rows of the next chunk: what the pacer allows and the attention scratch has room for; the longest session's one row fits. */
  #chunkRows(position: number, left: number): number {
    let rows = Math.min(left, this.#pacer.rowsPerChunk(ENGINE_MAX_ROWS))
    const room = this.#activations.attentionUnits / this.#config.numAttentionHeads
    while (rows > 1 && rows * splitsFor(position, rows) > room) rows -= 1
    return rows
  }

  #writeInputs(request: ForwardRequest, done: number, rows: number): StepShape {
    const { queue } = this.#gpu.device
    const { tokens, hidden, attention } = this.#activations
    const position = request.position + done
    const step = { rows, position, splits: splitsFor(position, rows) }
    this.#kernels.writeStep(step)
    queue.writeBuffer(attention.ropeTable, 0, ropeTable(this.#frequencies, position, rows))
    if ('tokens' in request.input) {
      queue.writeBuffer(tokens, 0, request.input.tokens.slice(done, done + rows))
    } else {
      queue.writeBuffer(hidden, 0, this.#pad(request.input.hidden, done, rows))
    }
    return step
  }

  async #runBlocks(request: ForwardRequest, step: StepShape, readHidden: boolean): Promise<void> {
    const { device } = this.#gpu
    let next = 0
    while (next < request.blocks.length) {
      request.checkStopped()
      const end = Math.min(request.blocks.length, next + this.#pacer.blocksPerSubmit(step.rows))
      const started = performance.now()
      const encoder = device.createCommandEncoder({ label: 'blocks' })
      const pass = encoder.beginComputePass({ label: 'blocks' })
      if (next === 0 && 'tokens' in request.input) for (const dispatch of this.#embed) encode(pass, dispatch, step)
      for (const block of request.blocks.slice(next, end)) for (const dispatch of block) encode(pass, dispatch, step)
      pass.end()
      const last = end === request.blocks.length
      if (last && readHidden) this.#readback.copy(encoder, this.#activations.hidden, this.#hiddenBytes(step.rows))
      device.queue.submit([encoder.finish()])
      // Waiting keeps one submit in flight and is what the pacer learns from; a GPU lost meanwhile is noticed by the caller.
      await device.queue.onSubmittedWorkDone()
      this.#pacer.record(step.rows, end - next, performance.now() - started)
      next = end
    }
  }

  async #readHidden(rows: number): Promise<Float32Array> {
    return new Float32Array(await this.#readback.read(this.#hiddenBytes(rows)))
  }

  #hiddenBytes(rows: number): number {
    return rows * paddedWidth(this.#config.hiddenSize) * 4
  }

  #pad(hidden: Float32Array, firstRow: number, rows: number): Float32Array<ArrayBuffer> {
    const width = this.#config.hiddenSize
    const stride = paddedWidth(width)
    const out = new Float32Array(rows * stride)
    for (let t = 0; t < rows; t += 1)
      out.set(hidden.subarray((firstRow + t) * width, (firstRow + t + 1) * width), t * stride)
    return out
  }

  #unpad(padded: Float32Array, rows: number, out: Float32Array, firstRow: number): void {
    const width = this.#config.hiddenSize
    const stride = paddedWidth(width)
    for (let t = 0; t < rows; t += 1) out.set(padded.subarray(t * stride, t * stride + width), (firstRow + t) * width)
  }
}

function splitsFor(position: number, rows: number): number {
  return Math.ceil((position + rows) / ATTENTION_SPLIT)
}
