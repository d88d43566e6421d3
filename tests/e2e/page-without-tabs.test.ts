/**
 * The page where nobody donates: what a link may and may not do, a pause that names the missing blocks, a token that is
 * kept nowhere, and an address that browsers do not trust.
 */
import type { Browser, BrowserContext, Page } from 'playwright'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { launchChromium, watchErrors } from '../support/browser.ts'
import { makeTempDir, removeTempDir, startTabswarm, type StartedProcess } from '../support/processes.ts'
import { freePort } from '../support/swarm.ts'

const OTHER_RELAY = '/ip4/127.0.0.1/tcp/9/ws/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'

let started: StartedProcess
let dataDir: string
let url: string
let browser: Browser
let context: BrowserContext
let page: Page
let errors: string[]

beforeAll(async () => {
  dataDir = makeTempDir('page')
  const port = await freePort()
  started = startTabswarm(['start', '--tabs', '0', '--port', String(port)], { dataDir })
  await started.waitForLine(/^Ready:/, 120_000)
  url = `http://127.0.0.1:${port}/`
  browser = await launchChromium()
})
afterAll(async () => {
  await browser?.close()
  await started?.stop()
  removeTempDir(dataDir)
})
beforeEach(async () => {
  context = await browser.newContext({ locale: 'en-US' })
  page = await context.newPage()
  errors = watchErrors(page)
})
afterEach(async () => {
  await context.close()
})

describe('a model that nobody serves', () => {
  test('shows its missing blocks, and a question waits for them by name until it is stopped', async () => {
    await page.goto(url)
    await page.getByTestId('model-coverage').getByText('Blocks 0–7 missing').waitFor()
    await page.getByTestId('chat-input').fill('Hello!')
    await page.getByTestId('chat-send').click()
    const status = page.getByTestId('chat-status')
    await status.getByText('nobody serves blocks 0–7 now').waitFor()
    expect(await status.getAttribute('data-phase')).toBe('paused')
    await page.getByTestId('chat-announcer').getByText('Paused').waitFor({ state: 'attached' })
    await page.getByTestId('chat-stop').click()
    await page.locator('[data-testid="chat-message-assistant"][data-state="stopped"]').waitFor()
    expect(errors).toEqual([])
  })

  test('keeps the message across a reload', async () => {
    await page.goto(url)
    await page.getByTestId('chat-input').fill('안녕, 떠나지 마.')
    await page.getByTestId('chat-send').click()
    // While it opens, message and answer are on their way to the disk; from then on they are there.
    await page.locator('[data-testid="chat-status"]:not([data-phase="idle"]):not([data-phase="opening"])').waitFor()
    await page.reload()
    await page.getByTestId('chat-message-user').getByText('안녕, 떠나지 마.').waitFor()
    await page.locator('[data-testid="chat-message-assistant"][data-state="interrupted"]').waitFor()
  })
})

describe('a link', () => {
  test('that names relays of its own joins them only after a click', async () => {
    const sockets: string[] = []
    page.on('websocket', (socket) => sockets.push(socket.url()))
    await page.goto(`${url}?dht_initial_peers=${encodeURIComponent(OTHER_RELAY)}`)
    const join = page.getByTestId('swarm-join')
    await join.waitFor()
    await page.getByText(OTHER_RELAY).first().waitFor()
    await page.getByTestId('chat-input').fill('Hello!')
    await page.getByTestId('chat-send').click()
    await page.locator('[data-testid="chat-message-assistant"][data-state="failed"]').waitFor()
    expect(sockets).toEqual([])
    const opened = page.waitForEvent('websocket')
    await join.click()
    await opened
    await join.waitFor({ state: 'detached' })
    // Nobody answers there: the page says so and goes on with its own relay.
    await page.locator('.relay-notice[data-trouble="link-lost"]').waitFor({ timeout: 30_000 })
    await page.getByTestId('model-coverage').getByText('Blocks 0–7 missing').waitFor()
  })

  test('to a relay that is another one by now says that, and whom to ask', async () => {
    const { relays } = (await (await page.request.get(`${url}config.json`)).json()) as { relays: string[] }
    const stale = (relays[0] ?? '').replace(/[^/]*$/u, OTHER_RELAY.split('/p2p/')[1] ?? '')
    await page.goto(`${url}?dht_initial_peers=${encodeURIComponent(stale)}`)
    await page.getByTestId('swarm-join').click()
    const notice = page.locator('.relay-notice[data-trouble="other-relay"]')
    await notice.waitFor({ timeout: 30_000 })
    expect(await notice.innerText()).toContain('Ask for the address that the relay prints now.')
  })

  test('with a mistake in a name or a view is told, and works without it', async () => {
    await page.goto(`${url}?num-blocks=4#chats`)
    const notice = page.getByTestId('link-notice')
    await notice.getByText('“num-blocks”').waitFor()
    await notice.getByText('“chats”').waitFor()
    await page.getByTestId('chat-input').waitFor()
    await notice.getByRole('button').click()
    await notice.waitFor({ state: 'detached' })
  })

  test('to a page that does not exist gets one that leads on', async () => {
    const response = await page.goto(`${url}donate.html`)
    expect(response?.status()).toBe(404)
    await page.getByRole('link', { name: 'go to the page' }).click()
    await page.getByTestId('chat-input').waitFor()
    expect(await (await page.request.get(`${url}nothing.js`)).text()).toBe('There is nothing at this address.\n')
    errors = []
  })

  test('with parameters that make no sense says so and plans nothing', async () => {
    await page.goto(`${url}?donate&splits=4&stage=9`)
    await page.locator('[data-status="failed"]').waitFor({ timeout: 30_000 })
    const note = page.locator('[data-code="BAD_OPTION"]')
    await note.waitFor()
    await note.locator('summary').click()
    await note.getByText('stage is 9').waitFor()
  })

  test('that names a model unknown to the mirror says so in the chat', async () => {
    await page.goto(`${url}?model=tinytales@${'f'.repeat(40)}`)
    await page.locator('.note-error').waitFor()
    expect(await page.locator('.note-error strong').innerText()).toMatch(/\.$/)
  })
})

