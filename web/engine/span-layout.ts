/**
 * What the weights of a span are, wherever they are kept: which tensors share a matrix or a vector, and how pieces of tensors, as they
 * arrive, become whole rows. `engine/weights.ts` keeps them on the GPU, `wasm/weights.ts` in a WebAssembly memory.
 */
import { assert, SwarmError } from '../../swarm/errors.ts'
import type { LlamaConfig, WeightFormat } from '../../swarm/model/config.ts'
import { rowBytes } from '../../swarm/model/span-bytes.ts'
import type { StoredRows, TensorDtype, TensorSpec } from '../../swarm/model/tensors.ts'
import { EMBEDDING_NAME, spanTensors, tensorElements } from '../../swarm/model/tensors.ts'
import type { Span } from '../../swarm/span.ts'
import { formatSpan } from '../../swarm/span.ts'
import { toF32 } from './convert.ts'
import { storeRows } from './quantize.ts'

/** `M`: where a matrix is; `V`: where a vector is. */
export interface BlockPlaces<M, V> {
  /** `[hiddenSize]`. */
  attentionNorm: V
  /** Rows of q, then k, then v: `[(heads + 2 kvHeads) * headDim, hiddenSize]`. */
  qkv: M
  /** Null without; this and the other biases are of their matrix's rows. */
  qkvBias: V | null
  /** `[hiddenSize, heads * headDim]`. */
  output: M
  outputBias: V | null
  mlpNorm: V
  /** Rows of gate, then up: `[2 * intermediateSize, hiddenSize]`. */
  gateUp: M
  gateUpBias: V | null
  /** `[hiddenSize, intermediateSize]`. */
  down: M
  downBias: V | null
}

export interface SpanPlaces<M, V> {
  /** In order of the span. */
  blocks: BlockPlaces<M, V>[]
  /** The table `[vocabSize, hiddenSize]` when the span starts at block 0. */
  embedding: M | null
  finalNorm: V | null
  /** `[vocabSize, hiddenSize]` when the span ends at the last block; of a tied model the embedding table. */
  head: M | null
}

/** Makes room for tensors of one matrix, row after row, or of one vector, element after element, in their order. */
export interface PlaceMaker<M, V> {
  matrix(label: string, width: number, specs: readonly TensorSpec[]): M
  vector(label: string, specs: readonly TensorSpec[]): V
}

/** @throws whatever `make` throws */
export function placeSpan<M, V>(config: LlamaConfig, span: Span, make: PlaceMaker<M, V>): SpanPlaces<M, V> {
  const specs = new Map(spanTensors(config, span).map((spec) => [spec.name, spec]))
  const table = (name: string): M | null => {
    const spec = specs.get(name)
    return spec === undefined ? null : make.matrix(name, config.hiddenSize, [spec])
  }
  const embedding = table(EMBEDDING_NAME)
  const blocks: BlockPlaces<M, V>[] = []
  for (let block = span.start; block < span.end; block += 1) blocks.push(placeBlock(config, block, specs, make))
  const norm = specs.get('model.norm.weight')
  const finalNorm = norm === undefined ? null : make.vector(norm.name, [norm])
  const last = span.end === config.numHiddenLayers
  const head = last ? (config.tieWordEmbeddings ? embedding : table('lm_head.weight')) : null
  return { blocks, embedding: span.start === 0 ? embedding : null, finalNorm, head }
}

