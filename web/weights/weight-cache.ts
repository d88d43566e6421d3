/**
 * Where pieces of a checkpoint are kept between visits, as they were in the file or as rows of a weight format. Named by content
 * (repository, commit, file, range, format), so that any span that needs the same finds them; which hub or mirror it came from
 * does not matter. A cache is a convenience: reading gives null for whatever is missing, short or damaged, and writing never fails
 * a download.
 */
import type { WeightFormat } from '../../swarm/model/config.ts'

export interface CachedModel {
  repo: string
  /** Commit. */
  revision: string
}

export interface WeightCache {
  /** Names of the entries of this model that are likely to be whole; only `read` is sure. */
  list(model: CachedModel): Promise<ReadonlySet<string>>
  /** The entry, checked against its checksum; null when it is not there, and a damaged one is removed. Caller owns the bytes. */
  read(model: CachedModel, name: string): Promise<Uint8Array<ArrayBuffer> | null>
  /** Keeps a copy. After storage was full once, does nothing. */
  write(model: CachedModel, name: string, bytes: Uint8Array): Promise<void>
  /** Forgets everything of every model. */
  clear(): Promise<void>
}

/** Goes up when `engine/quantize.ts` makes other bytes of the same weights: rows kept before are then not found. */
const ROWS_VERSION = 1

/** `[begin, end)` of a shard, whole rows of a matrix, in a weight format. */
export function rowsEntry(file: string, begin: number, end: number, format: WeightFormat): string {
  return `${rangeEntry(file, begin, end)}.${format}-${ROWS_VERSION}`
}

/** `[begin, end)` of a shard. */
export function rangeEntry(file: string, begin: number, end: number): string {
  return `${file}@${begin}-${end}`
}

/** A shard's header with its length field. */
export function headerEntry(file: string): string {
  return `${file}@header`
}
