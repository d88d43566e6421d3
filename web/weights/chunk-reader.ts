/**
 * Delivers a prepared span's chunks in order, each from the cache or from the hub. Neighbouring chunks that are missing come
 * over one request; a chunk that the cache promised and cannot give is fetched by itself.
 */
import type { ModelSource } from '../../hub/source.ts'
import type { WeightFormat } from '../../swarm/model/config.ts'
import type { StoredRows } from '../../swarm/model/tensors.ts'
import type { PreparedSpan, WeightChunk } from './prepare-span.ts'
import { ByteReader, readFully } from './read-fully.ts'
import { splitRows } from './rows-entry.ts'
import type { WeightCache } from './weight-cache.ts'

export type ReadChunk = {
  chunk: WeightChunk
} & (
  | { rows: StoredRows }
  /** Of the file. `fetched`: over the network, and so to be kept. */
  | { bytes: Uint8Array; fetched: boolean }
)

export interface ChunkEvents {
  /** Bytes that came over the network. */
  onFetched(count: number): void
  /** A chunk that was to come from the cache is downloaded after all. */
  onCacheMiss(bytes: number): void
}

export async function* readChunks(
  prepared: PreparedSpan,
  source: ModelSource,
  cache: WeightCache | null,
  events: ChunkEvents,
  signal: AbortSignal | undefined,
): AsyncGenerator<ReadChunk> {
  const { chunks, format } = prepared
  let run: { reader: ByteReader; end: number; file: string } | null = null
  try {
    for (const [i, chunk] of chunks.entries()) {
      const kept = await readKept(chunk, format, source, cache)
      if (kept !== null) {
        yield kept
        continue
      }
      const bytes = new Uint8Array(chunk.end - chunk.begin)
      if (chunk.kept !== null) {
        events.onCacheMiss(bytes.length)
        await readFully(await source.range(chunk.file, chunk.begin, chunk.end, signal), bytes)
        events.onFetched(bytes.length)
      } else {
        if (run === null || run.file !== chunk.file || run.end <= chunk.begin) {
          await run?.reader.cancel()
          const end = endOfRun(chunks, i)
          run = {
            reader: new ByteReader(await source.range(chunk.file, chunk.begin, end, signal)),
            end,
            file: chunk.file,
          }
        }
        await run.reader.fill(bytes, (count) => events.onFetched(count))
      }
      yield { chunk, bytes, fetched: true }
    }
  } finally {
    await run?.reader.cancel()
  }
}

/** The rows, or the bytes to make them of; null when neither is there whole. */
async function readKept(
  chunk: WeightChunk,
  format: WeightFormat,
  source: ModelSource,
  cache: WeightCache | null,
): Promise<ReadChunk | null> {
  if (cache === null || chunk.kept === null) return null
  if (chunk.rows !== null && chunk.kept === 'rows') {
    const stored = await cache.read(source, chunk.rows.entry)
    const rows = stored === null ? null : splitRows(stored, chunk.rows.count, chunk.spec, format)
    if (rows !== null) return { chunk, rows }
  }
  const bytes = await cache.read(source, chunk.entry)
  return bytes?.length === chunk.end - chunk.begin ? { chunk, bytes, fetched: false } : null
}

/** Where the missing chunks that follow without a gap end. */
function endOfRun(chunks: readonly WeightChunk[], from: number): number {
  const first = chunks[from] as WeightChunk
  let { end } = first
  for (const next of chunks.slice(from + 1)) {
    if (next.kept !== null || next.file !== first.file || next.begin !== end) break
    end = next.end
  }
  return end
}
