/**
 * Models on this machine's disk: folders `DIR/<name>/` and `DIR/<org>/<name>/` that hold a `config.json`. A model folder
 * may itself be a link (the operator put it there); a file inside that leads out of its folder is not listed.
 */
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { MAX_BLOCKS, MAX_JSON_FILE_BYTES } from '../../swarm/limits.ts'
import type { RelayLog } from '../log.ts'

export interface ModelFolder {
  /** `name` or `org/name`. */
  repo: string
  /** Resolved path. */
  path: string
}

export interface ModelFile {
  /** Relative to the model folder, with `/`. */
  path: string
  absolute: string
  size: number
  mtimeMs: number
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$/u
/** A folder with more files than this is not a model. */
const MAX_FILES = 20_000
const MAX_DEPTH = 6

/** All models below `dirs`, by repository name; of two with one name the first is taken. */
export async function findModels(dirs: readonly string[], log: RelayLog): Promise<ModelFolder[]> {
  const models = new Map<string, string>()
  for (const dir of dirs) {
    for (const name of await folderNames(dir, log)) {
      if (await isModelFolder(join(dir, name))) addModel(models, name, join(dir, name), log)
      else {
        for (const inner of await folderNames(join(dir, name), log)) {
          const path = join(dir, name, inner)
          if (await isModelFolder(path)) addModel(models, `${name}/${inner}`, path, log)
        }
      }
    }
  }
  const resolved = await Promise.all([...models].map(async ([repo, path]) => ({ repo, path: await realpath(path) })))
  return resolved.toSorted((a, b) => (a.repo < b.repo ? -1 : 1))
}

/** Regular files of a model folder, ordered by path; hidden ones and links that lead out are left out. */
export async function listFiles(folder: ModelFolder): Promise<ModelFile[]> {
  const files: ModelFile[] = []
  const visit = async (dir: string, prefix: string, depth: number): Promise<void> => {
    const entries = await readdir(dir)
    for (const name of entries) {
      if (name.startsWith('.') || files.length >= MAX_FILES) continue
      const absolute = await realpath(join(dir, name)).catch(() => null)
      if (absolute === null || !absolute.startsWith(folder.path + sep)) continue
      const info = await stat(absolute)
      if (info.isDirectory() && depth < MAX_DEPTH) await visit(absolute, `${prefix}${name}/`, depth + 1)
      else if (info.isFile()) files.push({ path: `${prefix}${name}`, absolute, size: info.size, mtimeMs: info.mtimeMs })
    }
  }
  await visit(folder.path, '', 0)
  return files.toSorted((a, b) => (a.path < b.path ? -1 : 1))
}

/** Number of blocks by the model's own config; null when it does not say one that could be served. */
export async function blocksOf(folder: ModelFolder): Promise<number | null> {
  const path = join(folder.path, 'config.json')
  try {
    if ((await stat(path)).size > MAX_JSON_FILE_BYTES) return null
    const config = JSON.parse(await readFile(path, 'utf8')) as { num_hidden_layers?: unknown } | null
    const blocks = config?.num_hidden_layers
    return Number.isInteger(blocks) && (blocks as number) >= 1 && (blocks as number) <= MAX_BLOCKS
      ? (blocks as number)
      : null
  } catch {
    // Not JSON or not readable: such a folder is mirrored but not offered.
    return null
  }
}

function addModel(models: Map<string, string>, repo: string, path: string, log: RelayLog): void {
  if (models.has(repo)) log.warn('a second folder of the same model is ignored', { model: repo, folder: path })
  else models.set(repo, path)
}

async function folderNames(dir: string, log: RelayLog): Promise<string[]> {
  try {
    return (await readdir(dir)).filter((name) => NAME.test(name)).toSorted()
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT') log.warn('models folder does not exist', { folder: dir })
    else if (code !== 'ENOTDIR') log.warn('models folder cannot be read', { folder: dir, code: code ?? 'unknown' })
    return []
  }
}

async function isModelFolder(path: string): Promise<boolean> {
  const info = await stat(join(path, 'config.json')).catch(() => null)
  return info?.isFile() === true
}
