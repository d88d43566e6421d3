/**
 * Runs chunks of rows through blocks, cut into submits that stay short. The rows of a chunk may belong to several sessions, each with
 * its own cache and position; weights are read once for all of them. Checks nothing about sessions (`span-runner.ts` does) and keeps
 * no state between chunks but buffers. Which rows share a chunk never changes a bit of the result.
 */
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { ATTENTION_SPLIT, ENGINE_MAX_ROWS, paddedWidth } from '../../swarm/model/span-bytes.ts'
import { spanLength, type Span } from '../../swarm/span.ts'
import { Readback } from '../gpu/buffers.ts'
import type { Gpu } from '../gpu/device.ts'
import type { Dispatch, StepShape } from '../gpu/kernel.ts'
import { encode } from '../gpu/kernel.ts'
import { attention } from '../gpu/kernels/attention.ts'
import type { KernelChoice } from '../gpu/kernels/kernel-choice.ts'
import type { KernelSet } from '../gpu/kernels/kernel-set.ts'
import { embed } from '../gpu/kernels/matrix.ts'
import type { Activations } from './activations.ts'
import { createActivations } from './activations.ts'
import type { BlockPlan } from './block.ts'
import { planBlock } from './block.ts'
import type { KvCache } from './kv-cache.ts'
import { PreparedStep, type Submit } from './prepared-step.ts'
import { inverseFrequencies, writeRopeTable } from './rope-tables.ts'
import type { StepRows } from './step-checks.ts'
import { SubmitPacer, type CostSample } from './submit-pacer.ts'
import type { SpanWeights } from './weights.ts'

/** What a session adds to the blocks of its span. */
export interface SessionPlan {
  /** Shape of its rows in a chunk, for its attention. */
  step: GPUBuffer
  /** The dispatches of its attention, one list a block. */
  attention: readonly (readonly Dispatch[])[]
}

/** Rows of one session within a chunk. */
export interface ChunkPart {
  plan: SessionPlan
  input: StepRows
  /** First row of `input` that is in this chunk. */
  from: number
  rows: number
  /** Of that row. */
  position: number
}

export interface ChunkOptions {
  /** Whether hidden states come back. */
  readHidden: boolean
  /** Called before each submit; throws to give the chunk up. */
  checkStopped: () => void
  /** Submits what works on `hidden` right behind the last blocks: one round trip to the GPU fewer than after them. */
  behind?: () => Promise<void>
}

export interface ForwardOptions {
  cacheTokens: number
  /** Rotary frequencies `[headDim / 2]` in place of the config's. */
  ropeFrequencies?: Float32Array
}

