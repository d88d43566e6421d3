/**
 * Where a Chrome or Chromium may already be on this machine: the path somebody named, the commands on PATH, the usual
 * folders of each system, and what Playwright downloaded earlier. Finds only; installing is `install.ts`.
 */
import { accessSync, constants, realpathSync, statSync } from 'node:fs'
import { basename, delimiter, dirname, join } from 'node:path'
import { chromium } from 'playwright'

export interface FoundBrowser {
  path: string
  /** How it was found, for the log line. */
  source: 'named' | 'path' | 'usual folder' | 'playwright'
}

export interface FindOptions {
  /** `--chromium` or TABSWARM_CHROMIUM. When given, nothing else is looked at. */
  named?: string | undefined
  env?: NodeJS.ProcessEnv
  platform?: NodeJS.Platform
  /** Handed in by tests. */
  isExecutable?: (path: string) => boolean
  /** Where Playwright keeps its own Chromium; throws or names a missing file when it has none. */
  playwrightPath?: () => string
}

const COMMANDS = ['google-chrome', 'google-chrome-stable', 'chromium', 'chromium-browser', 'chrome', 'microsoft-edge']

/** Every browser found, best first: a caller whose launch fails goes on to the next. */
export function findBrowsers(options: FindOptions = {}): FoundBrowser[] {
  const env = options.env ?? process.env
  const platform = options.platform ?? process.platform
  const isExecutable = options.isExecutable ?? isExecutableFile
  if (options.named !== undefined && options.named !== '') {
    return isExecutable(options.named) ? [{ path: options.named, source: 'named' }] : []
  }
  const found: FoundBrowser[] = []
  const add = (path: string, source: FoundBrowser['source']): void => {
    if (path === '' || !isExecutable(path)) return
    if (!found.some((other) => realPath(other.path) === realPath(path))) found.push({ path, source })
  }
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    if (folder === '') continue
    for (const command of COMMANDS) add(join(folder, platform === 'win32' ? `${command}.exe` : command), 'path')
  }
  for (const path of usualPaths(env, platform)) add(path, 'usual folder')
  add(playwrightExecutable(options.playwrightPath), 'playwright')
  return found
}

function usualPaths(env: NodeJS.ProcessEnv, platform: NodeJS.Platform): string[] {
  if (platform === 'darwin') {
    return ['Google Chrome', 'Chromium', 'Microsoft Edge'].map(
      (app) => `/Applications/${app}.app/Contents/MacOS/${app}`,
    )
  }
  if (platform === 'win32') {
    const roots = [env['PROGRAMFILES'], env['PROGRAMFILES(X86)'], env['LOCALAPPDATA']]
    return roots
      .filter((root) => root !== undefined)
      .map((root) => join(root, 'Google', 'Chrome', 'Application', 'chrome.exe'))
  }
  return ['/opt/google/chrome/chrome']
}

/** '' when this platform has no Playwright build; the path may name a file that was never downloaded. */
function playwrightExecutable(ask: (() => string) | undefined): string {
  try {
    return (ask ?? (() => chromium.executablePath()))()
  } catch {
    // Playwright throws on systems that it has no browser for: then it simply has none.
    return ''
  }
}

/** One browser has several paths where folders are links: /bin to /usr/bin. The file itself may be a link of many programs. */
function realPath(path: string): string {
  try {
    return join(realpathSync(dirname(path)), basename(path))
  } catch {
    // Not a path of this machine: only a name, then.
    return path
  }
}

function isExecutableFile(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    // Not there, or not ours to run: not a candidate.
    return false
  }
}
