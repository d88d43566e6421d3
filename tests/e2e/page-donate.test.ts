/**
 * Donating by hand: one click after the plan, every phase, serving a page that asks; a second tab of the same identity, a page
 * that is closed, a visit that finds its weights in the cache, and Stop. One relay; the tabs are this test's own.
 */
import type { Browser, BrowserContext, Page } from 'playwright'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PageHandle } from '../../web/compose/handle.ts'
import { launchChromium, watchErrors } from '../support/browser.ts'
import { ChatPage } from '../support/chat-page.ts'
import { TestSwarm, tinytalesCase } from '../support/swarm.ts'

const STORY = tinytalesCase('Tell me a story.')
const READY_MS = 60_000
/** Ten times what a goodbye takes to reach a page. */
const SEEN_MS = 5_000

let swarm: TestSwarm
let browser: Browser
let context: BrowserContext
let url: string
let asker: ChatPage

beforeAll(async () => {
  swarm = new TestSwarm()
  await swarm.relay()
  url = `http://127.0.0.1:${swarm.ports[0]}/`
  browser = await launchChromium()
  // One profile for all: they share cache and identities, as the tabs of a person do.
  context = await browser.newContext({ locale: 'en-US' })
  asker = new ChatPage(await context.newPage())
  await asker.page.goto(url)
})
afterAll(async () => {
  await browser?.close()
  await swarm?.stop()
})

/** A tab whose plan stands on the page. */
async function planned(more = ''): Promise<Page> {
  const page = await context.newPage()
  await page.goto(`${url}?donate&backend=webgpu&num_blocks=8${more}`)
  await page.locator('[data-status="ready"]').waitFor({ timeout: READY_MS })
  return page
}

async function serving(page: Page): Promise<void> {
  await page.getByTestId('donate-start').click()
  await page.locator('[data-status="serving"]').waitFor({ timeout: READY_MS })
}

const peerIdOf = (page: Page): Promise<string | null> =>
  page.evaluate(() => (globalThis as unknown as { tabswarm: PageHandle }).tabswarm.peerId())

const peersSeen = async (): Promise<number> => (await asker.directory()).length

