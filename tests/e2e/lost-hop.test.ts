/**
 * A tab of a route of two is paused, and then another one killed, in the middle of an answer in real tabs: the one in its place runs
 * what the answer had run, the other one runs nothing twice, and what is read is the reference's text.
 */
import type { Browser } from 'playwright'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { launchChromium } from '../support/browser.ts'
import { ChatPage } from '../support/chat-page.ts'
import { openDonorPage, type DonorPage } from '../support/donor-page.ts'
import { TestSwarm, tinytalesCase } from '../support/swarm.ts'

const READY_MS = 60_000
/** Some twenty tokens a second: time to press a button in the middle of an answer. */
const HALF = { splits: '4', simulate_speed: '160' }

let swarm: TestSwarm
let browser: Browser
let asker: ChatPage
/** By half of the model. */
let donors: [DonorPage[], DonorPage[]]
const byPeerId = new Map<string, DonorPage>()

beforeAll(async () => {
  browser = await launchChromium()
})
beforeEach(async () => {
  swarm = new TestSwarm()
  await swarm.relay()
  donors = [[], []]
  const url = `http://127.0.0.1:${swarm.ports[0]}/`
  const start = async (stage: 0 | 1): Promise<void> => {
    const donor = await openDonorPage(browser, url, { ...HALF, stage: String(stage) })
    donors[stage].push(donor)
    await donor.start()
    await donor.serving(READY_MS)
    const peerId = await donor.page.evaluate(() => (globalThis as unknown as { tabswarm: Handle }).tabswarm.peerId())
    byPeerId.set(peerId ?? '', donor)
  }
  await Promise.all([start(0), start(1), start(0), start(1)])
  asker = new ChatPage(await (await browser.newContext({ locale: 'en-US' })).newPage())
  await asker.openGreedy(url)
})
afterEach(async () => {
  await Promise.all(browser.contexts().map((context) => context.close()))
  await swarm?.stop()
})
afterAll(() => browser?.close())

interface Handle {
  donor(): { stats?: { tokensServed: number } } | null
  peerId(): string | null
}

/** Rows that a tab has run since it began to serve, as it says once a second. */
function rowsRun({ page }: DonorPage): Promise<number> {
  return page.evaluate(() => {
    const { tabswarm } = globalThis as unknown as { tabswarm: Handle }
    return tabswarm.donor()?.stats?.tokensServed ?? 0
  })
}

/** The donors of the route now, by half. */
async function route(): Promise<(DonorPage | undefined)[]> {
  return (await asker.route()).map(({ peerId }) => byPeerId.get(peerId))
}

test.each([
  ['the second tab is paused', 1, 'Tell me a story.'],
  ['the first tab is killed', 0, 'Tell me a story about a basket.'],
] as const)('%s in the middle of an answer: the one in its place alone runs again', async (_, lost, prompt) => {
  const { greedy_text: text, input_ids: asked, greedy } = tinytalesCase(prompt)
  await asker.send(prompt)
  await asker.underWay()
  const hops = await route()
  const [goes, stays] = [hops[lost], hops[1 - lost]] as [DonorPage, DonorPage]
  const comes = donors[lost].find((donor) => donor !== goes) as DonorPage
  if (lost === 1) await goes.page.getByTestId('donate-pause').click()
  else await goes.page.goto('chrome://crash').catch(() => undefined)
  expect(await asker.finished(0)).toBe(text.trim())
  const after = await route()
  expect([after.length, after[lost] === comes, after[1 - lost] === stays]).toEqual([2, true, true])
  // Both have run the prompt and the answer; whoever runs them again has the prompt and some words more.
  const whole = asked.length + greedy.length - 1
  await expect.poll(() => rowsRun(comes), { timeout: 10_000 }).toBeGreaterThanOrEqual(whole)
  await expect.poll(() => rowsRun(stays), { timeout: 10_000 }).toBeGreaterThanOrEqual(whole)
  expect(await rowsRun(stays)).toBeLessThan((await rowsRun(comes)) + asked.length)
})
