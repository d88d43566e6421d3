/**
 * Pause, Finish and Stop on real tabs while somebody reads an answer of theirs: one page asks, two tabs each hold the whole
 * model, at a simulated speed that leaves time to press a button in the middle of an answer. What is read is the reference's
 * text, whatever the owner does. One swarm for all: each test goes on with the tabs as the one before has left them.
 */
import type { Browser, Page } from 'playwright'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { launchChromium } from '../support/browser.ts'
import { ChatPage } from '../support/chat-page.ts'
import { openDonorPage, type DonorPage } from '../support/donor-page.ts'
import { TestSwarm, tinytalesCase } from '../support/swarm.ts'

const STORY = tinytalesCase('Tell me a story.')
/** All eight blocks, twenty tokens a second. */
const WHOLE = { num_blocks: '8', simulate_speed: '160' }
const READY_MS = 60_000
/** Ten times what a record takes to reach a page. */
const SEEN_MS = 5_000

let swarm: TestSwarm
let browser: Browser
let asker: ChatPage
let donors: DonorPage[]

beforeAll(async () => {
  swarm = new TestSwarm()
  await swarm.relay()
  browser = await launchChromium()
  const url = `http://127.0.0.1:${swarm.ports[0]}/`
  donors = await Promise.all([1, 2].map(() => openDonorPage(browser, url, WHOLE)))
  await Promise.all(donors.map((donor) => donor.start()))
  await Promise.all(donors.map((donor) => donor.serving(READY_MS)))
  asker = new ChatPage(await (await browser.newContext({ locale: 'en-US' })).newPage())
  await asker.openGreedy(url)
})
afterAll(async () => {
  await browser?.close()
  await swarm?.stop()
})

interface Handle {
  donor(): { status: string; duty?: string; stats?: { stepsServed: number; sessions: number } } | null
  peerId(): string | null
}

function readDonor({ page }: DonorPage): Promise<{ status: string; steps: number; peerId: string | null }> {
  return page.evaluate(() => {
    const { tabswarm } = globalThis as unknown as { tabswarm: Handle }
    const state = tabswarm.donor()
    return {
      status: state?.duty ?? state?.status ?? '',
      steps: state?.stats?.stepsServed ?? 0,
      peerId: tabswarm.peerId(),
    }
  })
}

/** serving, pausing, paused, finishing; or the donor's status where it does not serve. */
async function reaches(donor: DonorPage, status: string): Promise<void> {
  await expect.poll(async () => (await readDonor(donor)).status, { timeout: READY_MS, interval: 50 }).toBe(status)
}

async function seenAs(donor: DonorPage, state: string | undefined): Promise<void> {
  const { peerId } = await readDonor(donor)
  const seen = async (): Promise<string | undefined> =>
    (await asker.directory()).find((record) => record.peerId === peerId)?.state
  await expect.poll(seen, { timeout: SEEN_MS, interval: 50 }).toBe(state)
}

function press(page: Page, name: 'pause' | 'resume' | 'finish' | 'stop'): Promise<void> {
  return page.getByTestId(`donate-${name}`).click()
}

/** Asks in a new chat; resolves in the middle of the answer with the donor that gives it. */
async function ask(): Promise<DonorPage> {
  await asker.page.getByTestId('chat-new').first().click()
  await asker.send(STORY.prompt)
  await asker.underWay()
  return answering()
}

async function answering(): Promise<DonorPage> {
  const [hop] = await asker.route()
  for (const donor of donors) if ((await readDonor(donor)).peerId === hop?.peerId) return donor
  throw new Error(`the answer comes from nobody known: ${hop?.peerId}`)
}

/** The answer has gone over to this donor, which computes it. */
async function answersFrom(donor: DonorPage, steps: number): Promise<void> {
  await expect.poll(answering, { timeout: READY_MS, interval: 50 }).toBe(donor)
  await expect
    .poll(async () => (await readDonor(donor)).steps, { timeout: READY_MS, interval: 50 })
    .toBeGreaterThan(steps)
}

