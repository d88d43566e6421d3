/**
 * Gets a Chromium where there is none: Playwright's own download, then the distribution's package. Says each step; a
 * step that fails says why in one line and the next is tried.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { SwarmError } from '../../swarm/errors.ts'
import { findBrowsers, type FoundBrowser } from './find.ts'
import { isRoot } from './flags.ts'

export interface EnsureOptions {
  named: string | undefined
  install: 'auto' | 'never'
  signal: AbortSignal
  progress: (text: string) => void
}

/** Browsers to try, best first; never empty. @throws SwarmError NO_BROWSER */
export async function ensureBrowsers(options: EnsureOptions): Promise<FoundBrowser[]> {
  const found = findBrowsers({ named: options.named })
  if (found.length > 0) return found
  if (options.named !== undefined && options.named !== '') {
    throw new SwarmError('NO_BROWSER', `${options.named} is not a browser that can be run`, {
      action: 'Correct --chromium (TABSWARM_CHROMIUM), or leave it out.',
    })
  }
  if (options.install === 'auto') {
    for (const step of [downloadWithPlaywright, installWithPackageManager]) {
      await step(options)
      const installed = findBrowsers()
      if (installed.length > 0) return installed
    }
  }
  throw new SwarmError('NO_BROWSER', 'No Chrome or Chromium was found, and none could be installed', {
    action: 'Install Chrome or Chromium and start again, or name one with --chromium PATH.',
  })
}

async function downloadWithPlaywright(options: EnsureOptions): Promise<void> {
  options.progress('No Chrome or Chromium here: downloading one with Playwright …')
  const cli = join(dirname(createRequire(import.meta.url).resolve('playwright/package.json')), 'cli.js')
  // As root Playwright may also install the libraries that a bare machine lacks.
  const withLibraries = process.platform === 'linux' && isRoot() && existsSync('/usr/bin/apt-get')
  const tries = withLibraries ? [['--with-deps'], []] : [[]]
  for (const extra of tries) {
    if (await runStep('Playwright’s download', process.execPath, [cli, 'install', ...extra, 'chromium'], options))
      return
  }
}

async function installWithPackageManager(options: EnsureOptions): Promise<void> {
  if (process.platform !== 'linux' || !isRoot() || !existsSync('/usr/bin/apt-get')) return
  options.progress('Installing the distribution’s Chromium …')
  await runStep('apt-get update', 'apt-get', ['update', '-qq'], options)
  await runStep(
    'apt-get install chromium',
    'apt-get',
    ['install', '-y', '-qq', '--no-install-recommends', 'chromium'],
    options,
  )
}

/** Runs one installer; when it fails, what it said last is shown in one line. */
async function runStep(
  name: string,
  command: string,
  args: readonly string[],
  options: EnsureOptions,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], signal: options.signal })
    let output = ''
    const keep = (chunk: Buffer): void => void (output = (output + chunk.toString()).slice(-4_000))
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    child.once('error', (error) => {
      if (options.signal.aborted) reject(error)
      else {
        options.progress(`${name} could not be run: ${error.message}`)
        resolve(false)
      }
    })
    child.once('close', (code) => {
      if (code !== 0) options.progress(`${name} failed: ${lastWords(output)}`)
      resolve(code === 0)
    })
  })
}

/** An installer's own reason: the first line that speaks of an error, which the later ones only wrap. */
export function lastWords(output: string): string {
  const lines = output
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^at |^[{}]/.test(line))
  return lines.find((line) => /error|failed|unable|^E:/i.test(line)) ?? lines.at(-1) ?? 'it said nothing'
}
