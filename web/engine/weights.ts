/**
 * The weights of one span on the GPU, filled piece by piece while they are downloaded. q, k and v share one matrix, so do gate and
 * up: one dispatch each. Knows nothing of files or sessions.
 */
import { assert, SwarmError } from '../../swarm/errors.ts'
import type { LlamaConfig, WeightFormat } from '../../swarm/model/config.ts'
import { paddedWidth } from '../../swarm/model/span-bytes.ts'
import type { TensorDtype, TensorSink, TensorSpec } from '../../swarm/model/tensors.ts'
import { spanTensors } from '../../swarm/model/tensors.ts'
import type { Span } from '../../swarm/span.ts'
import { formatSpan } from '../../swarm/span.ts'
import { allocating, storageBuffer } from '../gpu/buffers.ts'
import type { Gpu } from '../gpu/device.ts'
import type { Matrix } from '../gpu/kernels/matrix.ts'
import { createMatrix, destroyMatrix, writeRows } from '../gpu/kernels/matrix.ts'
import { toF32 } from './convert.ts'
import { storeRows } from './quantize.ts'

export interface BlockWeights {
  attentionNorm: GPUBuffer
  /** Rows of q, then k, then v: `[(heads + 2 kvHeads) * headDim, hiddenSize]`. */
  qkv: Matrix
  qkvBias: GPUBuffer | null
  /** `[hiddenSize, heads * headDim]`. */
  output: Matrix
  outputBias: GPUBuffer | null
  mlpNorm: GPUBuffer
  /** Rows of gate, then up: `[2 * intermediateSize, hiddenSize]`. */
  gateUp: Matrix
  gateUpBias: GPUBuffer | null
  /** `[hiddenSize, intermediateSize]`. */
  down: Matrix
  downBias: GPUBuffer | null
}

/** Where a tensor goes: rows of a matrix, or elements of a vector. */
interface Target {
  spec: TensorSpec
  matrix: Matrix | null
  vector: GPUBuffer | null
  /** First row in the matrix, or first element in the vector. */
  start: number
  /** Elements that arrived. */
  done: number
  /** Start of a row whose end has not arrived. */
  tail: Float32Array
}

/** Bytes handed to the queue before the next piece waits for the GPU: bounds the copies that the browser holds. */
const MAX_UPLOADS_IN_FLIGHT_BYTES = 64 * 1024 * 1024

export class SpanWeights implements TensorSink {
  readonly config: LlamaConfig
  readonly span: Span
  readonly format: WeightFormat
  /** In order of the span. */
  readonly blocks: BlockWeights[] = []
  /** The table `[vocabSize, hiddenSize]` when the span starts at block 0. */
  readonly embedding: Matrix | null
  readonly finalNorm: GPUBuffer | null
  /** `[vocabSize, hiddenSize]` when the span ends at the last block; of a tied model the embedding table. */
  readonly head: Matrix | null
  readonly #gpu: Gpu
  readonly #targets = new Map<string, Target>()
  readonly #matrices: Matrix[] = []
  readonly #vectors: GPUBuffer[] = []
  #allocated: Promise<void> = Promise.resolve()
  #inFlightBytes = 0

  /** Sets the memory aside at once; that it was there is known with the first `put`. @throws SwarmError ADAPTER_TOO_SMALL */
  static create(gpu: Gpu, config: LlamaConfig, span: Span, format: WeightFormat): SpanWeights {
    const { value, ready } = allocating(gpu, `the weights of blocks ${formatSpan(span)}`, () => {
      return new SpanWeights(gpu, config, span, format)
    })
    value.#allocated = ready
    // Heard by the first `put`; this keeps a failure in between from counting as unhandled.
    ready.catch(() => undefined)
    return value
  }