function placeBlock<M, V>(
  { hiddenSize, intermediateSize, numAttentionHeads, headDim }: LlamaConfig,
  block: number,
  specs: ReadonlyMap<string, TensorSpec>,
  make: PlaceMaker<M, V>,
): BlockPlaces<M, V> {
  const find = (names: readonly string[], suffix: string): TensorSpec[] =>
    names.flatMap((name) => specs.get(`model.layers.${block}.${name}.${suffix}`) ?? [])
  const matrix = (width: number, ...names: string[]): M =>
    make.matrix(`block ${block} ${names.join(' ')}`, width, find(names, 'weight'))
  const bias = (...names: string[]): V | null => {
    const found = find(names, 'bias')
    return found.length === 0 ? null : make.vector(`block ${block} ${names.join(' ')} bias`, found)
  }
  const norm = (name: string): V => make.vector(`block ${block} ${name}`, find([name], 'weight'))
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

/** Rows of all `specs` together. */
export function rowsOf(specs: readonly TensorSpec[]): number {
  return specs.reduce((sum, spec) => sum + (spec.shape[0] as number), 0)
}

/** Writes from row, or element, `first` of the matrix or vector on. */
type Write<T> = (first: number, values: T) => void

interface Target {
  spec: TensorSpec
  /** Elements that are written at once: a row, or one. */
  unit: number
  /** First row in the matrix, or first element in the vector. */
  start: number
  write: Write<Float32Array>
  /** Null for a vector. */
  writeStored: Write<StoredRows> | null
  /** Elements that arrived. */
  done: number
  /** Start of a row whose end has not arrived. */
  tail: Float32Array
}

const NOTHING = new Float32Array(0)

/** Takes the pieces of a span's tensors, each tensor's in order, and writes whole rows. */
export class TensorArrivals {
  readonly #span: Span
  readonly #format: WeightFormat
  readonly #targets = new Map<string, Target>()

  constructor(span: Span, format: WeightFormat) {
    this.#span = span
    this.#format = format
  }

  /** `write` is given whole rows as they are stored, and the first one's number in the matrix of all `specs`. */
  expectRows(width: number, specs: readonly TensorSpec[], write: Write<StoredRows>): void {
    for (const { spec, start } of inOrder(specs)) {
      assert(spec.shape[1] === width, `${spec.name} is ${spec.shape.join(' x ')}, expected width ${width}`)
      this.#targets.set(spec.name, {
        spec,
        unit: width,
        start,
        write: (first, values) => write(first, storeRows(values, width, this.#format, spec.name)),
        writeStored: write,
        done: 0,
        tail: NOTHING,
      })
    }
  }

  /** `write` is given elements and the first one's number in the vector of all `specs`. */
  expectElements(specs: readonly TensorSpec[], write: Write<Float32Array>): void {
    for (const { spec, start } of inOrder(specs)) {
      this.#targets.set(spec.name, { spec, unit: 1, start, write, writeStored: null, done: 0, tail: NOTHING })
    }
  }

  /** When everything has been made: no tensor of the span is without a place. */
  checkComplete(config: LlamaConfig): void {
    const count = spanTensors(config, this.#span).length
    assert(this.#targets.size === count, `${count} tensors, ${this.#targets.size} have a place`)
  }

  put(spec: TensorSpec, dtype: TensorDtype, bytes: Uint8Array, elementOffset: number): void {
    const target = this.#target(spec)
    assert(elementOffset === target.done, `${spec.name}: element ${elementOffset} came, ${target.done} is next`)
    const values = toF32(dtype, bytes)
    const { unit, tail } = target
    const all = tail.length === 0 ? values : joined(tail, values)
    const first = target.start + (target.done - tail.length) / unit
    const whole = Math.floor(all.length / unit) * unit
    target.tail = whole === all.length ? NOTHING : all.slice(whole)
    if (whole > 0) target.write(first, all.subarray(0, whole))
    target.done += values.length
  }

  storeRows(spec: TensorSpec, dtype: TensorDtype, bytes: Uint8Array): StoredRows {
    return storeRows(toF32(dtype, bytes), this.#target(spec).unit, this.#format, spec.name)
  }

  putRows(spec: TensorSpec, firstRow: number, rows: StoredRows): void {
    const target = this.#target(spec)
    assert(target.writeStored !== null, `${spec.name} is a vector, rows came`)
    assert(
      target.tail.length === 0 && firstRow * target.unit === target.done,
      `${spec.name}: row ${firstRow} came, element ${target.done} is next`,
    )
    target.writeStored(target.start + firstRow, rows)
    target.done += (rows.weights.length / rowBytes(target.unit, this.#format)) * target.unit
  }

  #target(spec: TensorSpec): Target {
    const target = this.#targets.get(spec.name)
    assert(target !== undefined, `${spec.name} is no tensor of blocks ${formatSpan(this.#span)}`)
    return target
  }

  /** Nothing is expected any more. */
  clear(): void {
    this.#targets.clear()
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
}

function inOrder(specs: readonly TensorSpec[]): { spec: TensorSpec; start: number }[] {
  let next = 0
  return specs.map((spec) => {
    const start = next
    next += spec.shape[0] as number
    return { spec, start }
  })
}

function joined(a: Float32Array, b: Float32Array): Float32Array {
  const out = new Float32Array(a.length + b.length)
  out.set(a)
  out.set(b, a.length)
  return out
}
