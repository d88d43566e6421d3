/**
 * `WeightCache` in the origin private file system: a folder per model, a file per entry. Several tabs of one origin use it
 * at once: reading is by `getFile()`, which needs no lock, and writing replaces a file as a whole
 * (`createWritable`), so that a tab never sees half an entry of another.
 */
import { describeError, SwarmError } from '../../swarm/errors.ts'
import { entryHead, openEntry } from './cache-entry.ts'
import { folderName, WEIGHTS_FOLDER } from './model-folder.ts'
import type { CachedModel, WeightCache } from './weight-cache.ts'

/** A write of one entry takes milliseconds to a few seconds on a slow disk; in all this waits a second. */
const WRITE_ATTEMPTS = 5
const HELD_WAIT_MS = 100

export interface OpfsCacheOptions {
  /** Told once when storage is full or cannot be used; loading goes on without. */
  onWarning: (warning: SwarmError) => void
  /** The origin private file system; tests hand in their own. */
  root?: () => Promise<FileSystemDirectoryHandle>
}

/** Null where there is no such storage (an insecure page, some private windows); `onWarning` is told why. */
export async function openWeightCache(options: OpfsCacheOptions): Promise<WeightCache | null> {
  try {
    const root = await (options.root ?? (() => navigator.storage.getDirectory()))()
    return new OpfsCache(root, await root.getDirectoryHandle(WEIGHTS_FOLDER, { create: true }), options.onWarning)
  } catch (error) {
    options.onWarning(
      new SwarmError('STORAGE_FULL', `this tab cannot keep downloads (${describeError(error)})`, {
        cause: error,
        action: 'It works without, but downloads again at the next visit. A normal window on https or localhost can.',
      }),
    )
    return null
  }
}

class OpfsCache implements WeightCache {
  readonly #root: FileSystemDirectoryHandle
  readonly #onWarning: (warning: SwarmError) => void
  #folder: FileSystemDirectoryHandle
  #writable = true

  constructor(
    root: FileSystemDirectoryHandle,
    folder: FileSystemDirectoryHandle,
    onWarning: (warning: SwarmError) => void,
  ) {
    this.#root = root
    this.#folder = folder
    this.#onWarning = onWarning
  }

  async list(model: CachedModel): Promise<ReadonlySet<string>> {
    const names = new Set<string>()
    try {
      const folder = await this.#folder.getDirectoryHandle(folderName(model))
      for await (const name of folder.keys()) names.add(name)
    } catch (error) {
      // No folder: nothing kept. A folder that another tab is just removing counts as that too.
      if (!isMissing(error)) this.#warn('cannot read what it kept', error)
    }
    return names
  }

  async read(model: CachedModel, name: string): Promise<Uint8Array<ArrayBuffer> | null> {
    let stored: ArrayBuffer
    try {
      const folder = await this.#folder.getDirectoryHandle(folderName(model))
      const file = await (await folder.getFileHandle(name)).getFile()
      stored = await file.arrayBuffer()
    } catch (error) {
      // Missing, or replaced by another tab between opening and reading: downloaded again either way.
      if (!isMissing(error) && !isUnreadable(error)) this.#warn('cannot read what it kept', error)
      return null
    }
    // Created a moment ago by another tab, which is about to fill it: not damaged, and removing it would stop that tab.
    if (stored.byteLength === 0) return null
    const bytes = await openEntry(stored)
    if (bytes === null) await this.#remove(model, name)
    return bytes
  }

  async write(model: CachedModel, name: string, bytes: Uint8Array): Promise<void> {
    if (!this.#writable) return
    try {
      const head = await entryHead(bytes)
      await this.#replace(model, name, [head, bytes])
    } catch (error) {
      // Another tab writes this entry, or removes a damaged one, for longer than was waited: it is that tab's to keep.
      if (isHeld(error)) return
      this.#writable = false
      const full = (error as { name?: unknown } | null)?.name === 'QuotaExceededError'
      this.#warn(full ? 'has no storage left' : 'cannot keep downloads', error)
      await this.#remove(model, name)
    }
  }

  async clear(): Promise<void> {
    await this.#root.removeEntry(WEIGHTS_FOLDER, { recursive: true })
    this.#folder = await this.#root.getDirectoryHandle(WEIGHTS_FOLDER, { create: true })
    this.#writable = true
  }

  /** Tries again where another tab of this origin holds the entry for the moment or has just removed it. */
  async #replace(model: CachedModel, name: string, parts: readonly Uint8Array[]): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        const folder = await this.#folder.getDirectoryHandle(folderName(model), { create: true })
        await replaceFile(await folder.getFileHandle(name, { create: true }), parts)
        return
      } catch (error) {
        if (attempt === WRITE_ATTEMPTS || !(isHeld(error) || isMissing(error))) throw error
        await new Promise((resolve) => setTimeout(resolve, HELD_WAIT_MS * attempt))
      }
    }
  }

  async #remove(model: CachedModel, name: string): Promise<void> {
    try {
      const folder = await this.#folder.getDirectoryHandle(folderName(model))
      await folder.removeEntry(name)
    } catch {
      // Gone already, or held by another tab: a damaged entry is refused at every reading, so it may also stay.
    }
  }

  #warn(what: string, cause: unknown): void {
    this.#onWarning(
      new SwarmError('STORAGE_FULL', `this tab ${what} (${describeError(cause)}); it goes on without keeping more`, {
        cause,
        action:
          'Free disk space or clear this site’s data; until then, what is not kept is downloaded again next time.',
      }),
    )
  }
}

async function replaceFile(handle: FileSystemFileHandle, parts: readonly Uint8Array[]): Promise<void> {
  if (typeof handle.createWritable !== 'function') {
    await overwriteInPlace(handle, parts)
    return
  }
  const writable = await handle.createWritable()
  try {
    for (const part of parts) await writable.write(part as Uint8Array<ArrayBuffer>)
    await writable.close()
  } catch (error) {
    await writable.abort().catch(() => undefined)
    throw error
  }
}

/** Engines without `createWritable` (Safari before 26) have this in workers; a half-written entry fails its checksum. */
async function overwriteInPlace(handle: FileSystemFileHandle, parts: readonly Uint8Array[]): Promise<void> {
  const access = await (handle as unknown as SyncAccess).createSyncAccessHandle()
  try {
    access.truncate(0)
    let at = 0
    for (const part of parts) at += access.write(part, { at })
    access.flush()
  } finally {
    access.close()
  }
}

/** TypeScript declares it for its worker library only. */
interface SyncAccess {
  createSyncAccessHandle(): Promise<{
    truncate(size: number): void
    write(bytes: Uint8Array, options: { at: number }): number
    flush(): void
    close(): void
  }>
}

function isMissing(error: unknown): boolean {
  return (error as { name?: unknown } | null)?.name === 'NotFoundError'
}

function isUnreadable(error: unknown): boolean {
  const name = (error as { name?: unknown } | null)?.name
  return name === 'NotReadableError' || name === 'InvalidStateError' || isHeld(error)
}

/** What a browser says when another handle locks the file. */
function isHeld(error: unknown): boolean {
  return (error as { name?: unknown } | null)?.name === 'NoModificationAllowedError'
}
