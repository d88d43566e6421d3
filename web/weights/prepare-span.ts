/**
 * Finds out which bytes a span needs and which of them are kept already: reads listing, index and the headers of the
 * shards concerned, checks everything that can be checked before a download, and touches no weights. What it returns is
 * both the plan that a person agrees to and the work list of `load-span.ts`.
 */
import type { ModelSource } from '../../hub/source.ts'
import { SwarmError } from '../../swarm/errors.ts'
import { MAX_JSON_FILE_BYTES } from '../../swarm/limits.ts'
import type { LlamaConfig, WeightFormat } from '../../swarm/model/config.ts'
import { locateTensors, shardsOf } from '../../swarm/model/plan-ranges.ts'
import type { TensorRange } from '../../swarm/model/plan-ranges.ts'
import type { SafetensorsHeader } from '../../swarm/model/safetensors.ts'
import { HEADER_LENGTH_BYTES, parseSafetensorsHeader, readHeaderLength } from '../../swarm/model/safetensors.ts'
import { INDEX_FILE, parseSafetensorsIndex, SINGLE_FILE } from '../../swarm/model/safetensors-index.ts'
import type { TensorDtype, TensorSpec } from '../../swarm/model/tensors.ts'
import { BYTES_PER_ELEMENT, MAX_TENSOR_CHUNK_BYTES, spanTensors } from '../../swarm/model/tensors.ts'
import type { Span } from '../../swarm/span.ts'
import { readFully } from './read-fully.ts'
import { headerEntry, rangeEntry, rowsEntry } from './weight-cache.ts'
import type { WeightCache } from './weight-cache.ts'

/** A piece of one tensor: what is fetched, kept, checked and uploaded at once. */
export interface WeightChunk {
  spec: TensorSpec
  dtype: TensorDtype
  file: string
  /** Bytes of the file, `[begin, end)`; whole elements. */
  begin: number
  end: number
  /** Of the first element, within the tensor. */
  elementOffset: number
  /** Name of these bytes in the cache. */
  entry: string
  /** Rows as the format stores them, which are kept in place of the file's bytes; null where those are what is kept. */
  rows: { entry: string; count: number } | null
  /** Likely to be in the cache: the rows, or the file's bytes that they can be made of. */
  kept: 'rows' | 'file' | null
}

export interface PreparedSpan {
  span: Span
  format: WeightFormat
  /** In the order of the files. */
  chunks: WeightChunk[]
  /** Bytes of the span's tensors, as stored. */
  totalBytes: number
  /** Of them, found in the cache, as they are or as rows made of them. */
  cachedBytes: number
  /** Of them, to be downloaded. */
  downloadBytes: number
  /** Most tensors' dtype. */
  dtype: TensorDtype
}

export interface PrepareSpanOptions {
  source: ModelSource
  config: LlamaConfig
  span: Span
  /** What matrices are stored as. */
  format: WeightFormat
  cache: WeightCache | null
  signal?: AbortSignal
}

type ModelOptions = Omit<PrepareSpanOptions, 'span' | 'format' | 'signal'>
type ReadOptions = ModelOptions & Pick<PrepareSpanOptions, 'signal'>

/** @throws SwarmError BAD_SAFETENSORS, UNSUPPORTED_MODEL, HUB_*, CANCELLED */
export async function prepareSpan({ span, format, signal, ...model }: PrepareSpanOptions): Promise<PreparedSpan> {
  return await new SpanCounter(model).count(span, format, signal)
}

/**
 * Counts one span after another of a model: index, headers and the cache's listing are read once each, so that a second count
 * of the same files asks nobody.
 */
export class SpanCounter {
  readonly #options: ModelOptions
  readonly #headers = new Map<string, SafetensorsHeader>()
  #index: ReadonlyMap<string, string> | null | undefined
  #kept: ReadonlySet<string> | undefined

  constructor(options: ModelOptions) {
    this.#options = options
  }

