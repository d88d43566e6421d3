/**
 * A file lock that its owner's death frees: the file names the owner by pid and start time, so a pid that was given to
 * another process later does not keep it. Used for setup (one install at a time) and for profile slots. No dependency.
 */
import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * @typedef {{ pid: number, startTime: string }} Owner
 * @typedef {{ release: () => void }} Lock
 */

/**
 * Takes the lock, or says who has it.
 * @param {string} path
 * @returns {{ lock: Lock } | { owner: Owner }}
 */
export function tryLock(path) {
  mkdirSync(dirname(path), { recursive: true })
  const mine = JSON.stringify({ pid: process.pid, startTime: startTimeOf(process.pid) })
  // A few rounds: each ends with our lock, a living owner, or one dead owner's file removed.
  for (let round = 0; round < 10; round += 1) {
    if (createWhole(path, mine)) return { lock: { release: () => releaseOwn(path, mine) } }
    const text = readIfThere(path)
    if (text === null) continue
    const owner = parseOwner(text)
    if (owner !== null && isAlive(owner)) return { owner }
    removeStale(path, text)
  }
  throw new Error(`lock ${path} changes hands too quickly`)
}

/**
 * Written under another name first and linked, so that nobody ever reads half a lock.
 * @param {string} path
 * @param {string} text
 */
function createWhole(path, text) {
  const draft = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}`
  writeFileSync(draft, text)
  try {
    linkSync(draft, path)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  } finally {
    rmSync(draft, { force: true })
  }
}

/**
 * Between reading a dead owner's file and removing it somebody else may have taken the lock: what was moved away is
 * looked at, and put back when it is not the dead one.
 * @param {string} path
 * @param {string} text
 */
function removeStale(path, text) {
  const aside = `${path}.stale.${process.pid}.${Math.random().toString(36).slice(2)}`
  try {
    renameSync(path, aside)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return
    throw error
  }
  try {
    if (readIfThere(aside) !== text) linkSync(aside, path)
  } finally {
    rmSync(aside, { force: true })
  }
}

/**
 * @param {string} path
 * @param {string} mine
 */
function releaseOwn(path, mine) {
  if (readIfThere(path) === mine) rmSync(path, { force: true })
}

/** @param {string} path */
function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw error
  }
}

/**
 * @param {string} text
 * @returns {Owner | null}
 */
function parseOwner(text) {
  try {
    const value = JSON.parse(text)
    return Number.isInteger(value.pid) ? { pid: value.pid, startTime: String(value.startTime) } : null
  } catch {
    // Not ours or damaged: treated as nobody's.
    return null
  }
}

/** @param {Owner} owner */
function isAlive(owner) {
  try {
    process.kill(owner.pid, 0)
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false
  }
  const startTime = startTimeOf(owner.pid)
  return startTime === '' || owner.startTime === '' || startTime === owner.startTime
}

/**
 * When a process started, in whatever unit the system has; '' where it cannot be asked.
 * @param {number} pid
 * @returns {string}
 */
export function startTimeOf(pid) {
  try {
    if (process.platform === 'linux') {
      // Field 22, counted after the command name, which may hold spaces and brackets.
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
    }
    if (process.platform === 'darwin') {
      return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim()
    }
  } catch {
    // Gone in between, or no permission: the pid alone decides.
  }
  return ''
}

/** @param {unknown} error */
function codeOf(error) {
  return /** @type {{ code?: string }} */ (error).code
}
