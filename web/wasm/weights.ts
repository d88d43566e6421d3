/**
 * The weights of one span in a WebAssembly memory, filled piece by piece while they are downloaded; the counterpart of
 * `engine/weights.ts`, in the same places (`engine/span-layout.ts`).
 */
import type { LlamaConfig, WeightFormat } from '../../swarm/model/config.ts'
import { paddedWidth, rowBytes, scaleBytes } from '../../swarm/model/span-bytes.ts'
import type { StoredRows, TensorDtype, TensorSink, TensorSpec } from '../../swarm/model/tensors.ts'
import type { Span } from '../../swarm/span.ts'
import { placeSpan, rowsOf, TensorArrivals, type BlockPlaces } from '../engine/span-layout.ts'
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

export type WasmBlockWeights = BlockPlaces<WasmMatrix, number>

export class WasmWeights implements TensorSink {
  readonly config: LlamaConfig
  readonly span: Span
  readonly format: WeightFormat
  readonly memory: WasmMemory
  readonly blocks: readonly WasmBlockWeights[]
  readonly embedding: WasmMatrix | null
  readonly finalNorm: number | null
  readonly head: WasmMatrix | null
  readonly #arrivals: TensorArrivals

  /** Sets the memory aside at once; `isShared`: for threads. @throws SwarmError OUT_OF_MEMORY */
  constructor(config: LlamaConfig, span: Span, format: WeightFormat, isShared = false) {
    this.memory = new WasmMemory(isShared)
    this.config = config
    this.span = span
    this.format = format
    this.#arrivals = new TensorArrivals(span, format)
    const places = placeSpan<WasmMatrix, number>(config, span, {
      matrix: (label, width, specs) => this.#matrix(label, width, specs),
      vector: (label, specs) => this.#vector(label, specs),
    })
    this.blocks = places.blocks
    this.embedding = places.embedding
    this.finalNorm = places.finalNorm
    this.head = places.head
    this.#arrivals.checkComplete(config)
  }

  async put(spec: TensorSpec, dtype: TensorDtype, bytes: Uint8Array, elementOffset: number): Promise<void> {
    this.#arrivals.put(spec, dtype, bytes, elementOffset)
  }

  storeRows(spec: TensorSpec, dtype: TensorDtype, bytes: Uint8Array): StoredRows {
    return this.#arrivals.storeRows(spec, dtype, bytes)
  }

  async putRows(spec: TensorSpec, firstRow: number, rows: StoredRows): Promise<void> {
    this.#arrivals.putRows(spec, firstRow, rows)
  }

  /** @throws SwarmError BAD_SAFETENSORS when a tensor did not arrive in full. */
  finish(): void {
    this.#arrivals.finish()
  }

  /** The memory itself goes when nobody holds it any more. */
  destroy(): void {
    this.#arrivals.clear()
  }

  /** One matrix of the rows of all `specs`, in their order. */
  #matrix(label: string, width: number, specs: readonly TensorSpec[]): WasmMatrix {
    const rows = rowsOf(specs)
    const what = `the weights of ${label}`
    const at = this.memory.take(what, rows * rowBytes(width, this.format))
    const scales = this.memory.take(what, rows * scaleBytes(width, this.format))
    this.#arrivals.expectRows(width, specs, (firstRow, stored) => {
      this.#write(at + firstRow * rowBytes(width, this.format), stored.weights)
      this.#write(scales + firstRow * scaleBytes(width, this.format), stored.scales)
    })
    return { at, scales, rows, groups: paddedWidth(width) / 4 }
  }

  #vector(label: string, specs: readonly TensorSpec[]): number {
    const at = this.memory.takeWords(`the weights of ${label}`, paddedWidth(rowsOf(specs)))
    this.#arrivals.expectElements(specs, (first, values) =>
      this.memory.floats(at + first * 4, values.length).set(values),
    )
    return at
  }

  #write(at: number, bytes: Uint8Array): void {
    this.memory.bytesAt(at, bytes.length).set(bytes)
  }
}
