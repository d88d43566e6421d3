/**
 * Content hashes of model files, in the two forms that the hub shows: sha-256 (large files) and git's blob id (small
 * ones), both from one reading. Kept by path, size and time of change, in memory and in a cache file, so that a large
 * model is read once and a restart is quick.
 */
import { createHash } from 'node:crypto'
import { open, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { ModelFile } from './model-folders.ts'

export interface FileHash {
  sha256: string
  gitBlob: string
}

interface CachedHash extends FileHash {
  size: number
  mtimeMs: number
}

const READ_BYTES = 1024 * 1024
const MAX_CACHE_FILE_BYTES = 32 * 1024 * 1024

export class ContentHashes {
  readonly #cacheFile: string | null
  readonly #known = new Map<string, CachedHash>()
  readonly #underWay = new Map<string, Promise<FileHash>>()
  #loaded: Promise<void> | null = null
  #isDirty = false
  #isClosed = false
  #saving: Promise<void> = Promise.resolve()

  /** Without a cache file hashes are kept in memory only. */
  constructor(cacheFile: string | null) {
    this.#cacheFile = cacheFile
  }

  /** @throws when the file cannot be read, or changes while it is read */
  async of(file: ModelFile, signal?: AbortSignal): Promise<FileHash> {
    this.#loaded ??= this.#load()
    await this.#loaded
    const known = this.#known.get(file.absolute)
    if (known !== undefined && known.size === file.size && known.mtimeMs === file.mtimeMs) return known
    const key = `${file.absolute}\0${file.size}\0${file.mtimeMs}`
    let running = this.#underWay.get(key)
    if (running === undefined) {
      running = hashFile(file, signal).then((hash) => {
        this.#known.set(file.absolute, { ...hash, size: file.size, mtimeMs: file.mtimeMs })
        this.#isDirty = true
        return hash
      })
      this.#underWay.set(key, running)
      const forget = () => this.#underWay.delete(key)
      running.then(forget, forget)
    }
    return running
  }

  /** Writes what was added since. Several relays may share the file: the last one to write wins, nothing is lost but time. */
  save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#write())
    return this.#saving
  }

  /** Nothing is written after this. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#saving
  }

  async #write(): Promise<void> {
    if (this.#cacheFile === null || !this.#isDirty || this.#isClosed) return
    this.#isDirty = false
    const temporary = `${this.#cacheFile}.${process.pid}.tmp`
    try {
      await mkdir(dirname(this.#cacheFile), { recursive: true })
      await writeFile(temporary, JSON.stringify(Object.fromEntries(this.#known)))
      await rename(temporary, this.#cacheFile)
    } catch {
      // A cache that cannot be kept costs the reading of the files at the next start, nothing else.
      await rm(temporary, { force: true })
    }
  }

  async #load(): Promise<void> {
    if (this.#cacheFile === null) return
    const text = await readFile(this.#cacheFile, 'utf8').catch(() => '')
    if (text === '' || text.length > MAX_CACHE_FILE_BYTES) return
    let entries: [string, unknown][]
    try {
      entries = Object.entries(JSON.parse(text) as Record<string, unknown>)
    } catch {
      return // Cut while it was written: as if it were not there.
    }
    for (const [path, value] of entries) if (isCachedHash(value)) this.#known.set(path, value)
  }
}

/**
 * The commit of a model folder: 40 hexadecimal digits of a hash over the paths, sizes and contents, the same on every
 * machine that holds the same files.
 */
export function commitOf(files: readonly { path: string; size: number; sha256: string }[]): string {
  const hash = createHash('sha256').update('tabswarm-model-folder:1\n')
  for (const file of files) hash.update(`${file.path}\0${file.size}\0${file.sha256}\n`)
  return hash.digest('hex').slice(0, 40)
}

async function hashFile(file: ModelFile, signal?: AbortSignal): Promise<FileHash> {
  const sha256 = createHash('sha256')
  const gitBlob = createHash('sha1').update(`blob ${file.size}\0`)
  const handle = await open(file.absolute, 'r')
  try {
    const buffer = Buffer.allocUnsafe(READ_BYTES)
    let length = 0
    for (;;) {
      signal?.throwIfAborted()
      const { bytesRead } = await handle.read(buffer, 0, READ_BYTES, length)
      if (bytesRead === 0) break
      const part = buffer.subarray(0, bytesRead)
      sha256.update(part)
      gitBlob.update(part)
      length += bytesRead
    }
    const now = await handle.stat()
    if (length !== file.size || now.mtimeMs !== file.mtimeMs) throw new Error(`${file.path} changed while it was read`)
  } finally {
    await handle.close()
  }
  return { sha256: sha256.digest('hex'), gitBlob: gitBlob.digest('hex') }
}

function isCachedHash(value: unknown): value is CachedHash {
  if (typeof value !== 'object' || value === null) return false
  const v = value as Record<string, unknown>
  return (
    typeof v['size'] === 'number' &&
    typeof v['mtimeMs'] === 'number' &&
    /^[0-9a-f]{64}$/u.test(String(v['sha256'])) &&
    /^[0-9a-f]{40}$/u.test(String(v['gitBlob']))
  )
}
