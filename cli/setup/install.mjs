/**
 * Packages: whether node_modules is what package-lock.json asks for, and `npm ci` when it is not. The hidden lock file
 * that npm writes into node_modules is compared, so an install that somebody ran by hand counts.
 */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { SetupError } from './messages.mjs'
import { runQuietly } from './run-quietly.mjs'

/** @typedef {{ packages?: Record<string, { version?: string, optional?: boolean, dev?: boolean, devOptional?: boolean, peer?: boolean, link?: boolean }> }} LockFile */

/**
 * Development packages may be missing (`npm ci --omit=dev`) unless `dev` asks for them too.
 * @param {string} root
 * @param {{ dev?: boolean }} [options]
 */
export function isInstalled(root, options = {}) {
  const wanted = readLock(join(root, 'package-lock.json'))
  // A published package has no lock file: its packages are its installer's business.
  if (wanted === null) return true
  const present = readLock(join(root, 'node_modules', '.package-lock.json'))
  if (present === null) return false
  for (const [path, entry] of Object.entries(wanted.packages ?? {})) {
    if (path === '' || entry.optional || entry.peer || entry.link) continue
    if ((entry.dev || entry.devOptional) && !options.dev) continue
    if (present.packages?.[path]?.version !== entry.version) return false
    if (!existsSync(join(root, path))) return false
  }
  return true
}

/**
 * @param {string} path
 * @returns {LockFile | null}
 */
function readLock(path) {
  if (!existsSync(path)) return null
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    // Half-written by an interrupted install: as good as none.
    return null
  }
}

/**
 * @param {string} root
 * @param {(text: string) => void} say
 */
export async function installPackages(root, say) {
  say('Installing packages (the first time this takes a minute) …')
  const started = Date.now()
  const npm = npmCommand()
  const args = [...npm.args, 'ci', '--loglevel=error', '--no-fund', '--no-audit']
  // npm's own variables would make it act on the outer `npm start` instead.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_(?!config_(registry|cache|.*proxy))/i.test(name)),
  )
  const result = await runQuietly(npm.command, args, { cwd: root, env, shell: npm.shell })
  if (!result.ok) {
    process.stderr.write(`${result.output.trimEnd()}\n`)
    throw new SetupError(
      'Installing packages failed (its output is above): check the network and the disk, then start again.',
    )
  }
  say(`Packages installed in ${Math.round((Date.now() - started) / 1000)} s.`)
}

/** npm as it came with this Node: run by this Node where its script is found, by name otherwise. */
function npmCommand() {
  const here = dirname(process.execPath)
  const scripts = [
    process.env['npm_execpath'] ?? '',
    join(here, '..', 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    join(here, 'node_modules', 'npm', 'bin', 'npm-cli.js'),
  ]
  const script = scripts.find((path) => path.endsWith('npm-cli.js') && existsSync(path))
  if (script !== undefined) return { command: process.execPath, args: [script], shell: false }
  return { command: process.platform === 'win32' ? 'npm.cmd' : 'npm', args: [], shell: process.platform === 'win32' }
}
