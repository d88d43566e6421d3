/**
 * The weights of one span in a WebAssembly memory, filled piece by piece while they are downloaded; the counterpart of
 * `engine/weights.ts`. q, k and v share one matrix, so do gate and up.
 */
import { assert, SwarmError } from '../../swarm/errors.ts'
import type { LlamaConfig, WeightFormat } from '../../swarm/model/config.ts'
import { paddedWidth, rowBytes, scaleBytes } from '../../swarm/model/span-bytes.ts'
import type { TensorDtype, TensorSink, TensorSpec } from '../../swarm/model/tensors.ts'
import { EMBEDDING_NAME, spanTensors, tensorElements } from '../../swarm/model/tensors.ts'
import type { Span } from '../../swarm/span.ts'
import { formatSpan } from '../../swarm/span.ts'
import { toF32 } from '../engine/convert.ts'
import { storeRows } from '../engine/quantize.ts'
import { WasmMemory } from './memory.ts'

export interface WasmMatrix {
  /** `[rows, width]` in the weight format. */
  at: number
  /** Its scales; anything for formats without. */
  scales: number
  rows: number
  /** Groups of four of a padded row. */
  groups: number
}

export interface WasmBlockWeights {
  /** `[hiddenSize]`. */
  attentionNorm: number
  /** Rows of q, then k, then v: `[(heads + 2 kvHeads) * headDim, hiddenSize]`. */
  qkv: WasmMatrix
  /** Null without; this and the other biases are of their matrix's rows. */
  qkvBias: number | null
  /** `[hiddenSize, heads * headDim]`. */
  output: WasmMatrix
  outputBias: number | null
  mlpNorm: number
  /** Rows of gate, then up: `[2 * intermediateSize, hiddenSize]`. */
  gateUp: WasmMatrix
  gateUpBias: number | null
  /** `[hiddenSize, intermediateSize]`. */
  down: WasmMatrix
  downBias: number | null
}

/** Where a tensor goes: rows of a matrix, or elements of a vector. */
interface Target {
  spec: TensorSpec
  matrix: WasmMatrix | null
  /** Of a vector. */
  at: number
  /** First row in the matrix. */
  firstRow: number
  /** Elements that arrived. */
  done: number
  /** Start of a row whose end has not arrived. */
  tail: Float32Array
}

export class WasmWeights implements TensorSink {
  readonly config: LlamaConfig
  readonly span: Span
  readonly format: WeightFormat
  readonly memory = new WasmMemory()
  /** In order of the span. */
  readonly blocks: WasmBlockWeights[] = []
  /** The table `[vocabSize, hiddenSize]` when the span starts at block 0. */
  readonly embedding: WasmMatrix | null
  readonly finalNorm: number | null
  /** `[vocabSize, hiddenSize]` when the span ends at the last block; of a tied model the embedding table. */
  readonly head: WasmMatrix | null
  readonly #targets = new Map<string, Target>()

