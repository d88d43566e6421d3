/**
 * What an installation and a first visit weigh. @libp2p/webrtc pulls react-native in through a peer dependency (779 packages,
 * 531 MB); an `overrides` entry in package.json keeps it out. A benchmark and not a test: sizes move with every update.
 */
import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, it } from 'vitest'

function bytesOf(folder: string): number {
  let bytes = 0
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) bytes += bytesOf(path)
    else if (entry.isFile()) bytes += lstatSync(path).size
  }
  return bytes
}

it('packages and bytes of an installation', () => {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Record<string, object> }
  const names = Object.keys(packages).filter((name) => name !== '')
  console.log(
    `install: ${names.length} packages, ${Math.round(bytesOf('node_modules') / 1e6)} MB in node_modules (with react-native: 779 and 531 MB)`,
  )
  expect(names.filter((name) => /\/(react-native|react|metro)$/u.test(name))).toEqual([])
})

it('bytes of a first visit', () => {
  const page = readFileSync('dist/web/index.html', 'utf8')
  const first = [...page.matchAll(/(?:src|href)="\.\/(assets\/[^"]+\.(?:js|css))"/gu)].map(([, path]) => path ?? '')
  const gzipped = (path: string): number => gzipSync(readFileSync(join('dist/web', path))).length
  const sum = (paths: readonly string[]): number =>
    Math.round(paths.reduce((all, path) => all + gzipped(path), 0) / 1e3)
  const later = readdirSync('dist/web/assets')
    .filter((name) => name.endsWith('.js'))
    .map((name) => `assets/${name}`)
    .filter((path) => !first.includes(path))
  console.log(`page: ${sum(first)} kB gzipped before the first paint, ${sum(later)} kB in all that may come later`)
  expect(first.length).toBeGreaterThan(0)
})
