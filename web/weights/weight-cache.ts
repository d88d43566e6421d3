/**
 * Where downloaded pieces of a checkpoint are kept between visits. Named by content (repository, commit, file, range), so
 * that any span that needs the same bytes finds them; which hub or mirror they came from does not matter. A cache is a
 * convenience: reading gives null for whatever is missing, short or damaged, and writing never fails a download.
 */
export interface CachedModel {
  repo: string
  /** Commit. */
  revision: string
}

export interface WeightCache {
  /** Names of the entries of this model that are likely to be whole; only `read` is sure. */
  list(model: CachedModel): Promise<ReadonlySet<string>>
  /** The entry, checked against its checksum; null when it is not there, and a damaged one is removed. Caller owns the bytes. */
  read(model: CachedModel, name: string): Promise<Uint8Array | null>
  /** Keeps a copy. After storage was full once, does nothing. */
  write(model: CachedModel, name: string, bytes: Uint8Array): Promise<void>
  /** Forgets everything of every model. */
  clear(): Promise<void>
}

/** `[begin, end)` of a shard. */
export function rangeEntry(file: string, begin: number, end: number): string {
  return `${file}@${begin}-${end}`
}

/** A shard's header with its length field. */
export function headerEntry(file: string): string {
  return `${file}@header`
}