async function expectReference(): Promise<void> {
  expect(await asker.finished(0)).toBe(STORY.greedy_text.trim())
}

test('an answer goes on while its tab pauses, and while the next one stops; a paused tab computes nothing', async () => {
  const first = await ask()
  const second = donors.find((donor) => donor !== first) as DonorPage
  const before = (await readDonor(second)).steps
  await press(first.page, 'pause')
  await reaches(first, 'paused')
  const { steps } = await readDonor(first)
  await answersFrom(second, before + 1)
  await seenAs(first, 'leaving')
  expect(await first.page.getByTestId('donate-state').innerText()).toBe('Paused')
  expect(first.console.at(-1)).toBe('Takes no sessions and computes nothing. Blocks 0–7 stay on the GPU.')
  expect((await readDonor(first)).steps).toBe(steps)

  await press(first.page, 'resume')
  await reaches(first, 'serving')
  await seenAs(first, 'online')
  await press(second.page, 'stop')
  await answersFrom(first, steps + 1)
  await reaches(second, 'stopped')
  await expectReference()
  const happenings = await asker.happenings()
  expect(happenings).toHaveLength(2)
  // The one that stopped says goodbye to all, which may come first.
  expect(happenings[0]).toContain('moved, paused or stopped')
  donors = [first]
})

test('a connection that becomes metered pauses a person’s tab, unless they want it otherwise, and no longer than it is', async () => {
  const [donor] = donors as [DonorPage]
  const devtools = await donor.page.context().newCDPSession(donor.page)
  await donor.page.getByTestId('power-screen').check()
  const screen = donor.page.locator('#power-screen-help')
  await screen.getByText('Now: the screen stays on.').waitFor()
  await devtools.send('Emulation.setDataSaverOverride', { dataSaverEnabled: true })
  await reaches(donor, 'paused')
  expect(await donor.page.getByTestId('donate-state').innerText()).toBe(
    'Paused while the connection is metered. It resumes by itself on another one.',
  )
  await seenAs(donor, 'leaving')
  await screen.getByText('Now: off, nothing is served.').waitFor()
  // An owner who does not mind, and then does.
  const choice = donor.page.getByTestId('power-metered')
  await choice.uncheck()
  await reaches(donor, 'serving')
  await choice.check()
  await reaches(donor, 'paused')
  await devtools.send('Emulation.setDataSaverOverride', { dataSaverEnabled: false })
  await reaches(donor, 'serving')
  await screen.getByText('Now: the screen stays on.').waitFor()
  await seenAs(donor, 'online')
  const reasons = donor.console.filter((line) => /^(Paused|Resumes|Serves again)/.test(line)).slice(-3)
  expect(reasons.map((line) => line.split(':')[0])).toEqual(['Paused', 'Resumes', 'Serves again'])
})

test('the only holder says who would wait; paused, an answer waits and goes on; finishing, it comes to its end here', async () => {
  const [donor] = donors as [DonorPage]
  const onlyHere = donor.page.getByTestId('donate-only-here')
  await onlyHere.getByText('Nobody else serves blocks 0–7: while this tab is paused or stopped').waitFor()
  expect(await ask()).toBe(donor)
  // By the keyboard: what takes the button's place keeps the focus.
  await donor.page.getByTestId('donate-pause').press('Enter')
  await asker.status().getByText('nobody serves blocks 0–7 now').waitFor()
  await onlyHere.getByText('answers wait until you resume').waitFor()
  const { steps } = await readDonor(donor)
  await donor.page.getByTestId('donate-resume').and(donor.page.locator(':focus')).press('Enter')
  await answersFrom(donor, steps + 1)

  await press(donor.page, 'finish')
  await reaches(donor, 'finishing')
  await seenAs(donor, 'leaving')
  await expectReference()
  expect(await asker.happenings()).toHaveLength(1)
  expect(await answering()).toBe(donor)
  // Its chat is closed, so nothing is left that could go on.
  await asker.page.close()
  await reaches(donor, 'stopped')
  expect(donor.console.at(-1)).toBe('Finished.')
})