test('one click after the plan loads, serves and shows it', async () => {
  const page = await planned()
  const errors = watchErrors(page)
  expect(await page.getByTestId('plan-download').innerText()).toMatch(/^[\d.]+ MB$/)
  expect(await peersSeen()).toBe(0)
  await serving(page)
  const lines = await page.getByTestId('donate-log').locator('p span').allInnerTexts()
  const wanted = [
    /^Computing with WebGPU \(.*\): as asked for\.$/,
    /^Selected blocks: \[0, 1, 2/,
    /^P2P initialized for Load Balancing server, PeerID: 12D3/,
    /^Kernels chosen in [\d.]+ s, /,
    /server ready, blocks=\[0/,
  ]
  expect(wanted.map((pattern) => lines.findIndex((line) => pattern.test(line)))).toEqual([0, 1, 2, 3, 4])
  await asker.covered()
  await asker.makeGreedy()
  await asker.send(STORY.prompt)
  expect(await asker.finished(0)).toBe(STORY.greedy_text.trim())
  const served = page.getByTestId('donate-stats').locator('.tile', { hasText: 'Steps served' }).locator('dd')
  await expect.poll(async () => Number(await served.innerText()), { timeout: 10_000 }).toBeGreaterThan(10)
  // The bytes stand under the way that the answer's route says.
  const isRelayed = (await asker.page.locator('.route-hop.is-relayed').count()) > 0
  const received = async (way: string): Promise<string> =>
    await page.getByTestId('donate-stats').locator('.tile', { hasText: way }).locator('dd').innerText()
  expect(await received(isRelayed ? 'Received by relay' : 'Received directly')).toMatch(/^[\d.]+ kB$/)
  expect(await received(isRelayed ? 'Received directly' : 'Received by relay')).toBe('0 B')
  expect(errors).toEqual([])

  // A browser's second tab is refused before it joins, and the first one goes on as if nothing had been.
  const second = await planned()
  await second.getByTestId('donate-start').click()
  const refusal = second.locator('[data-status="failed"] [data-code="IDENTITY_TAKEN"]')
  await refusal.waitFor({ timeout: READY_MS })
  expect(await refusal.innerText()).toContain('Another tab of this browser is donating already. Go to that tab')
  expect(await peerIdOf(second)).toBeNull()
  await second.close()
  expect(await page.locator('[data-status="serving"]').count()).toBe(1)
  expect(await peersSeen()).toBe(1)

  // Whoever wants two numbers the other one, as `start` does; a tab that is reloaded is the same one again.
  const peerId = await peerIdOf(page)
  const other = await planned('&tab=1')
  await serving(other)
  // What the first tab of this browser chose is kept.
  const otherLines = await other.getByTestId('donate-log').locator('p span').allInnerTexts()
  expect(otherLines.filter((line) => line.startsWith('Kernels chosen'))).toEqual([])
  await expect.poll(peersSeen, { timeout: SEEN_MS }).toBe(2)
  await other.close({ runBeforeUnload: false })
  await page.reload()
  await page.locator('[data-status="ready"]').waitFor({ timeout: READY_MS })
  await serving(page)
  const idsSeen = async (): Promise<string[]> => (await asker.directory()).map((peer) => peer.peerId)
  await expect.poll(idsSeen, { timeout: SEEN_MS }).toEqual([peerId])

  await page.close({ runBeforeUnload: false })
  await expect.poll(peersSeen, { timeout: SEEN_MS }).toBe(0)
})

test('the next visit finds the weights, Stop leaves the swarm, and only then can the weights be deleted', async () => {
  const page = await planned()
  expect(await page.getByTestId('plan-download').innerText()).toMatch(/^0 B, and [\d.]+ MB already kept here$/)
  await serving(page)
  await expect.poll(peersSeen, { timeout: SEEN_MS }).toBe(1)

  // Another tab of this browser, which has not started and does not have to.
  const other = await planned()
  const kept = other.getByTestId('kept')
  await kept.locator('summary').click()
  expect(await kept.locator('summary').innerText()).toMatch(/^Kept in this browser: [78]\.\d MB$/)
  await kept.locator('.kept-model', { hasText: 'tinytales' }).getByText('in use by a tab').waitFor()
  expect(await kept.getByRole('button', { name: /^Delete/ }).count()).toBe(0)
  expect(await kept.getByTestId('kept-fate').innerText()).toMatch(/^The browser (may delete|keeps) these files/)
  expect(await other.getByTestId('plan-download').innerText()).toMatch(/^0 B/)

  await page.getByTestId('donate-stop').click()
  await page.locator('[data-status="stopped"]').waitFor({ timeout: READY_MS })
  await expect.poll(peersSeen, { timeout: SEEN_MS }).toBe(0)

  await kept.getByRole('button', { name: /^Delete tinytales@/ }).click()
  await other.getByTestId('kept-delete').click()
  await kept.getByText(/^Deleted tinytales@\w+: [78]\.\d MB are free again\.$/).waitFor()
  expect(await kept.getByRole('listitem').count()).toBe(0)
  // The plan that stood there is counted again, and so is the next one.
  await other
    .getByTestId('plan-download')
    .getByText(/^[\d.]+ MB$/)
    .waitFor({ timeout: READY_MS })
  await other.close()
  await page.getByTestId('donate-start').click()
  await page.locator('[data-status="ready"]').waitFor({ timeout: READY_MS })
  expect(await page.getByTestId('plan-download').innerText()).toMatch(/^[1-9][\d.]* MB$/)
  await page.close()
})

test('the memory slider sizes the plan by keys and asks nobody; the tab serves what it says', async () => {
  const page = await context.newPage()
  await page.goto(`${url}?donate&backend=webgpu`)
  await page.locator('[data-status="ready"]').waitFor({ timeout: READY_MS })
  const asked: string[] = []
  page.on('request', (request) => asked.push(request.url()))
  const slider = page.getByLabel('Memory to lend')
  const takes = page.getByTestId('memory-takes')
  // A step of the slider may hold several blocks of a model as small as this one.
  const few = /^([1-4]) of 8 blocks, [\d.]+ MB of memory, [\d.]+ MB to download$/
  await slider.press('Home')
  await takes.getByText(few).waitFor()
  expect(await slider.getAttribute('aria-valuetext')).toMatch(/^[\d.]+ MB at most: [1-4] of 8 blocks, /)
  await slider.press('End')
  await takes.getByText(/^8 of 8 blocks/).waitFor()
  await slider.press('Home')
  await slider.press('ArrowRight')
  await slider.press('ArrowLeft')
  await takes.getByText(few).waitFor()
  const blocks = Number(few.exec(await takes.innerText())?.[1])
  const [allowed, taken] = [await slider.inputValue(), await takes.innerText()].map((text) =>
    Number(/([\d.]+) MB of/.exec(text)?.[1] ?? Number(text) / 1e6),
  )
  expect(taken).toBeLessThanOrEqual(allowed ?? 0)
  expect(asked).toEqual([])
  await serving(page)
  const lines = await page.getByTestId('donate-log').locator('p span').allInnerTexts()
  const served = lines.find((line) => line.includes('server ready'))
  expect(served?.split('blocks=')[1]?.split(']')[0]?.split(',')).toHaveLength(blocks)
  await page.close()
})

test('a browser without room for the weights serves all the same, and says so once', async () => {
  const small = await browser.newContext({ locale: 'en-US' })
  const page = await small.newPage()
  const devtools = await small.newCDPSession(page)
  // Less than the model's 7 MB; its identity has room.
  await devtools.send('Storage.overrideQuotaForOrigin', { origin: new URL(url).origin, quotaSize: 3_000_000 })
  await page.goto(`${url}?donate&backend=webgpu&num_blocks=8&tab=1&autotune=off`)
  await page.locator('[data-status="ready"]').waitFor({ timeout: READY_MS })
  await serving(page)
  const warnings = await page.getByTestId('donate-log').locator('.log-warn').allInnerTexts()
  expect(warnings.filter((line) => line.includes('no storage left'))).toHaveLength(1)
  await small.close()
})
