/**
 * The weights of one span on the GPU, filled piece by piece while they are downloaded, in the places that `span-layout.ts` names: a
 * dispatch for each matrix. Knows nothing of files or sessions.
 */
import type { LlamaConfig, WeightFormat } from '../../swarm/model/config.ts'
import { paddedWidth } from '../../swarm/model/span-bytes.ts'
import type { StoredRows, TensorDtype, TensorSink, TensorSpec } from '../../swarm/model/tensors.ts'
import type { Span } from '../../swarm/span.ts'
import { formatSpan } from '../../swarm/span.ts'
import { allocating, storageBuffer } from '../gpu/buffers.ts'
import type { Gpu } from '../gpu/device.ts'
import type { Matrix } from '../gpu/kernels/matrix.ts'
import { createMatrix, destroyMatrix, writeRows } from '../gpu/kernels/matrix.ts'
import { placeSpan, rowsOf, TensorArrivals, type BlockPlaces } from './span-layout.ts'

export type BlockWeights = BlockPlaces<Matrix, GPUBuffer>

/** Bytes handed to the queue before the next piece waits for the GPU: bounds the copies that the browser holds. */
const MAX_UPLOADS_IN_FLIGHT_BYTES = 64 * 1024 * 1024

export class SpanWeights implements TensorSink {
  readonly config: LlamaConfig
  readonly span: Span
  readonly format: WeightFormat
  readonly blocks: readonly BlockWeights[]
  readonly embedding: Matrix | null
  readonly finalNorm: GPUBuffer | null
  readonly head: Matrix | null
  readonly #gpu: Gpu
  readonly #arrivals: TensorArrivals
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
    this.#arrivals = new TensorArrivals(span, format)
    try {
      const places = placeSpan<Matrix, GPUBuffer>(config, span, {
        matrix: (label, width, specs) => this.#matrix(label, width, specs),
        vector: (label, specs) => this.#vector(label, specs),
      })
      this.blocks = places.blocks
      this.embedding = places.embedding
      this.finalNorm = places.finalNorm
      this.head = places.head
    } catch (error) {
      this.destroy()
      throw error
    }
    this.#arrivals.checkComplete(config)
  }

  async put(spec: TensorSpec, dtype: TensorDtype, bytes: Uint8Array, elementOffset: number): Promise<void> {
    await this.#allocated
    this.#arrivals.put(spec, dtype, bytes, elementOffset)
    await this.#uploaded(bytes.byteLength)
  }

  storeRows(spec: TensorSpec, dtype: TensorDtype, bytes: Uint8Array): StoredRows {
    return this.#arrivals.storeRows(spec, dtype, bytes)
  }

  async putRows(spec: TensorSpec, firstRow: number, rows: StoredRows): Promise<void> {
    await this.#allocated
    this.#arrivals.putRows(spec, firstRow, rows)
    await this.#uploaded(rows.weights.byteLength + rows.scales.byteLength)
  }

  async #uploaded(bytes: number): Promise<void> {
    this.#inFlightBytes += bytes
    if (this.#inFlightBytes >= MAX_UPLOADS_IN_FLIGHT_BYTES) {
      this.#inFlightBytes = 0
      await this.#gpu.device.queue.onSubmittedWorkDone()
    }
  }

  /** @throws SwarmError BAD_SAFETENSORS when a tensor did not arrive in full. */
  finish(): void {
    this.#arrivals.finish()
  }

  destroy(): void {
    for (const matrix of this.#matrices) destroyMatrix(matrix)
    for (const vector of this.#vectors) vector.destroy()
  }

  /** One matrix of the rows of all `specs`, in their order. */
  #matrix(label: string, width: number, specs: readonly TensorSpec[]): Matrix {
    const matrix = createMatrix(this.#gpu, label, rowsOf(specs), width, this.format)
    this.#matrices.push(matrix)
    this.#arrivals.expectRows(width, specs, (firstRow, rows) => writeRows(this.#gpu, matrix, firstRow, rows))
    return matrix
  }

  #vector(label: string, specs: readonly TensorSpec[]): GPUBuffer {
    const vector = storageBuffer(this.#gpu, label, paddedWidth(rowsOf(specs)) * 4)
    this.#vectors.push(vector)
    this.#arrivals.expectElements(specs, (first, values) =>
      this.#gpu.device.queue.writeBuffer(vector, first * 4, values.buffer as ArrayBuffer, 0, values.byteLength),
    )
    return vector
  }
}
