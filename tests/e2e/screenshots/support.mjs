/** What the picture takers share: a `tabswarm` of their own, a browser, and files that stay small. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright'

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
export const FOLDER = join(ROOT, 'docs/screenshots')
const MAX_BYTES = 200_000
const READY_MS = 180_000
const VIEWPORTS = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } }

/** Runs `tabswarm COMMAND` while `work` takes its pictures, with a browser beside it. */
export async function withTabswarm(command, ready, work) {
  const dataDir = mkdtempSync(join(tmpdir(), 'tabswarm-screenshots-'))
  const port = await freePort()
  const child = spawn(process.execPath, [join(ROOT, 'cli/tabswarm.mjs'), ...command, '--port', String(port)], {
    env: { ...process.env, TABSWARM_DATA_DIR: dataDir },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    await untilLine(child, ready)
    const browser = await launch()
    await work(browser, `http://127.0.0.1:${port}/`)
    await browser.close()
  } finally {
    child.kill('SIGINT')
    await new Promise((resolve) => child.once('close', resolve))
    rmSync(dataDir, { recursive: true, force: true })
  }
}

export function launch() {
  return chromium.launch({
    executablePath: findChromium(),
    chromiumSandbox: process.getuid?.() !== 0,
    args: ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
  })
}

/** A page of a visitor of its own, in that theme and language from the start. */
export async function openPage(browser, device, theme, language) {
  const context = await browser.newContext({ viewport: VIEWPORTS[device], reducedMotion: 'reduce' })
  await context.addInitScript(
    ([chosenTheme, chosenLanguage]) => {
      localStorage.setItem('tabswarm.theme', chosenTheme)
      localStorage.setItem('tabswarm.language', chosenLanguage)
    },
    [theme, language],
  )
  return context.newPage()
}

/** `options`: Playwright's, for less or more than what is in view. */
export async function picture(page, path, options = {}) {
  mkdirSync(dirname(path), { recursive: true })
  await page.screenshot({ ...options, path })
  const { size } = statSync(path)
  console.log(`${path} (${Math.round(size / 1000)} kB)`)
  if (size > MAX_BYTES) throw new Error(`${path} is larger than ${MAX_BYTES} bytes`)
}

function untilLine(child, pattern) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not ready in ${READY_MS} ms`)), READY_MS)
    let text = ''
    child.stdout.on('data', (chunk) => {
      text += chunk
      if (!pattern.test(text)) return
      clearTimeout(timer)
      resolve()
    })
    child.once('close', () => reject(new Error(`it ended:\n${text}`)))
  })
}

function findChromium() {
  const paths = [
    process.env['TABSWARM_CHROMIUM'],
    '/usr/bin/google-chrome',
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    chromium.executablePath(),
  ]
  const found = paths.find((path) => path !== undefined && existsSync(path))
  if (found === undefined) throw new Error('no Chromium; set TABSWARM_CHROMIUM to its path')
  return found
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => {
      const { port: free } = server.address()
      server.close(() => resolve(free))
    })
  })
}