test('a pasted token is kept in no storage and no address', async () => {
  const token = 'hf_notARealTokenButLongEnough'
  await page.goto(`${url}#donate`)
  await page.getByText('Options').click()
  const field = page.getByLabel('Hugging Face token')
  expect(await field.getAttribute('type')).toBe('password')
  await field.fill(token)
  await field.blur()
  await page.locator('[data-status="ready"]').waitFor({ timeout: 60_000 })
  const state = await context.storageState({ indexedDB: true })
  expect(JSON.stringify(state)).not.toContain(token)
  expect(page.url()).not.toContain(token)
  await page.reload()
  await page.getByText('Options').click()
  expect(await field.inputValue()).toBe('')
})

test('what is served is locked down: no inline script or style, Trusted Types with one policy', async () => {
  const response = await page.goto(url)
  const policy = response?.headers()['content-security-policy'] ?? ''
  expect(policy).toMatch(/default-src 'none'/)
  expect(policy).toMatch(/require-trusted-types-for 'script'/)
  expect(policy).toMatch(/trusted-types tabswarm(;|$)/)
  expect(policy).not.toMatch(/'unsafe-(inline|eval)'/)
  await page.getByTestId('chat-input').waitFor()
  const refused = await page.evaluate(() => {
    try {
      document.body.innerHTML = '<b>x</b>'
      return false
    } catch {
      return true
    }
  })
  expect(refused).toBe(true)
})

/** What a person waits for on a slow line; measured as it crosses the wire. */
const FIRST_PAINT_BYTES = 120 * 1024
const WITH_LIBP2P_BYTES = 350 * 1024

test('the first load stays within its budget, with and without libp2p', async () => {
  const loads: { path: string; type: string; sizes: Promise<number> }[] = []
  page.on('requestfinished', (request) => {
    const sizes = request
      .sizes()
      .then(({ responseBodySize, responseHeadersSize }) => responseBodySize + responseHeadersSize)
    loads.push({ path: new URL(request.url()).pathname, type: request.resourceType(), sizes })
  })
  const html = await (await page.request.get(url)).text()
  const first = new Set([
    '/',
    ...Array.from(html.matchAll(/(?:src|href)="\.(\/assets\/[^"]+)"/g), ([, path]) => path ?? ''),
  ])
  expect(first.size).toBeGreaterThan(2)
  await page.goto(url)
  // Joined, and the model can be asked: everything that chatting needs is here.
  await page.getByTestId('model-coverage').getByText('Blocks 0–7 missing').waitFor()
  await page.getByTestId('chat-input').fill('Hello!')
  await page.getByTestId('context-meter').waitFor()
  const bytesOf = async (wanted: (path: string) => boolean): Promise<number> => {
    const sizes = await Promise.all(loads.filter(({ path }) => wanted(path)).map((load) => load.sizes))
    return sizes.reduce((sum, size) => sum + size, 0)
  }
  const early = await bytesOf((path) => first.has(path))
  const all = await bytesOf((path) => path === '/' || path.startsWith('/assets/'))
  console.log(
    `first load ${Math.round(early / 1024)} KiB, with libp2p and all that chatting needs ${Math.round(all / 1024)} KiB`,
  )
  expect(early).toBeLessThanOrEqual(FIRST_PAINT_BYTES)
  expect(all).toBeLessThanOrEqual(WITH_LIBP2P_BYTES)
  // Each part was counted: a request that was not seen would make this test pass for ever.
  expect(early).toBeGreaterThan(FIRST_PAINT_BYTES / 4)
  expect(all).toBeGreaterThan(WITH_LIBP2P_BYTES / 2)
})

test('an address that browsers do not trust gets one sentence on why', async () => {
  // The same page under a plain-http name: Chromium grants it no secure context.
  await page.route('http://plain.example/**', async (route) => {
    const { pathname } = new URL(route.request().url())
    await route.fulfill({ response: await page.request.get(new URL(pathname, url).href) })
  })
  await page.goto('http://plain.example/')
  await page.getByTestId('insecure').getByText('https').waitFor()
  expect(await page.getByTestId('chat-input').count()).toBe(0)
  await page.unrouteAll({ behavior: 'wait' })
})
