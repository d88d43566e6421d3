/**
 * What a model folder holds at this moment: its files with hashes, and the commit that follows from them. A snapshot is
 * taken on demand and again when a file's size or time has changed; hashes that are known are not taken again.
 */
import type { ModelOffer } from '../../swarm/app-config.ts'
import { describeError } from '../../swarm/errors.ts'
import type { RelayLog } from '../log.ts'
import { commitOf, ContentHashes, type FileHash } from './content-hash.ts'
import { blocksOf, findModels, listFiles, type ModelFile, type ModelFolder } from './model-folders.ts'

export interface SnapshotFile extends ModelFile, FileHash {}

export interface Snapshot {
  repo: string
  commit: string
  files: readonly SnapshotFile[]
}

/** Weights by the names that checkpoints use; other tensors that lie beside them are not part of the model. */
const SHARD = /^model(-\d+-of-\d+)?\.safetensors$/u
/** Listing a folder costs a few milliseconds; a download asks hundreds of times. */
const LISTING_MS = 1_000

export class Snapshots {
  readonly #dirs: readonly string[]
  readonly #hashes: ContentHashes
  readonly #log: RelayLog
  readonly #stop = new AbortController()
  #models: { at: number; folders: Promise<ModelFolder[]> } | null = null
  #offered: { at: number; offers: Promise<ModelOffer[]> } | null = null
  readonly #taken = new Map<string, { at: number; snapshot: Promise<Snapshot> }>()

  constructor(dirs: readonly string[], cacheFile: string | null, log: RelayLog) {
    this.#dirs = dirs
    this.#hashes = new ContentHashes(cacheFile)
    this.#log = warningOnce(log)
  }

  async folders(): Promise<ModelFolder[]> {
    const now = Date.now()
    if (this.#models === null || now - this.#models.at > LISTING_MS) {
      this.#models = { at: now, folders: findModels(this.#dirs, this.#log) }
    }
    return this.#models.folders
  }

  /** Models that this relay offers, with the number of blocks; those whose config does not say are left out. */
  async offers(hubUrl: string): Promise<ModelOffer[]> {
    const now = Date.now()
    if (this.#offered === null || now - this.#offered.at > LISTING_MS) {
      this.#offered = { at: now, offers: this.#findOffers(hubUrl) }
    }
    return this.#offered.offers
  }

  /** Null when there is no such model. */
  async snapshot(repo: string): Promise<Snapshot | null> {
    const taken = this.#taken.get(repo)
    if (taken !== undefined && Date.now() - taken.at < LISTING_MS) return taken.snapshot
    const folder = (await this.folders()).find((candidate) => candidate.repo === repo)
    if (folder === undefined) return null
    const snapshot = this.#take(folder)
    const entry = { at: Date.now(), snapshot }
    this.#taken.set(repo, entry)
    // Hashing may have taken a minute: what was found is believed from the time it was known.
    snapshot.then(
      () => (entry.at = Date.now()),
      () => this.#taken.delete(repo),
    )
    return snapshot
  }

  /** A file was not what its snapshot says. */
  forget(repo: string): void {
    this.#taken.delete(repo)
  }

  /** Hashes ahead of the first request. */
  async warm(repo: string): Promise<void> {
    try {
      await this.snapshot(repo)
    } catch (error) {
      if (!this.#stop.signal.aborted)
        this.#log.warn('model could not be hashed', { model: repo, reason: describeError(error) })
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#hashes.close()
  }

  async #findOffers(hubUrl: string): Promise<ModelOffer[]> {
    const offers: ModelOffer[] = []
    for (const folder of await this.folders()) {
      const blocks = await blocksOf(folder)
      if (blocks === null) {
        const model = folder.repo
        this.#log.warn('model is mirrored but not offered: its config.json says no number of blocks', { model })
        continue
      }
      const shards = (await listFiles(folder)).filter((file) => SHARD.test(file.path))
      if (shards.length === 0) {
        this.#log.warn('model is mirrored but not offered: no safetensors weights', { model: folder.repo })
        continue
      }
      const sizeBytes = shards.reduce((sum, file) => sum + file.size, 0)
      offers.push({ repo: folder.repo, revision: 'main', hubUrl, blocks, sizeBytes })
    }
    return offers
  }

  async #take(folder: ModelFolder): Promise<Snapshot> {
    const files: SnapshotFile[] = []
    for (const file of await listFiles(folder)) {
      const { sha256, gitBlob } = await this.#hashes.of(file, this.#stop.signal)
      files.push({ ...file, sha256, gitBlob })
    }
    await this.#hashes.save()
    return { repo: folder.repo, commit: commitOf(files), files }
  }
}

/** Folders are looked at again and again; what is wrong with one is said once. */
function warningOnce(log: RelayLog): RelayLog {
  const said = new Set<string>()
  return {
    ...log,
    warn: (message, fields = {}) => {
      const key = message + JSON.stringify(fields)
      if (!said.has(key)) log.warn(message, fields)
      said.add(key)
    },
  }
}
