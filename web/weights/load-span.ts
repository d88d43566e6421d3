/**
 * Loads a span's weights into a sink, chunk by chunk, so that no more than a few chunks are in memory: file → check → rows of the
 * sink's format → cache → sink, or rows from the cache → sink. The next chunk is fetched while the one before is uploaded. When it fails, what was fetched is in the cache and
 * the next attempt goes on from there; the sink's content is then incomplete and its owner throws it away.
 */
import type { ModelSource } from '../../hub/source.ts'
import { assert, SwarmError } from '../../swarm/errors.ts'
import type { LlamaConfig } from '../../swarm/model/config.ts'
import type { TensorSink } from '../../swarm/model/tensors.ts'
import type { Span } from '../../swarm/span.ts'
import type { ReadChunk } from './chunk-reader.ts'
import { readChunks } from './chunk-reader.ts'
import { prepareSpan } from './prepare-span.ts'
import type { PreparedSpan, WeightChunk } from './prepare-span.ts'
import type { SpanProgress } from './progress.ts'
import { ProgressTracker } from './progress.ts'
import { joinRows } from './rows-entry.ts'
import { countNotFinite } from './scan.ts'
import type { WeightCache } from './weight-cache.ts'

export interface LoadSpanOptions {
  source: ModelSource
  config: LlamaConfig
  span: Span
  sink: TensorSink
  /** Null: nothing is kept. */
  cache: WeightCache | null
  onProgress: (progress: SpanProgress) => void
  /** Told of weights that are not finite. */
  onWarning?: (text: string) => void
  /** From `prepareSpan` for the same span and format, if it was asked already. */
  prepared?: PreparedSpan
  signal?: AbortSignal
}

export interface LoadResult {
  totalBytes: number
  /** Bytes of tensors, as in the file, that came over the network and from the cache. */
  fetchedBytes: number
  cachedBytes: number
  /** Rows that were made for the sink's format; what the cache had of them was not. */
  convertedRows: number
  /** Tensors with infinities or NaN in them, with how many. */
  notFinite: { tensor: string; count: number }[]
}

/** @throws SwarmError BAD_SAFETENSORS, UNSUPPORTED_MODEL, HUB_*, CANCELLED, and whatever the sink throws */
export async function loadSpan(options: LoadSpanOptions): Promise<LoadResult> {
  const { source, cache, sink, signal } = options
  const prepared =
    options.prepared ??
    (await prepareSpan({
      source,
      config: options.config,
      span: options.span,
      format: sink.format,
      cache,
      ...(signal === undefined ? {} : { signal }),
    }))
  assert(prepared.format === sink.format, `prepared for ${prepared.format}, loaded as ${sink.format}`)
  const progress = new ProgressTracker(prepared.totalBytes, prepared.cachedBytes, options.onProgress)
  const notFinite = new Map<string, number>()
  let fetchedBytes = 0
  let convertedRows = 0
  const events = {
    onFetched: (count: number): void => {
      fetchedBytes += count
      progress.add('download', count)
    },
    onCacheMiss: (bytes: number): void => progress.miss(bytes),
  }
  // Its own, so that a failing sink ends the download that runs ahead of it.
  const aborter = new AbortController()
  const abort = (): void => aborter.abort(signal?.reason)
  if (signal?.aborted === true) abort()
  signal?.addEventListener('abort', abort, { once: true })
  const chunks = readChunks(prepared, source, cache, events, aborter.signal)
  try {
    let next = nextOf(chunks)
    for (;;) {
      const { value, done } = await settled(next)
      if (done === true) break
      // Asked for before this one is checked and uploaded: network and GPU work at the same time.
      next = nextOf(chunks)
      const { chunk } = value
      const size = chunk.end - chunk.begin
      if (!('rows' in value)) check(chunk, value.bytes, notFinite)
      progress.add('verify', size)
      // Kept before the sink has it: a sink that changed the bytes would otherwise be kept with a right checksum.
      if ('rows' in value) {
        await sink.putRows(chunk.spec, firstRow(chunk), value.rows)
      } else if (chunk.rows !== null) {
        const rows = sink.storeRows(chunk.spec, chunk.dtype, value.bytes)
        convertedRows += chunk.rows.count
        await cache?.write(source, chunk.rows.entry, joinRows(rows))
        await sink.putRows(chunk.spec, firstRow(chunk), rows)
      } else {
        if (value.fetched) await cache?.write(source, chunk.entry, value.bytes)
        await sink.put(chunk.spec, chunk.dtype, value.bytes, chunk.elementOffset)
      }
      progress.add('upload', size)
    }
  } finally {
    signal?.removeEventListener('abort', abort)
    aborter.abort()
    await chunks.return(undefined)
  }
  for (const [tensor, count] of notFinite) {
    options.onWarning?.(`${tensor} has ${count} values that are not finite; answers may be nonsense`)
  }
  return {
    totalBytes: prepared.totalBytes,
    fetchedBytes,
    cachedBytes: prepared.totalBytes - fetchedBytes,
    convertedRows,
    notFinite: [...notFinite].map(([tensor, count]) => ({ tensor, count })),
  }
}

interface Settled {
  result?: IteratorResult<ReadChunk>
  error?: unknown
}

/** A read ahead may fail while the chunk before it is still being uploaded: its failure is kept until it is its turn. */
async function nextOf(chunks: AsyncGenerator<ReadChunk>): Promise<Settled> {
  try {
    return { result: await chunks.next() }
  } catch (error) {
    return { error }
  }
}

async function settled(next: Promise<Settled>): Promise<IteratorResult<ReadChunk>> {
  const { result, error } = await next
  if (result === undefined) throw error
  return result
}

function firstRow({ spec, elementOffset }: WeightChunk): number {
  return elementOffset / (spec.shape[1] as number)
}

function check(chunk: WeightChunk, bytes: Uint8Array, notFinite: Map<string, number>): void {
  const count = countNotFinite(chunk.dtype, bytes)
  if (count === 0) return
  const { name } = chunk.spec
  if (name.endsWith('norm.weight')) {
    throw new SwarmError(
      'BAD_SAFETENSORS',
      `${chunk.file}: ${name} has ${count} values that are not finite (rule 14)`,
      {
        details: { file: chunk.file, rule: 14 },
        action: 'Choose another model or revision: this file is damaged.',
      },
    )
  }
  notFinite.set(name, (notFinite.get(name) ?? 0) + count)
}
