/**
 * Runs one setup command with its output kept back and shown only when it fails. An interrupt ends the child first, so
 * that no half-dead install stays behind.
 */
import { spawn } from 'node:child_process'

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd: string, env?: NodeJS.ProcessEnv, shell?: boolean }} options
 * @returns {Promise<{ ok: boolean, output: string }>}
 */
export function runQuietly(command, args, options) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (output += chunk))
    /** @type {(signal: NodeJS.Signals) => void} */
    const interrupt = (signal) => {
      child.kill(signal)
      child.once('close', () => process.exit(130))
    }
    const killNow = () => child.kill('SIGKILL')
    /** @type {NodeJS.Signals[]} */
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
    for (const signal of signals) process.on(signal, interrupt)
    process.on('exit', killNow)
    /** @param {boolean} ok */
    const finish = (ok) => {
      for (const signal of signals) process.off(signal, interrupt)
      process.off('exit', killNow)
      resolve({ ok, output })
    }
    child.once('error', (error) => {
      output += String(error)
      finish(false)
    })
    child.once('close', (code) => finish(code === 0))
  })
}