  /** Sets the memory aside at once. @throws SwarmError OUT_OF_MEMORY */
  constructor(config: LlamaConfig, span: Span, format: WeightFormat) {
    this.config = config
    this.span = span
    this.format = format
    const specs = new Map(spanTensors(config, span).map((spec) => [spec.name, spec]))
    const table = (name: string): WasmMatrix | null => {
      const spec = specs.get(name)
      return spec === undefined ? null : this.#matrix(name, config.hiddenSize, [spec])
    }
    const embedding = table(EMBEDDING_NAME)
    const last = span.end === config.numHiddenLayers
    this.embedding = span.start === 0 ? embedding : null
    for (let block = span.start; block < span.end; block += 1) this.blocks.push(this.#block(block, specs))
    const norm = specs.get('model.norm.weight')
    this.finalNorm = norm === undefined ? null : this.#vector(norm.name, [norm])
    this.head = last ? (config.tieWordEmbeddings ? embedding : table('lm_head.weight')) : null
    assert(this.#targets.size === specs.size, `${specs.size} tensors, ${this.#targets.size} have a place`)
  }

  async put(spec: TensorSpec, dtype: TensorDtype, bytes: Uint8Array, elementOffset: number): Promise<void> {
    const target = this.#targets.get(spec.name)
    assert(target !== undefined, `${spec.name} is no tensor of blocks ${formatSpan(this.span)}`)
    assert(elementOffset === target.done, `${spec.name}: element ${elementOffset} came, ${target.done} is next`)
    const values = toF32(dtype, bytes)
    if (target.matrix === null) this.memory.floats(target.at + target.done * 4, values.length).set(values)
    else this.#putRows(target, target.matrix, values)
    target.done += values.length
  }

  /** @throws SwarmError BAD_SAFETENSORS when a tensor did not arrive in full. */
  finish(): void {
    for (const { spec, done } of this.#targets.values()) {
      const expected = tensorElements(spec)
      if (done !== expected) {
        throw new SwarmError('BAD_SAFETENSORS', `${spec.name} has ${expected} elements, ${done} were loaded`)
      }
    }
  }

  /** Nothing to do: the memory goes when nobody holds it any more. */
  destroy(): void {
    this.#targets.clear()
  }

  /** Writes the rows that are complete with these values and keeps the rest for the next piece. */
  #putRows(target: Target, { at, scales }: WasmMatrix, values: Float32Array): void {
    const width = target.spec.shape[1] as number
    const all = target.tail.length === 0 ? values : joined(target.tail, values)
    const row = target.firstRow + (target.done - target.tail.length) / width
    const rows = Math.floor(all.length / width)
    target.tail = all.slice(rows * width)
    if (rows === 0) return
    const stored = storeRows(all.subarray(0, rows * width), width, this.format, target.spec.name)
    this.#write(at + row * rowBytes(width, this.format), stored.weights)
    this.#write(scales + row * scaleBytes(width, this.format), stored.scales)
  }

  #write(at: number, bytes: Uint8Array): void {
    this.memory.bytesAt(at, bytes.length).set(bytes)
  }

  #block(block: number, specs: ReadonlyMap<string, TensorSpec>): WasmBlockWeights {
    const { hiddenSize, intermediateSize, numAttentionHeads, headDim } = this.config
    const find = (names: readonly string[], suffix: string): TensorSpec[] =>
      names.flatMap((name) => specs.get(`model.layers.${block}.${name}.${suffix}`) ?? [])
    const matrix = (width: number, ...names: string[]): WasmMatrix =>
      this.#matrix(`block ${block} ${names.join(' ')}`, width, find(names, 'weight'))
    const bias = (...names: string[]): number | null => {
      const found = find(names, 'bias')
      return found.length === 0 ? null : this.#vector(`block ${block} ${names.join(' ')} bias`, found)
    }
    const norm = (name: string): number => this.#vector(`block ${block} ${name}`, find([name], 'weight'))
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
  #matrix(label: string, width: number, specs: readonly TensorSpec[]): WasmMatrix {
    const rows = specs.reduce((sum, spec) => sum + (spec.shape[0] as number), 0)
    const what = `the weights of ${label}`
    const at = this.memory.take(what, rows * rowBytes(width, this.format))
    const scales = this.memory.take(what, rows * scaleBytes(width, this.format))
    const matrix = { at, scales, rows, groups: paddedWidth(width) / 4 }
    let firstRow = 0
    for (const spec of specs) {
      assert(spec.shape[1] === width, `${spec.name} is ${spec.shape.join(' x ')}, expected width ${width}`)
      this.#targets.set(spec.name, { spec, matrix, at, firstRow, done: 0, tail: NOTHING })
      firstRow += spec.shape[0] as number
    }
    return matrix
  }

  #vector(label: string, specs: readonly TensorSpec[]): number {
    const size = specs.reduce((sum, spec) => sum + (spec.shape[0] as number), 0)
    const at = this.memory.takeWords(`the weights of ${label}`, paddedWidth(size))
    let start = 0
    for (const spec of specs) {
      this.#targets.set(spec.name, { spec, matrix: null, at: at + start * 4, firstRow: 0, done: 0, tail: NOTHING })
      start += spec.shape[0] as number
    }
    return at
  }
}

const NOTHING = new Float32Array(0)

function joined(a: Float32Array, b: Float32Array): Float32Array {
  const out = new Float32Array(a.length + b.length)
  out.set(a)
  out.set(b, a.length)
  return out
}
