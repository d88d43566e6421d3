/**
 * Addresses of the mirror, taken apart: which model, which revision, which file. Every part is decoded on its own and
 * checked, so that nothing like `..` ever reaches the file system; files are then looked up in a listing, never opened by
 * a path that came from outside.
 */
export interface MirrorRequest {
  kind: 'info' | 'tree' | 'paths-info' | 'resolve'
  repo: string
  revision: string
  /** Of a file or folder in the model; empty for none. */
  path: string
}

const API_WORDS = new Set(['revision', 'tree', 'paths-info'])
/** The hub keeps large files apart from git and has two addresses for it; here a file is a file. */
const FILE_WORDS = new Set(['resolve', 'raw'])

/** `path` starts with `/`. Null when it is no address of the layout. */
export function parseMirrorPath(path: string): MirrorRequest | null {
  const parts = decodeParts(path)
  if (parts === null) return null
  if (parts[0] === 'api') return parts[1] === 'models' ? parseApi(parts.slice(2)) : null
  // A model has one or two names before the word.
  const at = FILE_WORDS.has(parts[1] ?? '') ? 1 : FILE_WORDS.has(parts[2] ?? '') ? 2 : -1
  const [revision, ...file] = parts.slice(at + 1)
  if (at === -1 || revision === undefined || file.length === 0) return null
  return { kind: 'resolve', repo: parts.slice(0, at).join('/'), revision, path: file.join('/') }
}

function parseApi(parts: readonly string[]): MirrorRequest | null {
  const at = parts.findIndex((part, i) => i >= 1 && API_WORDS.has(part))
  const names = at === -1 ? parts : parts.slice(0, at)
  if (names.length < 1 || names.length > 2) return null
  const repo = names.join('/')
  if (at === -1) return { kind: 'info', repo, revision: 'main', path: '' }
  const word = parts[at]
  const revision = parts[at + 1] ?? 'main'
  const rest = parts.slice(at + 2)
  if (word === 'tree') return { kind: 'tree', repo, revision, path: rest.join('/') }
  if (rest.length > 0) return null
  return { kind: word === 'revision' ? 'info' : 'paths-info', repo, revision, path: '' }
}

function decodeParts(path: string): string[] | null {
  const parts: string[] = []
  for (const raw of path.replace(/^\//u, '').replace(/\/$/u, '').split('/')) {
    let part: string
    try {
      part = decodeURIComponent(raw)
    } catch {
      return null // Not valid percent-encoding: no address of ours.
    }
    // A revision or file may hold an encoded slash; each piece of it is checked too.
    for (const piece of part.split('/')) {
      if (piece === '' || piece === '.' || piece === '..' || /[\\\0]/u.test(piece)) return null
      parts.push(piece)
    }
  }
  return parts
}