  private constructor(gpu: Gpu, config: LlamaConfig, span: Span, format: WeightFormat) {
    this.#gpu = gpu
    this.config = config
    this.span = span
    this.format = format
    const specs = new Map(spanTensors(config, span).map((spec) => [spec.name, spec]))
    const table = (name: string): Matrix | null => {
      const spec = specs.get(name)
      return spec === undefined ? null : this.#matrix(name, config.hiddenSize, [spec])
    }
    try {
      const embedding = table('model.embed_tokens.weight')
      const last = span.end === config.numHiddenLayers
      this.embedding = span.start === 0 ? embedding : null
      for (let block = span.start; block < span.end; block += 1) this.blocks.push(this.#block(block, specs))
      const norm = specs.get('model.norm.weight')
      this.finalNorm = norm === undefined ? null : this.#vector(norm.name, [norm])
      this.head = last ? (config.tieWordEmbeddings ? embedding : table('lm_head.weight')) : null
    } catch (error) {
      this.destroy()
      throw error
    }
    assert(this.#targets.size === specs.size, `${specs.size} tensors, ${this.#targets.size} have a place`)
  }

  async put(spec: TensorSpec, dtype: TensorDtype, bytes: Uint8Array, elementOffset: number): Promise<void> {
    await this.#allocated
    const target = this.#targets.get(spec.name)
    assert(target !== undefined, `${spec.name} is no tensor of blocks ${formatSpan(this.span)}`)
    assert(elementOffset === target.done, `${spec.name}: element ${elementOffset} came, ${target.done} is next`)
    const values = toF32(dtype, bytes)
    if (target.matrix === null) this.#putVector(target, values)
    else this.#putRows(target, target.matrix, values)
    target.done += values.length
    this.#inFlightBytes += bytes.byteLength
    if (this.#inFlightBytes >= MAX_UPLOADS_IN_FLIGHT_BYTES) {
      this.#inFlightBytes = 0
      await this.#gpu.device.queue.onSubmittedWorkDone()
    }
  }

  /** @throws SwarmError BAD_SAFETENSORS when a tensor did not arrive in full. */
  finish(): void {
    for (const { spec, done } of this.#targets.values()) {
      const expected = spec.shape.reduce((product, size) => product * size, 1)
      if (done !== expected) {
        throw new SwarmError('BAD_SAFETENSORS', `${spec.name} has ${expected} elements, ${done} were loaded`)
      }
    }
  }

  destroy(): void {
    for (const matrix of this.#matrices) destroyMatrix(matrix)
    for (const vector of this.#vectors) vector.destroy()
  }

  #block(block: number, specs: ReadonlyMap<string, TensorSpec>): BlockWeights {
    const { hiddenSize, intermediateSize, numAttentionHeads, headDim } = this.config
    const find = (names: readonly string[], suffix: string): TensorSpec[] =>
      names.flatMap((name) => specs.get(`model.layers.${block}.${name}.${suffix}`) ?? [])
    const matrix = (width: number, ...names: string[]): Matrix =>
      this.#matrix(`block ${block} ${names.join(' ')}`, width, find(names, 'weight'))
    const bias = (...names: string[]): GPUBuffer | null => {
      const found = find(names, 'bias')
      return found.length === 0 ? null : this.#vector(`block ${block} ${names.join(' ')} bias`, found)
    }
    const norm = (name: string): GPUBuffer => this.#vector(`block ${block} ${name}`, find([name], 'weight'))
    const qkv = ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj']
    const gateUp = ['mlp.gate_proj', 'mlp.up_proj']
    return {
      attentionNorm: norm('input_layernorm'),
      qkv: matrix(hiddenSize, ...qkv),
      qkvBias: bias(...qkv),
      output: matrix(numAttentionHeads * headDim, 'self_attn.o_proj'),
      outputBias: bias('self_attn.o_proj'),
      mlpNorm: norm('post_attention_layernorm'),
      gateUp: matrix(hiddenSize, ...gateUp),
      gateUpBias: bias(...gateUp),
      down: matrix(intermediateSize, 'mlp.down_proj'),
      downBias: bias('mlp.down_proj'),
    }
  }

  /** One matrix of the rows of all `specs`, in their order. */
  #matrix(label: string, width: number, specs: readonly TensorSpec[]): Matrix {
    const rows = specs.reduce((sum, spec) => sum + (spec.shape[0] as number), 0)
    const matrix = createMatrix(this.#gpu, label, rows, width, this.format)
    this.#matrices.push(matrix)
    let start = 0
    for (const spec of specs) {
      assert(spec.shape[1] === width, `${spec.name} is ${spec.shape.join(' x ')}, expected width ${width}`)
      this.#targets.set(spec.name, { spec, matrix, vector: null, start, done: 0, tail: new Float32Array(0) })
      start += spec.shape[0] as number
    }
    return matrix
  }

  #vector(label: string, specs: readonly TensorSpec[]): GPUBuffer {
    const size = specs.reduce((sum, spec) => sum + (spec.shape[0] as number), 0)
    const vector = storageBuffer(this.#gpu, label, paddedWidth(size) * 4)
    this.#vectors.push(vector)
    let start = 0
    for (const spec of specs) {
      this.#targets.set(spec.name, { spec, matrix: null, vector, start, done: 0, tail: new Float32Array(0) })
      start += spec.shape[0] as number
    }
    return vector
  }

  #putVector(target: Target, values: Float32Array): void {
    assert(target.vector !== null, `${target.spec.name} has a vector`)
    const offset = (target.start + target.done) * 4
    this.#gpu.device.queue.writeBuffer(target.vector, offset, values.buffer as ArrayBuffer, 0, values.byteLength)
  }

  /** Writes the rows that are complete with these values and keeps the rest for the next piece. */
  #putRows(target: Target, matrix: Matrix, values: Float32Array): void {
    const { width } = matrix
    const all = target.tail.length === 0 ? values : concat(target.tail, values)
    const firstRow = target.start + (target.done - target.tail.length) / width
    const rows = Math.floor(all.length / width)
    target.tail = all.slice(rows * width)
    if (rows === 0) return
    writeRows(
      this.#gpu,
      matrix,
      firstRow,
      storeRows(all.subarray(0, rows * width), width, this.format, target.spec.name),
    )
  }
}

function concat(a: Float32Array, b: Float32Array): Float32Array {
  const out = new Float32Array(a.length + b.length)
  out.set(a)
  out.set(b, a.length)
  return out
}
