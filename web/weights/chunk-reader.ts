/**
 * Delivers a prepared span's chunks in order, each from the cache or from the hub. Neighbouring chunks that are missing come
 * over one request; a chunk that the cache promised and cannot give is fetched by itself.
 */
import type { ModelSource } from '../../hub/source.ts'
import type { PreparedSpan, WeightChunk } from './prepare-span.ts'
import { ByteReader, readFully } from './read-fully.ts'
import type { WeightCache } from './weight-cache.ts'

export interface ReadChunk {
  chunk: WeightChunk
  bytes: Uint8Array
  /** Whether it came over the network, and so is to be kept. */
  fetched: boolean
}

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
  const { chunks } = prepared
  let run: { reader: ByteReader; end: number; file: string } | null = null
  try {
    for (const [i, chunk] of chunks.entries()) {
      const kept = chunk.cached ? ((await cache?.read(source, chunk.entry)) ?? null) : null
      if (kept?.length === chunk.end - chunk.begin) {
        yield { chunk, bytes: kept, fetched: false }
        continue
      }
      const bytes = new Uint8Array(chunk.end - chunk.begin)
      if (chunk.cached) {
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

/** Where the missing chunks that follow without a gap end. */
function endOfRun(chunks: readonly WeightChunk[], from: number): number {
  const first = chunks[from] as WeightChunk
  let { end } = first
  for (const next of chunks.slice(from + 1)) {
    if (next.cached || next.file !== first.file || next.begin !== end) break
    end = next.end
  }
  return end
}
