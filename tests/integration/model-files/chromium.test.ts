/** Hub, loader and cache in a real tab: CORS, redirects, the token, and an OPFS that several tabs use. */
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContext, Page } from 'playwright'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { parseLlamaConfig } from '../../../swarm/model/parse-config.ts'
import { parseSafetensorsHeader, readHeaderLength } from '../../../swarm/model/safetensors.ts'
import { spanTensors } from '../../../swarm/model/tensors.ts'
import { toF32 } from '../../../web/engine/convert.ts'
import { storeRows } from '../../../web/engine/quantize.ts'
import { launchChromium, launchChromiumProfile, TAB_ORIGIN } from '../../support/browser.ts'
import { tensorFromFiles } from '../../support/checkpoint-bytes.ts'
import type { Fault, HubStandIn } from '../../support/hub-stand-in.ts'
import { startHubStandIn } from '../../support/hub-stand-in.ts'
import type { WorkerPage } from './page-server.ts'
import { serveWorkerPage } from './page-server.ts'
import type { LoadAnswer, LoadCall } from './worker.ts'

const tinytales = fileURLToPath(new URL('../../../models/tinytales/', import.meta.url))
const repo = 'tabs/tinytales'

let browser: Browser
let server: WorkerPage
let context: BrowserContext
let hub: HubStandIn

beforeAll(async () => {
  server = await serveWorkerPage()
  browser = await launchChromium()
})

afterAll(async () => {
  await browser.close()
  await server.close()
})

beforeEach(async () => {
  hub = await startHubStandIn({
    models: { [repo]: tinytales },
    storage: 'xet',
    gated: { [repo]: { tokens: ['hf_member'] } },
  })
  context = await browser.newContext()
})

afterEach(async () => {
  expect(hub.tokenLeaks()).toEqual([])
  await context.close()
  await hub.close()
})

async function load(page: Page, options: Partial<LoadCall> = {}): Promise<LoadAnswer> {
  const call: LoadCall = {
    hubUrl: hub.url,
    repo,
    span: { start: 2, end: 4 },
    token: 'hf_member',
    cache: true,
    ...options,
  }
  return await page.evaluate(async (message) => {
    const worker = new Worker('/worker.js', { type: 'module' })
    try {
      return await new Promise<LoadAnswer>((resolve, reject) => {
        worker.addEventListener('message', (event: MessageEvent<LoadAnswer>) => resolve(event.data))
        worker.addEventListener('error', (event) => reject(new Error(event.message)))
        worker.postMessage(message)
      })
    } finally {
      worker.terminate()
    }
  }, call)
}

async function openPage(): Promise<Page> {
  const page = await context.newPage()
  await page.goto(server.url)
  return page
}

/** Digests of all tensors, read straight from the files. */
function digestsFromFiles(): Record<string, string> {
  const digests: Record<string, string> = {}
  for (const shard of [1, 2]) {
    const file = `model-0000${shard}-of-00002.safetensors`
    const bytes = readFileSync(join(tinytales, file))
    const length = readHeaderLength(file, bytes, bytes.length)
    for (const { name, begin, end } of parseSafetensorsHeader(
      file,
      bytes.subarray(8, 8 + length),
      bytes.length,
    ).tensors.values()) {
      digests[name] = createHash('sha256').update(bytes.subarray(begin, end)).digest('hex')
    }
  }
  return digests
}

test('a gated model with redirects to a storage host: right bytes, no preflight there, no token there', async () => {
  const page = await openPage()
  const answer = await load(page)
  expect(answer.error).toBeUndefined()
  expect(answer.tokenizer).toBe(true)
  expect(digestsFromFiles()).toMatchObject(answer.digests ?? { none: '' })
  expect(Object.keys(answer.digests ?? {})).toHaveLength(18)
  const storage = hub.requests.filter((request) => request.origin === 'storage')
  expect(new Set(storage.map((request) => request.method))).toEqual(new Set(['GET']))
  expect(hub.requests.filter((request) => request.origin === 'refresh')).toEqual([])
  const withToken = hub.requests.filter((request) => request.authorization !== null)
  expect(withToken.length).toBeGreaterThan(0)
})

test('what was kept is found by another tab, and several tabs read and fill it at once', async () => {
  const pages = await Promise.all([openPage(), openPage(), openPage()])
  const together = await Promise.all(pages.map((page) => load(page)))
  for (const answer of together) {
    expect(answer).toMatchObject({ warnings: [] })
    expect(digestsFromFiles()).toMatchObject(answer.digests ?? { none: '' })
  }
  hub.requests.length = 0
  const again = await Promise.all(pages.map((page) => load(page)))
  for (const answer of again) {
    expect(answer.fetchedBytes).toBe(0)
    expect(answer.digests).toEqual(together[0]?.digests)
  }
  expect(hub.requests.filter((request) => request.origin === 'storage')).toEqual([])
})