  /** @throws SwarmError as `prepareSpan` does; what was read before the failure is not read again */
  async count(span: Span, format: WeightFormat, signal?: AbortSignal): Promise<PreparedSpan> {
    const { source, config, cache } = this.#options
    const options = { ...this.#options, ...(signal === undefined ? {} : { signal }) }
    const specs = spanTensors(config, span)
    if (this.#index === undefined) this.#index = await readIndex(options)
    const index = this.#index
    for (const file of shardsOf(specs, index)) {
      if (!this.#headers.has(file)) this.#headers.set(file, await readHeader(options, file))
    }
    const ranges = locateTensors(specs, this.#headers, index)
    this.#kept ??= (await cache?.list(source)) ?? new Set<string>()
    const kept = this.#kept
    const chunks = ranges.flatMap((range) => chunksOf(range, format, kept))
    const totalBytes = sumBytes(chunks)
    const cachedBytes = sumBytes(chunks.filter((chunk) => chunk.kept !== null))
    const downloadBytes = totalBytes - cachedBytes
    return { span, format, chunks, totalBytes, cachedBytes, downloadBytes, dtype: mainDtype(ranges) }
  }
}

/** Null for a checkpoint of one file, which wins when both are there, as upstream. */
async function readIndex(options: ReadOptions): Promise<ReadonlyMap<string, string> | null> {
  const { source, cache, signal } = options
  const files = new Set((await source.files(signal)).map((file) => file.path))
  if (files.has(SINGLE_FILE)) return null
  if (!files.has(INDEX_FILE)) {
    throw new SwarmError('UNSUPPORTED_MODEL', `${source.repo} has no weights in safetensors format`, {
      action: `Choose a model with ${SINGLE_FILE} or ${INDEX_FILE}.`,
    })
  }
  const kept = (await cache?.read(source, INDEX_FILE)) ?? null
  if (kept !== null) return parseSafetensorsIndex(new TextDecoder().decode(kept))
  const text = await source.text(INDEX_FILE, MAX_JSON_FILE_BYTES, signal)
  if (text === null) throw new SwarmError('HUB_NOT_FOUND', `${INDEX_FILE} is listed and cannot be read`)
  const index = parseSafetensorsIndex(text)
  await cache?.write(source, INDEX_FILE, new TextEncoder().encode(text))
  return index
}

async function readHeader(options: ReadOptions, file: string): Promise<SafetensorsHeader> {
  const { source, cache, signal } = options
  const size = (await source.files(signal)).find((candidate) => candidate.path === file)?.size
  if (size === undefined) {
    throw new SwarmError('HUB_NOT_FOUND', `${source.repo} names ${file} in its index and does not have it`, {
      action: 'Choose another model or revision: this one is incomplete.',
    })
  }
  const kept = (await cache?.read(source, headerEntry(file))) ?? null
  const bytes = kept ?? (await fetchHeader(source, file, size, signal))
  readHeaderLength(file, bytes, size)
  const header = parseSafetensorsHeader(file, bytes.subarray(HEADER_LENGTH_BYTES), size)
  if (kept === null) await cache?.write(source, headerEntry(file), bytes)
  return header
}

/** Length field and header, in two requests: a guess at the length would fetch weights that nobody asked for. */
async function fetchHeader(
  source: ModelSource,
  file: string,
  fileSize: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const lengthEnd = Math.min(HEADER_LENGTH_BYTES, fileSize)
  const lengthField = new Uint8Array(lengthEnd)
  await readFully(await source.range(file, 0, lengthEnd, signal), lengthField)
  const end = HEADER_LENGTH_BYTES + readHeaderLength(file, lengthField, fileSize)
  const bytes = new Uint8Array(end)
  bytes.set(lengthField)
  await readFully(await source.range(file, lengthEnd, end, signal), bytes.subarray(lengthEnd))
  return bytes
}

/**
 * A matrix is cut between rows in every format, so that pieces kept as they were in the file serve a tab of another format.
 * f32 keeps those: a checkpoint in bf16 or f16 is half as large as its rows in f32, and making them is a copy.
 */
function chunksOf(
  { spec, dtype, file, ...range }: TensorRange,
  format: WeightFormat,
  kept: ReadonlySet<string>,
): WeightChunk[] {
  const chunks: WeightChunk[] = []
  const width = spec.kind === 'matrix' ? (spec.shape[1] as number) : 1
  const rowBytes = width * BYTES_PER_ELEMENT[dtype]
  const most = Math.floor(MAX_TENSOR_CHUNK_BYTES / rowBytes) * rowBytes
  for (let { begin } = range; begin < range.end; begin += most) {
    const end = Math.min(range.end, begin + most)
    const entry = rangeEntry(file, begin, end)
    const rows =
      spec.kind === 'vector' || format === 'f32'
        ? null
        : { entry: rowsEntry(file, begin, end, format), count: (end - begin) / rowBytes }
    const elementOffset = (begin - range.begin) / BYTES_PER_ELEMENT[dtype]
    const found = rows !== null && kept.has(rows.entry) ? 'rows' : kept.has(entry) ? 'file' : null
    chunks.push({ spec, dtype, file, begin, end, elementOffset, entry, rows, kept: found })
  }
  return chunks
}

function sumBytes(chunks: readonly WeightChunk[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.end - chunk.begin, 0)
}

function mainDtype(ranges: readonly TensorRange[]): TensorDtype {
  const bytes = new Map<TensorDtype, number>()
  for (const { dtype, begin, end } of ranges) bytes.set(dtype, (bytes.get(dtype) ?? 0) + end - begin)
  return [...bytes].toSorted((a, b) => b[1] - a[1])[0]?.[0] ?? 'F32'
}
