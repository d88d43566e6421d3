/**
 * `npm run bench:engine`: our kernels against onnxruntime-web on the same adapter and llama.cpp (wllama) on the processor, in a real Chromium page that is cross-origin
 * isolated. Each row runs both sides in turns, after their outputs were checked against a plain reference. The packages that are
 * compared with are this folder's own and are installed by the first run. TABSWARM_BENCH_ONLY names rows, TABSWARM_BENCH_JSON a file
 * for the results. A ratio on a software adapter says nothing about GPUs.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright'
import { createServer, type ViteDevServer } from 'vite'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { wasmKernels } from '../../../cli/setup/wasm-kernels.mjs'
import { REPOSITORY_ROOT } from '../../reference/node-files.ts'
import { launchChromium } from '../../support/browser.ts'
import { ROWS } from './rows.ts'
import type { BenchRow } from './timing.ts'

const FOLDER = import.meta.dirname
const ONLY = (process.env['TABSWARM_BENCH_ONLY'] ?? '').split(' ').filter((id) => id !== '')
const JSON_FILE = process.env['TABSWARM_BENCH_JSON']

let server: ViteDevServer
let browser: Browser
let page: Page
let adapter = ''
const rows: BenchRow[] = []

beforeAll(async () => {
  const unknown = ONLY.filter((id) => !(id in ROWS))
  if (unknown.length > 0) throw new Error(`no row ${unknown.join(', ')}; there are ${Object.keys(ROWS).join(', ')}`)
  if (!existsSync(join(FOLDER, 'node_modules', 'onnxruntime-web'))) {
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
    execFileSync(npm, ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: FOLDER, stdio: 'inherit' })
  }
  const headers = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }
  server = await createServer({
    configFile: false,
    root: REPOSITORY_ROOT,
    logLevel: 'error',
    appType: 'mpa',
    plugins: [wasmKernels()],
    optimizeDeps: { noDiscovery: true },
    server: { host: '127.0.0.1', port: 0, hmr: false, watch: null, headers, fs: { allow: [REPOSITORY_ROOT] } },
  })
  await server.listen()
  browser = await launchChromium()
  page = await browser.newPage()
  page.on('console', (message) => message.type() === 'error' && console.error(message.text()))
  await page.goto(`${server.resolvedUrls?.local[0] ?? ''}tests/bench/engine/index.html`)
  await page.waitForFunction(() => 'runRow' in globalThis)
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true)
  const { description, copyGBs } = (await run('adapter')) as { description: string; copyGBs: number }
  adapter = `${description}, copies ${copyGBs.toFixed(1)} GB/s`
  console.log(`adapter: ${adapter}`)
})

afterAll(async () => {
  await browser?.close()
  await server?.close()
  const plain = rows.map(({ id, ratio, min, max }) => ({ id, ratio, min, max }))
  if (JSON_FILE !== undefined) writeFileSync(JSON_FILE, `${JSON.stringify({ adapter, rows: plain })}\n`)
})

function run(id: string): Promise<unknown> {
  return page.evaluate(
    (name) => (globalThis as unknown as { runRow: (id: string) => Promise<unknown> }).runRow(name),
    id,
  )
}

it.each(ONLY.length > 0 ? ONLY : Object.keys(ROWS))('%s', async (id) => {
  const row = (await run(id)) as BenchRow
  rows.push(row)
  const range = `${row.min.toFixed(2)}–${row.max.toFixed(2)}`
  console.log(`${id.padEnd(26)} ${row.ratio.toFixed(2).padStart(7)} (${range})  ${row.note}`)
  expect(row.ratio).toBeGreaterThan(0)
})
