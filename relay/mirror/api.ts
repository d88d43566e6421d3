/** JSON answers of the hub's model API for a local snapshot: model info, tree and paths. Shapes only, no I/O. */
import type { Snapshot, SnapshotFile } from './snapshots.ts'

export interface TreeEntry {
  type: 'file' | 'directory'
  oid: string
  size: number
  path: string
  lfs?: { oid: string; size: number; pointerSize: number }
  lastCommit?: { id: string; title: string; date: string }
}

/** Files that the real hub keeps in its large-file storage, whose hash it shows as sha-256. */
const LARGE_BYTES = 10 * 1024 * 1024
/** A directory has no hash of its own here. */
const NO_OID = '0'.repeat(40)

export function isLarge(file: { path: string; size: number }): boolean {
  return file.path.endsWith('.safetensors') || file.size >= LARGE_BYTES
}

export function modelInfo(snapshot: Snapshot, withBlobs: boolean): Record<string, unknown> {
  return {
    _id: snapshot.commit.slice(0, 24),
    id: snapshot.repo,
    modelId: snapshot.repo,
    sha: snapshot.commit,
    lastModified: lastModified(snapshot),
    private: false,
    gated: false,
    disabled: false,
    downloads: 0,
    likes: 0,
    tags: ['safetensors', 'llama'],
    pipeline_tag: 'text-generation',
    library_name: 'transformers',
    siblings: snapshot.files.map((file) =>
      withBlobs
        ? {
            rfilename: file.path,
            size: file.size,
            blobId: file.gitBlob,
            ...(isLarge(file) ? { lfs: lfsOf(file) } : {}),
          }
        : { rfilename: file.path },
    ),
  }
}

/** Entries below `path` (all of them when recursive); null when `path` is no folder of the model. */
export function treeEntries(
  snapshot: Snapshot,
  path: string,
  options: { recursive: boolean; expand: boolean },
): TreeEntry[] | null {
  const prefix = path === '' ? '' : `${path}/`
  const files = snapshot.files.filter((file) => file.path.startsWith(prefix))
  if (files.length === 0 && path !== '') return null
  const entries = new Map<string, TreeEntry>()
  for (const file of files) {
    const folders = file.path.slice(prefix.length).split('/').slice(0, -1)
    const shown = options.recursive ? folders.length : Math.min(1, folders.length)
    for (let depth = 1; depth <= shown; depth += 1) {
      const folder = prefix + folders.slice(0, depth).join('/')
      entries.set(folder, {
        type: 'directory',
        oid: NO_OID,
        size: 0,
        path: folder,
        ...commitOf(snapshot, options.expand),
      })
    }
    if (options.recursive || folders.length === 0) entries.set(file.path, entryOf(snapshot, file, options.expand))
  }
  return [...entries.values()]
}

/** Entries of the paths that exist; others are left out, as the hub does. */
export function pathsInfo(snapshot: Snapshot, paths: readonly string[], expand: boolean): TreeEntry[] {
  return [...new Set(paths)].flatMap((path): TreeEntry[] => {
    const file = snapshot.files.find((candidate) => candidate.path === path)
    if (file !== undefined) return [entryOf(snapshot, file, expand)]
    if (path === '' || !snapshot.files.some((candidate) => candidate.path.startsWith(`${path}/`))) return []
    return [{ type: 'directory', oid: NO_OID, size: 0, path, ...commitOf(snapshot, expand) }]
  })
}

function entryOf(snapshot: Snapshot, file: SnapshotFile, expand: boolean): TreeEntry {
  return {
    type: 'file',
    oid: file.gitBlob,
    size: file.size,
    path: file.path,
    ...(isLarge(file) ? { lfs: lfsOf(file) } : {}),
    ...commitOf(snapshot, expand),
  }
}

function lfsOf(file: SnapshotFile): NonNullable<TreeEntry['lfs']> {
  return { oid: file.sha256, size: file.size, pointerSize: 134 }
}

function commitOf(snapshot: Snapshot, expand: boolean): Pick<TreeEntry, 'lastCommit'> {
  if (!expand) return {}
  return { lastCommit: { id: snapshot.commit, title: 'Files of a local folder', date: lastModified(snapshot) } }
}

function lastModified(snapshot: Snapshot): string {
  return new Date(Math.max(0, ...snapshot.files.map((file) => file.mtimeMs))).toISOString()
}
