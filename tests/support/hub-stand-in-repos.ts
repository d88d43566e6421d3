/** Local folders as repositories of the hub stand-in: commits, branches, listings and hashes. */
import { createHash } from 'node:crypto'
import { createReadStream, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

export interface StandInFile {
  path: string
  size: number
  /** Absolute. */
  absolute: string
  /** Large files are "LFS": on the storage host, with a sha-256. */
  large: boolean
}

export class StandInRepo {
  readonly #folders = new Map<string, string>()
  readonly #branches = new Map<string, string>()

  constructor(folder: string) {
    this.moveBranch('main', folder)
  }

  /** Points a branch at the folder as it is now; commits served so far stay. Returns the commit. */
  moveBranch(branch: string, folder: string): string {
    const commit = commitOf(folder)
    this.#folders.set(commit, folder)
    this.#branches.set(branch, commit)
    return commit
  }

  /** As if history had been rewritten: the commit is gone. */
  forget(commit: string): void {
    this.#folders.delete(commit)
  }

  resolve(revision: string): { commit: string; folder: string } | null {
    const commit = this.#branches.get(revision === 'HEAD' ? 'main' : revision) ?? revision
    const folder = this.#folders.get(commit)
    return folder === undefined ? null : { commit, folder }
  }
}

export function listFolder(folder: string): StandInFile[] {
  return readdirSync(folder)
    .toSorted((a, b) => (a < b ? -1 : 1))
    .map((path) => fileIn(folder, path))
    .filter((file) => file !== null)
}

export function fileIn(folder: string, path: string): StandInFile | null {
  if (path.includes('..')) return null
  const absolute = join(folder, path)
  const stat = statSync(absolute, { throwIfNoEntry: false })
  if (stat === undefined || !stat.isFile()) return null
  return { path, size: stat.size, absolute, large: path.endsWith('.safetensors') }
}

const hashes = new Map<string, Promise<string>>()

/** sha-256 in hex, once per file and content. */
export async function sha256Of(file: StandInFile): Promise<string> {
  const key = `${file.absolute} ${file.size} ${statSync(file.absolute).mtimeMs}`
  let hash = hashes.get(key)
  if (hash === undefined) {
    hash = hashStream(file.absolute)
    hashes.set(key, hash)
  }
  return await hash
}

async function hashStream(absolute: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(absolute)) hash.update(chunk as Uint8Array)
  return hash.digest('hex')
}

/** 40 hex digits from names, sizes and the small files' content. */
function commitOf(folder: string): string {
  const hash = createHash('sha1')
  for (const file of listFolder(folder)) {
    hash.update(`${file.path} ${file.size} ${statSync(file.absolute).mtimeMs}\n`)
    if (!file.large) hash.update(readFileSync(file.absolute))
  }
  return hash.digest('hex')
}
