import fc from 'fast-check'
import { expect, it } from 'vitest'
import { isLarge, pathsInfo, treeEntries } from '../../../relay/mirror/api.ts'
import { commitOf } from '../../../relay/mirror/content-hash.ts'
import { parseMirrorPath } from '../../../relay/mirror/paths.ts'
import type { Snapshot } from '../../../relay/mirror/snapshots.ts'

it.each([
  ['/api/models/tiny', 'info', 'tiny', 'main', ''],
  ['/api/models/org/tiny', 'info', 'org/tiny', 'main', ''],
  ['/api/models/org/tiny/revision/v1.0', 'info', 'org/tiny', 'v1.0', ''],
  ['/api/models/tiny/revision/HEAD', 'info', 'tiny', 'HEAD', ''],
  ['/api/models/org/tiny/tree/main', 'tree', 'org/tiny', 'main', ''],
  ['/api/models/tiny/tree/main/sub/folder', 'tree', 'tiny', 'main', 'sub/folder'],
  ['/api/models/tiny/paths-info/main', 'paths-info', 'tiny', 'main', ''],
  ['/tiny/resolve/main/config.json', 'resolve', 'tiny', 'main', 'config.json'],
  ['/tiny/raw/main/model.safetensors', 'resolve', 'tiny', 'main', 'model.safetensors'],
  ['/org/tiny/resolve/abc/a%20b/c.json', 'resolve', 'org/tiny', 'abc', 'a b/c.json'],
])('takes %s apart', (path, kind, repo, revision, file) => {
  expect(parseMirrorPath(path)).toEqual({ kind, repo, revision, path: file })
})

it.each([
  '/',
  '',
  '/tiny',
  '/tiny/raw/main',
  '/tiny/resolve/main',
  '/a/b/c/resolve/main/x',
  '/api/datasets/x',
  '/api/models',
  '/api/models/a/b/c',
  '/api/models/tiny/revision/main/extra',
  '/tiny/resolve/main/../x',
  '/tiny/resolve/main/%2e%2e/x',
  '/tiny/resolve/main/a%2f..%2fb',
  '/tiny/resolve/main/a%5cb',
  '/tiny/resolve/main//x',
  '/tiny/resolve/main/%zz',
])('has no answer for %s', (path) => {
  expect(parseMirrorPath(path)).toBeNull()
})

it('never gives a path with dots, whatever is asked', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('..', '.', '%2e%2e', '%2f', 'a', 'resolve', 'api', 'models', '%5c', ''), {
        maxLength: 9,
      }),
      (parts) => {
        const parsed = parseMirrorPath(`/${parts.join('/')}`)
        if (parsed === null) return
        for (const part of `${parsed.repo}/${parsed.revision}/${parsed.path}`.split('/'))
          expect(['.', '..']).not.toContain(part)
      },
    ),
  )
})

const file = (path: string, size = 10) => ({
  path,
  absolute: `/m/${path}`,
  size,
  mtimeMs: 0,
  sha256: 'a'.repeat(64),
  gitBlob: 'b'.repeat(40),
})
const snapshot: Snapshot = {
  repo: 'tiny',
  commit: 'c'.repeat(40),
  files: [file('config.json'), file('model.safetensors'), file('sub/a.txt'), file('sub/deep/b.txt')],
}

it('lists one level, or everything', () => {
  const list = (path: string, recursive: boolean) =>
    treeEntries(snapshot, path, { recursive, expand: false })?.map((entry) => `${entry.type[0]} ${entry.path}`)
  expect(list('', false)).toEqual(['f config.json', 'f model.safetensors', 'd sub'])
  expect(list('', true)).toEqual([
    'f config.json',
    'f model.safetensors',
    'd sub',
    'f sub/a.txt',
    'd sub/deep',
    'f sub/deep/b.txt',
  ])
  expect(list('sub', false)).toEqual(['f sub/a.txt', 'd sub/deep'])
  expect(list('nothing', false)).toBeUndefined()
})

it('leaves out paths that do not exist', () => {
  expect(pathsInfo(snapshot, ['sub', 'absent', 'config.json', 'config.json'], true).map((entry) => entry.path)).toEqual(
    ['sub', 'config.json'],
  )
  expect(isLarge(file('model.safetensors'))).toBe(true)
  expect(isLarge(file('config.json'))).toBe(false)
  expect(isLarge(file('tokenizer.json', 20e6))).toBe(true)
})

it('makes one commit of the same contents and another of any change', () => {
  const files = [
    { path: 'a', size: 1, sha256: '1'.repeat(64) },
    { path: 'b', size: 2, sha256: '2'.repeat(64) },
  ]
  const commit = commitOf(files)
  expect(commit).toMatch(/^[0-9a-f]{40}$/u)
  expect(commitOf(files.map((f) => ({ ...f })))).toBe(commit)
  const others = [
    [{ path: 'c', size: 1, sha256: '1'.repeat(64) }, files[1]],
    [{ path: 'a', size: 3, sha256: '1'.repeat(64) }, files[1]],
    [{ path: 'a', size: 1, sha256: '3'.repeat(64) }, files[1]],
    [files[0]],
  ] as (typeof files)[]
  expect(new Set(others.map((list) => commitOf(list))).size).toBe(4)
  for (const list of others) expect(commitOf(list)).not.toBe(commit)
})
