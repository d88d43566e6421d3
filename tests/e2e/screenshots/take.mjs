/**
 * Takes the pictures of `docs/screenshots` from a real swarm: `node tests/e2e/screenshots/take.mjs [FOLDER]`. Starts
 * `tabswarm start`, asks one question in each picture of the chat, and stops everything. Run on demand, never by tests.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const folder = process.argv[2] ?? join(ROOT, 'docs/screenshots')
const MAX_BYTES = 200_000
const READY_MS = 180_000
const VIEWPORTS = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } }
/** Every view on both devices; themes and languages change places so that each pair is seen. */
const PICTURES = [
  ['chat', 'desktop', 'light', 'en'],
  ['chat', 'desktop', 'dark', 'ko'],
  ['chat', 'phone', 'light', 'ko'],
  ['chat', 'phone', 'dark', 'en'],
  ['donate', 'desktop', 'light', 'ko'],
  ['donate', 'desktop', 'dark', 'en'],
  ['donate', 'phone', 'light', 'en'],
  ['donate', 'phone', 'dark', 'ko'],
  ['serving', 'desktop', 'light', 'en'],
  ['serving', 'phone', 'dark', 'ko'],
  ['swarm', 'desktop', 'light', 'en'],
  ['swarm', 'desktop', 'dark', 'ko'],
  ['swarm', 'phone', 'light', 'ko'],
  ['swarm', 'phone', 'dark', 'en'],
]
const QUESTIONS = { en: ['Hello!', 'Tell me a story about a basket.'], ko: ['안녕하세요!', '짧은 이야기를 들려줘.'] }

const dataDir = mkdtempSync(join(tmpdir(), 'tabswarm-screenshots-'))
const port = await freePort()
const swarm = spawn(process.execPath, [join(ROOT, 'cli/tabswarm.mjs'), 'start', '--port', String(port)], {
  env: { ...process.env, TABSWARM_DATA_DIR: dataDir },
  stdio: ['ignore', 'pipe', 'inherit'],
})
try {
  await untilReady(swarm)
  mkdirSync(folder, { recursive: true })
  const browser = await chromium.launch({
    executablePath: findChromium(),
    chromiumSandbox: process.getuid?.() !== 0,
    args: ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
  })
  for (const picture of PICTURES) await take(browser, ...picture)
  await browser.close()
} finally {
  swarm.kill('SIGINT')
  await new Promise((resolve) => swarm.once('close', resolve))
  rmSync(dataDir, { recursive: true, force: true })
}

async function take(browser, view, device, theme, language) {
  const context = await browser.newContext({ viewport: VIEWPORTS[device], reducedMotion: 'reduce' })
  await context.addInitScript(
    ([chosenTheme, chosenLanguage]) => {
      localStorage.setItem('tabswarm.theme', chosenTheme)
      localStorage.setItem('tabswarm.language', chosenLanguage)
    },
    [theme, language],
  )
  const page = await context.newPage()
  const donates = view === 'donate' || view === 'serving'
  await page.goto(`http://127.0.0.1:${port}/${donates ? '?num_blocks=2#donate' : `#${view}`}`)
  if (view === 'chat') {
    await page.locator('.model-coverage.is-complete').waitFor()
    for (const [i, question] of QUESTIONS[language].entries()) {
      await page.getByTestId('chat-input').fill(question)
      await page.getByTestId('chat-send').click()
      const answer = page.getByTestId('chat-message-assistant').nth(i)
      await answer.and(page.locator('[data-state="done"]')).waitFor({ timeout: 120_000 })
    }
    // The meter counts the finished answer a moment later.
    await page
      .getByTestId('context-meter')
      .filter({ hasText: /(^|\s)([5-9]\d|\d{3})( of|\/)/ })
      .waitFor()
  }
  if (donates) await page.locator('[data-status="ready"]').waitFor({ timeout: 60_000 })
  if (view === 'serving') {
    await page.getByTestId('donate-start').click()
    await page.locator('[data-status="serving"]').waitFor({ timeout: 60_000 })
    await page.evaluate(() => document.querySelector('main').scrollTo(0, 0))
  }
  if (view === 'swarm') await page.getByTestId('swarm-table').waitFor()
  const path = join(folder, `${view}-${device}-${theme}-${language}.png`)
  await page.screenshot({ path })
  const { size } = statSync(path)
  console.log(`${path} (${Math.round(size / 1000)} kB)`)
  if (size > MAX_BYTES) throw new Error(`${path} is larger than ${MAX_BYTES} bytes`)
  await context.close()
}

function untilReady(child) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`start was not ready in ${READY_MS} ms`)), READY_MS)
    let text = ''
    child.stdout.on('data', (chunk) => {
      text += chunk
      if (!/^Ready:/m.test(text)) return
      clearTimeout(timer)
      resolve()
    })
    child.once('close', () => reject(new Error(`start ended:\n${text}`)))
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