test('rows of int4 are kept: three tabs at once, and the next visit neither downloads nor converts', async () => {
  const span = { start: 2, end: 4 }
  const expected = Object.fromEntries(
    spanTensors(parseLlamaConfig(JSON.parse(readFileSync(join(tinytales, 'config.json'), 'utf8'))), span).map(
      ({ name, kind, shape }) => {
        const { bytes } = tensorFromFiles(tinytales, name)
        const hash = createHash('sha256')
        if (kind === 'vector') return [name, hash.update(bytes).digest('hex')]
        const { weights, scales } = storeRows(toF32('BF16', bytes), shape[1] as number, 'int4', name)
        return [name, hash.update(weights).update(scales).digest('hex')]
      },
    ),
  )
  const pages = await Promise.all([openPage(), openPage(), openPage()])
  for (const answer of await Promise.all(pages.map((page) => load(page, { span, format: 'int4' })))) {
    expect(answer).toMatchObject({ warnings: [], digests: expected })
    expect(answer.convertedRows).toBeGreaterThan(0)
  }
  hub.requests.length = 0
  for (const answer of await Promise.all(pages.map((page) => load(page, { span, format: 'int4' })))) {
    expect(answer).toMatchObject({ fetchedBytes: 0, convertedRows: 0, warnings: [], digests: expected })
  }
  expect(hub.requests.filter((request) => request.origin === 'storage')).toEqual([])
})

test('what was kept is found after a restart, although the page comes from another port: the origin is fixed', async () => {
  const profile = mkdtempSync(join(tmpdir(), 'tabswarm-origin-'))
  const fetched: (number | undefined)[] = []
  const ports = new Set<string>()
  try {
    for (let start = 0; start < 2; start += 1) {
      const other = await serveWorkerPage()
      const { port } = new URL(other.url)
      ports.add(port)
      const held = await launchChromiumProfile(profile, { port: Number(port) })
      try {
        const page = await held.newPage()
        await page.goto(TAB_ORIGIN)
        expect(await page.evaluate(() => isSecureContext)).toBe(true)
        const answer = await load(page)
        expect(answer.error).toBeUndefined()
        fetched.push(answer.fetchedBytes)
        if (start === 0) {
          // A second browser on the same profile does not start: that is what slots and their locks are for.
          await expect(launchChromiumProfile(profile, { port: Number(port) })).rejects.toThrow()
        }
      } finally {
        await held.close()
        await other.close()
      }
    }
  } finally {
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
  expect(ports.size).toBe(2)
  expect(fetched[0]).toBeGreaterThan(0)
  expect(fetched[1]).toBe(0)
}, 120_000)

describe('refusals reach a page with their own code', () => {
  test.each([
    ['gated, not signed in', { token: undefined }, null, 'HUB_GATED'],
    ['gated, without access', { token: 'hf_other' }, null, 'HUB_GATED'],
    ['no such model', { repo: 'tabs/nothing' }, null, 'HUB_NOT_FOUND'],
    ['429', {}, { kind: 'status', status: 429 }, 'HUB_RATE_LIMITED'],
    ['503', {}, { kind: 'status', status: 503 }, 'HUB_ERROR'],
    ['416', {}, { kind: 'status', status: 416 }, 'HUB_BAD_RANGE'],
    ['200 in place of 206', {}, { kind: 'whole' }, 'HUB_BAD_RANGE'],
    ['another range', {}, { kind: 'shifted' }, 'HUB_BAD_RANGE'],
    ['cut again and again', {}, { kind: 'cut', afterBytes: 100 }, 'HUB_CUT'],
    ['storage does not answer', {}, { kind: 'drop' }, 'HUB_UNREACHABLE'],
  ] as [string, Partial<LoadCall>, Fault | null, string][])('%s', async (_what, options, fault, code) => {
    if (fault !== null) {
      // Refusals of storage must be readable by a page to be told apart.
      const readable = fault.kind === 'status' ? { ...fault, headers: { 'Access-Control-Allow-Origin': '*' } } : fault
      hub.faults.push({ at: 'storage', fault: readable })
    }
    const answer = await load(await openPage(), options)
    expect(answer.error?.code).toBe(code)
    expect(answer.error?.action).toBeTruthy()
    expect(JSON.stringify(answer)).not.toContain('hf_')
  })

  test('a cut that passes is resumed', async () => {
    hub.faults.push({ at: 'storage', path: /00001-of/, fault: { kind: 'cut', afterBytes: 100_000 }, times: 2 })
    const answer = await load(await openPage(), { span: { start: 0, end: 2 }, cache: false })
    expect(answer.error).toBeUndefined()
    expect(digestsFromFiles()).toMatchObject(answer.digests ?? { none: '' })
  })
})
