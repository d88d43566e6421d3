/**
 * What is kept of each model, and deleting it. A tab that loads or serves a model holds its folder by a shared Web Lock; whoever
 * deletes takes the same lock alone, so that nothing is taken from under a tab of this origin.
 */
import { describeError } from '../../swarm/errors.ts'
import { folderName, modelOfFolder, WEIGHTS_FOLDER } from './model-folder.ts'
import type { CachedModel } from './weight-cache.ts'

export interface KeptModel extends CachedModel {
  bytes: number
  /** A tab of this origin loads or serves it. */
  inUse: boolean
}

export type Deletion =
  | { outcome: 'deleted'; freedBytes: number }
  | { outcome: 'in-use' }
  /** Some files could not be deleted; `reason` is the browser's for the first of them. */
  | { outcome: 'partly'; freedBytes: number; leftBytes: number; reason: string }

export interface KeptWeightsOptions {
  /** The origin private file system. */
  root: () => Promise<FileSystemDirectoryHandle>
  locks: Pick<LockManager, 'request' | 'query'>
}

const LOCK_PREFIX = 'tabswarm-weights-'

export class KeptWeights {
  readonly #options: KeptWeightsOptions

  constructor(options: KeptWeightsOptions) {
    this.#options = options
  }

  /** Largest first. @throws DOMException where the browser keeps no files for this page */
  async list(): Promise<KeptModel[]> {
    const all = await this.#folder()
    if (all === null) return []
    const { held = [] } = await this.#options.locks.query()
    const locked = new Set(held.map((lock) => lock.name))
    const models: KeptModel[] = []
    for await (const name of all.keys()) {
      const folder = await unlessMissing(all.getDirectoryHandle(name))
      if (folder === null) continue
      const files = await filesIn(folder)
      const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
      models.push({ ...modelOfFolder(name), bytes, inUse: locked.has(LOCK_PREFIX + name) })
    }
    return models.toSorted((a, b) => b.bytes - a.bytes)
  }

  /** Says that this tab uses the model's files, until the returned function has resolved or the page ends. */
  async hold(model: CachedModel, signal: AbortSignal): Promise<() => Promise<void>> {
    const { locks } = this.#options
    let over: Promise<void> = Promise.resolve()
    const release = await new Promise<() => void>((resolve, reject) => {
      over = locks.request(
        LOCK_PREFIX + folderName(model),
        { mode: 'shared', signal },
        async () => await new Promise<void>((letGo) => resolve(letGo)),
      )
      over.catch(reject)
    })
    return async () => {
      release()
      await over
    }
  }

  /** What could not be deleted is said. @throws DOMException where the browser keeps no files for this page */
  async delete(model: CachedModel): Promise<Deletion> {
    const name = folderName(model)
    return await this.#options.locks.request(
      LOCK_PREFIX + name,
      { ifAvailable: true },
      async (lock): Promise<Deletion> => (lock === null ? { outcome: 'in-use' } : await this.#deleteFolder(name)),
    )
  }

  /** File by file, so that one that is stuck does not keep the others. */
  async #deleteFolder(name: string): Promise<Deletion> {
    const all = await this.#folder()
    const folder = all === null ? null : await unlessMissing(all.getDirectoryHandle(name))
    if (all === null || folder === null) return { outcome: 'deleted', freedBytes: 0 }
    let freedBytes = 0
    let leftBytes = 0
    let reason: string | null = null
    for (const file of await filesIn(folder)) {
      try {
        await unlessMissing(folder.removeEntry(file.name))
        freedBytes += file.bytes
      } catch (error) {
        leftBytes += file.bytes
        reason ??= describeError(error)
      }
    }
    if (reason !== null) return { outcome: 'partly', freedBytes, leftBytes, reason }
    try {
      await unlessMissing(all.removeEntry(name, { recursive: true }))
      return { outcome: 'deleted', freedBytes }
    } catch (error) {
      return { outcome: 'partly', freedBytes, leftBytes, reason: describeError(error) }
    }
  }

  async #folder(): Promise<FileSystemDirectoryHandle | null> {
    return await unlessMissing((await this.#options.root()).getDirectoryHandle(WEIGHTS_FOLDER))
  }
}

async function filesIn(folder: FileSystemDirectoryHandle): Promise<{ name: string; bytes: number }[]> {
  const files: { name: string; bytes: number }[] = []
  for await (const name of folder.keys()) {
    const handle = await unlessMissing(folder.getFileHandle(name))
    const file = handle === null ? null : await unlessMissing(handle.getFile())
    if (file !== null) files.push({ name, bytes: file.size })
  }
  return files
}

/** Another tab may delete between the listing and the look. */
async function unlessMissing<T>(found: Promise<T>): Promise<T | null> {
  try {
    return await found
  } catch (error) {
    if ((error as { name?: unknown } | null)?.name === 'NotFoundError') return null
    throw error
  }
}
