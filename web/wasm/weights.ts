/**
 * The weights of one span in a WebAssembly memory, filled piece by piece while they are downloaded; the counterpart of
 * `engine/weights.ts`. q, k and v share one matrix, so do gate and up. Rows are padded with zeros to whole groups of four.
 */
import { assert, SwarmError } from '../../swarm/errors.ts'
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { matrixBytes, paddedWidth, rowBytes } from '../../swarm/model/span-bytes.ts'
import type { TensorDtype, TensorSink, TensorSpec } from '../../swarm/model/tensors.ts'
import { EMBEDDING_NAME, spanTensors, tensorElements } from '../../swarm/model/tensors.ts'
import type { Span } from '../../swarm/span.ts'
import { formatSpan } from '../../swarm/span.ts'
import { f32ToF16, toF32 } from '../engine/convert.ts'
import type { WasmFormat } from './limits.ts'
import { WasmMemory } from './memory.ts'

export interface WasmMatrix {
  /** `[rows, width]` in the weight format. */
  at: number
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

/** Where a tensor's elements go. A vector is one row of f32. */
interface Target {
  spec: TensorSpec
  at: number
  width: number
  rowBytes: number
  format: WasmFormat
  /** Elements that arrived. */
  done: number
}

export class WasmWeights implements TensorSink {
  readonly config: LlamaConfig
  readonly span: Span
  readonly format: WasmFormat
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
  constructor(config: LlamaConfig, span: Span, format: WasmFormat) {
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
    const stored = target.format === 'f32' ? values : f32ToF16(values, spec.name)
    const { width } = target
    // Pieces begin and end anywhere in a row: each part of a row goes to its place.
    for (let from = 0; from < stored.length;) {
      const column = target.done % width
      const count = Math.min(width - column, stored.length - from)
      const row = target.at + Math.floor(target.done / width) * target.rowBytes
      this.#place(stored.subarray(from, from + count), row, column)
      target.done += count
      from += count
    }
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

  #place(part: Float32Array | Uint16Array, row: number, column: number): void {
    const at = row + column * part.BYTES_PER_ELEMENT
    const bytes = new Uint8Array(part.buffer, part.byteOffset, part.byteLength)
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
    const at = this.memory.take(`the weights of ${label}`, matrixBytes(rows, width, this.format))
    const stride = rowBytes(width, this.format)
    let row = 0
    for (const spec of specs) {
      assert(spec.shape[1] === width, `${spec.name} is ${spec.shape.join(' x ')}, expected width ${width}`)
      // Rows without padding lie end to end: one long row, so that a piece is one copy.
      const isDense = stride === rowBytes(1, this.format) * (width / 4)
      const run = isDense ? { width: tensorElements(spec), rowBytes: 0 } : { width, rowBytes: stride }
      this.#targets.set(spec.name, { spec, at: at + row * stride, ...run, format: this.format, done: 0 })
      row += spec.shape[0] as number
    }
    return { at, rows, groups: paddedWidth(width) / 4 }
  }

  #vector(label: string, specs: readonly TensorSpec[]): number {
    const sizes = specs.map((spec) => spec.shape[0] as number)
    const size = sizes.reduce((sum, count) => sum + count, 0)
    const at = this.memory.takeWords(`the weights of ${label}`, paddedWidth(size))
    let start = 0
    for (const [i, spec] of specs.entries()) {
      const width = sizes[i] as number
      const target: Target = { spec, at: at + start * 4, width, rowBytes: width * 4, format: 'f32', done: 0 }
      this.#targets.set(spec.name, target)
      start += width
    }
    return at
  }
}
