/**
 * Builds: the page (dist/web) and the command line with the relay (dist/node). Each goes to a folder of its own first
 * and takes the old one's place by rename; files of the build before stay one generation longer, so that a `start`
 * that is running keeps finding the chunks it was loaded with. `node cli/setup/build.mjs` builds in any case.
 */
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SetupError, say as sayAloud } from './messages.mjs'
import { runQuietly } from './run-quietly.mjs'

const SOURCE_FOLDERS = ['cli', 'hub', 'net', 'relay', 'session', 'shaders', 'swarm', 'wasm', 'web']
const SOURCE_FILES = ['package.json', 'package-lock.json', 'vite.config.ts', 'tsconfig.json']
const STAMP = '.build.json'
const TARGETS = /** @type {const} */ ([
  { name: 'web', args: [] },
  { name: 'node', args: ['--ssr', '--mode', 'node'] },
])

/** @param {string} root */
export function isBuilt(root) {
  // A published package carries its builds and no sources.
  if (!existsSync(join(root, 'vite.config.ts'))) return true
  const print = fingerprint(root)
  return TARGETS.every(({ name }) => readStamp(root, name)?.fingerprint === print)
}

/**
 * @param {string} root
 * @param {(text: string) => void} say
 * @param {{ force?: boolean }} [options]
 */
export async function build(root, say, options = {}) {
  const print = fingerprint(root)
  say('Building …')
  const started = Date.now()
  for (const target of TARGETS) {
    if (!options.force && readStamp(root, target.name)?.fingerprint === print) continue
    await buildTarget(root, target, print)
  }
  say(`Built in ${((Date.now() - started) / 1000).toFixed(1)} s.`)
}

/**
 * @param {string} root
 * @param {(typeof TARGETS)[number]} target
 * @param {string} print
 */
async function buildTarget(root, target, print) {
  const out = join(root, 'dist', target.name)
  const draft = `${out}.draft-${process.pid}`
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js')
  const args = [vite, 'build', ...target.args, '--outDir', draft, '--emptyOutDir', '--logLevel', 'warn']
  // A NODE_ENV of the caller (a test runner's, for example) would make a development build.
  const env = { ...process.env, NODE_ENV: 'production' }
  process.once('exit', () => rmSync(draft, { recursive: true, force: true }))
  const result = await runQuietly(process.execPath, args, { cwd: root, env })
  if (!result.ok) {
    process.stderr.write(`${result.output.trimEnd()}\n`)
    throw new SetupError(`Building ${target.name} failed (its output is above): mend the sources, then start again.`)
  }
  const files = listFiles(draft).map((path) => relative(draft, path))
  keepPreviousGeneration(root, target.name, draft, files)
  writeFileSync(join(draft, STAMP), JSON.stringify({ fingerprint: print, files }))
  replaceFolder(draft, out)
}

/**
 * Hashed chunks only: names that stay the same belong to the new build.
 * @param {string} root
 * @param {string} name
 * @param {string} draft
 * @param {string[]} files
 */
function keepPreviousGeneration(root, name, draft, files) {
  const out = join(root, 'dist', name)
  for (const file of readStamp(root, name)?.files ?? []) {
    const from = join(out, file)
    if (files.includes(file) || !existsSync(from)) continue
    mkdirSync(dirname(join(draft, file)), { recursive: true })
    copyFileSync(from, join(draft, file))
  }
}

/**
 * @param {string} draft
 * @param {string} out
 */
function replaceFolder(draft, out) {
  const old = `${out}.old-${process.pid}`
  if (existsSync(out)) renameSync(out, old)
  renameSync(draft, out)
  rmSync(old, { recursive: true, force: true })
}

/**
 * @param {string} root
 * @param {string} name
 * @returns {{ fingerprint: string, files: string[] } | null}
 */
function readStamp(root, name) {
  const path = join(root, 'dist', name, STAMP)
  if (!existsSync(path)) return null
  return JSON.parse(readFileSync(path, 'utf8'))
}

/**
 * Name, size and time of every source: one stat a file, some milliseconds, at every start.
 * @param {string} root
 */
function fingerprint(root) {
  const hash = createHash('sha256')
  const files = [
    ...SOURCE_FILES.map((name) => join(root, name)).filter((path) => existsSync(path)),
    ...SOURCE_FOLDERS.map((name) => join(root, name))
      .filter((path) => existsSync(path))
      .flatMap(listFiles),
  ]
  for (const path of files) {
    const { size, mtimeMs } = statSync(path)
    hash.update(`${relative(root, path)}:${size}:${Math.round(mtimeMs)}\n`)
  }
  return hash.digest('hex')
}

/**
 * @param {string} folder
 * @returns {string[]}
 */
function listFiles(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) return listFiles(path)
      return entry.isFile() ? [path] : []
    })
}

if (process.argv[1] !== undefined && fileURLToPath(import.meta.url) === process.argv[1]) {
  const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
  build(root, sayAloud, { force: true }).catch((error) => {
    process.stderr.write(`${error.sentence ?? error.stack}\n`)
    process.exitCode = 1
  })
}