type PartShape = Submit<SessionPlan>['parts'][number]

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
  readonly #inputs: {
    ropeTable: Float32Array<ArrayBuffer>
    ids: Uint32Array<ArrayBuffer>
    states: Float32Array<ArrayBuffer>
  }
  readonly #prepared = new PreparedStep<SessionPlan, GPUCommandBuffer>()

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
    this.#inputs = {
      ropeTable: new Float32Array(ENGINE_MAX_ROWS * config.headDim),
      ids: new Uint32Array(ENGINE_MAX_ROWS),
      // What pads a row stays zero: nothing is ever written there.
      states: new Float32Array(ENGINE_MAX_ROWS * paddedWidth(config.hiddenSize)),
    }
  }

  /** The residual stream after `run`: the chunk's rows, padded. */
  get hidden(): GPUBuffer {
    return this.#activations.hidden
  }

  /** Rows that a chunk may have now, the farthest at `position`. `sharedBlocks`: see `SubmitPacer.rowsPerChunk`. */
  maxRows(position: number, sharedBlocks: number | null): number {
    return this.#pacer.rowsPerChunk(ENGINE_MAX_ROWS, position, sharedBlocks)
  }

  /** Costs of one block, for one row and for a tile of them. */
  calibrate(row: CostSample, tile: CostSample): void {
    this.#pacer.calibrate(row, tile)
  }

  /** Steps run by this choice from then on; between two of them. Rejects when a kernel does not compile. */
  use(choice: KernelChoice): Promise<void> {
    this.#prepared.forget()
    return this.#kernels.use(choice)
  }

  /** How many of a session's rows at a position may be in one chunk: the attention scratch has room for so many, at least for one. */
  fit(position: number, rows: number): number {
    const room = this.#activations.attentionUnits / this.#config.numAttentionHeads
    let count = rows
    while (count > 1 && count * splitsFor(position, count) > room) count -= 1
    return count
  }

  /** A session's plan on this cache; the caller destroys its `step`. */
  sessionPlan(cache: KvCache): SessionPlan {
    const step = this.#kernels.createStep()
    const buffers = this.#activations.attention
    return { step, attention: cache.blocks.map((kv) => attention(this.#kernels, this.#config, buffers, kv, step)) }
  }

  /**
   * One chunk through the blocks of `span`, a part of the weights' span: all parts' sessions have that span. Hidden states
   * `[rows, hiddenSize]` of all rows come back if asked.
   */
  async run(span: Span, parts: readonly ChunkPart[], options: ChunkOptions): Promise<Float32Array | null> {
    const rows = parts.reduce((sum, part) => sum + part.rows, 0)
    const shapes = this.#writeInputs(parts, rows)
    const last = span.end - this.#span.start
    const context = parts.reduce((sum, part) => sum + part.position * part.rows, 0) / rows
    let read: Promise<ArrayBuffer> | null = null
    for (let start = span.start - this.#span.start; start < last;) {
      options.checkStopped()
      const end = Math.min(last, start + this.#pacer.blocksPerSubmit(rows, context))
      const isLast = end === last
      const submit = { span, start, end, rows, parts: shapes, readHidden: options.readHidden && isLast }
      const started = performance.now()
      const { queue } = this.#gpu.device
      queue.submit([this.#prepared.take(submit) ?? this.#encode(submit)])
      // Asked for at once: one round trip to the GPU and not two.
      if (submit.readHidden) read = this.#readback.read(this.#hiddenBytes(rows))
      const blocks = end - start
      const done = queue
        .onSubmittedWorkDone()
        .then(() => this.#pacer.record({ rows, context, blocks, ms: performance.now() - started }))
      const behind = isLast ? options.behind?.() : null
      // While the GPU works, and only where it is one submit: its cuts are the pacer's, which learns with each.
      if (isLast && blocks === spanLength(span)) this.#prepared.prepare(submit, splitsOfOne, this.#encode)
      // Waiting keeps one submit of blocks in flight and is what the pacer learns from; a GPU lost meanwhile is noticed by the caller.
      await Promise.all([read, done, behind])
      start = end
    }
    return read === null ? null : this.#unpad(new Float32Array(await read), rows)
  }

  destroy(): void {
    this.#activations.destroy()
    this.#readback.destroy()
  }

  /** The queue has copied what it was given when `writeBuffer` returns: the arrays serve the next chunk again. */
  #writeInputs(parts: readonly ChunkPart[], rows: number): PartShape[] {
    const { queue } = this.#gpu.device
    const { hiddenSize: width, headDim } = this.#config
    const { tokens, hidden, attention: buffers } = this.#activations
    const stride = paddedWidth(width)
    const { ropeTable: tables, ids, states } = this.#inputs
    const shapes: PartShape[] = []
    let first = 0
    let hasTokens = false
    for (const part of parts) {
      const { input, from, position } = part
      writeRopeTable(tables.subarray(first * headDim), this.#frequencies, position, part.rows)
      if ('tokens' in input) {
        hasTokens = true
        ids.set(input.tokens.subarray(from, from + part.rows), first)
      } else {
        for (let t = 0; t < part.rows; t += 1) {
          states.set(input.hidden.subarray((from + t) * width, (from + t + 1) * width), (first + t) * stride)
        }
      }
      const step = { rows: part.rows, position, splits: splitsFor(position, part.rows), first }
      this.#kernels.writeStep(step, part.plan.step)
      shapes.push({ plan: part.plan, step })
      first += part.rows
    }
    this.#kernels.writeStep({ rows, position: 0, splits: 0, first: 0 })
    queue.writeBuffer(buffers.ropeTable, 0, tables, 0, rows * headDim)
    if (hasTokens) queue.writeBuffer(tokens, 0, ids, 0, rows)
    else queue.writeBuffer(hidden, 0, states, 0, rows * stride)
    return shapes
  }

  readonly #encode = (submit: Submit<SessionPlan>): GPUCommandBuffer => {
    const { span, start, end, rows, parts } = submit
    const whole = { rows, position: 0, splits: 0, first: 0 }
    const encoder = this.#gpu.device.createCommandEncoder({ label: 'blocks' })
    const pass = encoder.beginComputePass({ label: 'blocks' })
    const first = span.start - this.#span.start
    if (start === first && span.start === 0) for (const dispatch of this.#embed) encode(pass, dispatch, whole)
    for (let block = start; block < end; block += 1) {
      this.#encodeBlock(pass, this.#plans[block] as BlockPlan, { block: block - first, whole, shapes: parts })
    }
    pass.end()
    if (submit.readHidden) this.#readback.copy(encoder, this.#activations.hidden, this.#hiddenBytes(rows))
    return encoder.finish()
  }

  #encodeBlock(
    pass: GPUComputePassEncoder,
    plan: BlockPlan,
    { block, whole, shapes }: { block: number; whole: StepShape; shapes: readonly PartShape[] },
  ): void {
    for (const dispatch of plan.before) encode(pass, dispatch, whole)
    for (const part of shapes) {
      for (const dispatch of part.plan.attention[block] as readonly Dispatch[]) encode(pass, dispatch, part.step)
    }
    for (const dispatch of plan.after) encode(pass, dispatch, whole)
  }

  #hiddenBytes(rows: number): number {
    return rows * paddedWidth(this.#config.hiddenSize) * 4
  }

  #unpad(padded: Float32Array, rows: number): Float32Array {
    const width = this.#config.hiddenSize
    const stride = paddedWidth(width)
    if (width === stride) return padded
    const out = new Float32Array(rows * width)
    for (let t = 0; t < rows; t += 1) out.set(padded.subarray(t * stride, t * stride + width), t * width)
    return out
  }
}

function splitsOfOne(position: number): number {
  return splitsFor(position, 1)
}

function splitsFor(position: number, rows: number): number {
  return Math.ceil((position + rows) / ATTENTION_SPLIT)
}
