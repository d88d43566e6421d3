/**
 * Gets the checkout ready before the program runs: packages as package-lock.json names them, builds as new as the
 * sources. Nothing is written when nothing is needed; progress goes to standard error, because standard output may be
 * an answer that somebody pipes on.
 */
import { join } from 'node:path'
import { build, isBuilt } from './build.mjs'
import { installPackages, isInstalled } from './install.mjs'
import { tryLock } from './lock.mjs'
import { say } from './messages.mjs'

/** How often a waiting start looks whether the other one's setup is done. */
const LOCK_POLL_MS = 300

/**
 * `dev`: packages that only tests need, too.
 * @param {string} root
 * @param {{ dev?: boolean }} [options]
 */
export async function prepare(root, options = {}) {
  // Set by the test runner, which has prepared everything itself, so that children neither check nor build.
  if (process.env['TABSWARM_SETUP'] === 'skip') return
  if (isInstalled(root, options) && isBuilt(root)) return
  const lock = await waitForLock(join(root, '.cache', 'setup.lock'))
  try {
    // Looked at again under the lock: another start may have done it all meanwhile.
    if (!isInstalled(root, options)) await installPackages(root, say)
    if (!isBuilt(root)) await build(root, say)
  } finally {
    lock.release()
  }
}

/**
 * @param {string} path
 * @returns {Promise<import('./lock.mjs').Lock>}
 */
async function waitForLock(path) {
  let told = false
  for (;;) {
    const taken = tryLock(path)
    if ('lock' in taken) {
      // Setup may be interrupted at any moment: the next start must not wait for a dead one.
      process.once('exit', taken.lock.release)
      return taken.lock
    }
    if (!told) say(`Another start (process ${taken.owner.pid}) is installing or building: waiting for it.`)
    told = true
    await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS))
  }
}
