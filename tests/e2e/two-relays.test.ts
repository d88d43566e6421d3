/**
 * Two relays of one swarm, each knowing the other, with real tabs: either may be restarted, killed or hang, and answers,
 * records and new joins carry on through the other. The tests follow one another on one swarm.
 */
import type { Browser, Page } from 'playwright'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { launchChromium } from '../support/browser.ts'
import { ChatPage } from '../support/chat-page.ts'
import type { StartedProcess } from '../support/processes.ts'
import { startSlowDonors } from '../support/slow-donors.ts'
import { READY, TestSwarm, tinytalesCase } from '../support/swarm.ts'

const STORY = tinytalesCase('Tell me a story.')
const ASK = ['--model', 'tinytales', '--temperature', '0', '--prompt', STORY.prompt]
/** Enough of it to see that everybody was reached. */
const FEW = [...ASK, '--max-tokens', '8']
const FEW_IDS = STORY.greedy.slice(0, 8)
const RESTART = ['--restart-after', '4']

let swarm: TestSwarm
let donors: StartedProcess[]
let browser: Browser

beforeAll(async () => {
  swarm = new TestSwarm()
  await swarm.relay(RESTART)
  await swarm.relay(['--dht-initial-peers', addressOf(0), ...RESTART])
  // The first one learns of the second by being started again: the key is kept, so its address stays.
  await swarm.relays[0]?.stop()
  await startRelay(0)
  browser = await launchChromium()
  donors = await startSlowDonors(swarm, 2)
})
afterAll(async () => {
  await browser?.close()
  await swarm?.stop()
})

function addressOf(index: number): string {
  const address = swarm.addresses[index]
  if (address === undefined) throw new Error(`relay ${index} was not started`)
  return address
}

/** Starts a relay again, linked with the other one. */
async function startRelay(index: 0 | 1): Promise<StartedProcess> {
  const relay = await swarm.relay(['--dht-initial-peers', addressOf(1 - index), ...RESTART], index)
  await relay.waitForLine(/linked with another relay/)
  return relay
}

function relayAt(index: number): StartedProcess {
  const relay = swarm.relays[index]
  if (relay === undefined) throw new Error(`relay ${index} was not started`)
  return relay
}

async function openPage(index: number): Promise<ChatPage> {
  const chat = new ChatPage(await browser.newPage())
  await chat.openGreedy(`http://127.0.0.1:${swarm.ports[index]}/`)
  return chat
}

function relaysOf(page: Page): Promise<string[]> {
  return page.locator('.relay').evaluateAll((lines) => lines.map((line) => line.getAttribute('data-state') ?? ''))
}

/** A few words have been printed: the answer is under way. */
async function underWay(prompt: StartedProcess): Promise<void> {
  await expect.poll(() => prompt.stdoutText().length, { timeout: 60_000, interval: 50 }).toBeGreaterThan(20)
}

async function expectUnbroken(prompt: StartedProcess): Promise<void> {
  const { code } = await prompt.exited(120_000)
  expect(prompt.stdoutText().trimEnd(), prompt.stderr.join('\n')).toBe(STORY.greedy_text)
  expect(code).toBe(0)
  expect(prompt.stderr.filter((line) => line.startsWith('Lost'))).toEqual([])
}

test('one is restarted: everybody is told when it is back, nothing breaks, and all return to it', async () => {
  const page = await openPage(1)
  const prompt = swarm.startPrompt(ASK)
  await underWay(prompt)
  const before = performance.now()
  relayAt(0).signal('SIGTERM')
  const note = page.page.locator('.relay-notice')
  expect(await note.innerText({ timeout: 30_000 })).toMatch(/^The relay restarts and says it is back in about 4 s\./)
  expect(await relayAt(0).exited(30_000)).toEqual({ code: 0, signal: null })
  console.log(`the relay has told everyone and is gone after ${Math.round(performance.now() - before)} ms`)
  await prompt.waitForLine(/^The relay restarts and says it is back in about 4 s\./)
  await Promise.all(donors.map((donor) => donor.waitForLine(/The relay restarts and says it is back in about 4 s\./)))
  await expectUnbroken(prompt)
  await startRelay(0)
  await Promise.all(donors.map((donor) => donor.waitForLine(/The relay is back\./, 60_000)))
  await note.waitFor({ state: 'detached', timeout: 60_000 })
  await page.page.getByRole('link', { name: 'Swarm', exact: true }).first().click()
  await expect.poll(() => relaysOf(page.page), { timeout: 30_000 }).toEqual(['connected', 'connected'])
  await page.page.close()
  // Whoever knows the restarted one alone finds everybody.
  const answer = await swarm.prompt(FEW, { initialPeers: addressOf(0) })
  expect(answer.ids).toEqual(FEW_IDS)
})

test('one is killed in the middle of an answer, and while it is away a tab, a page and a prompt join by the other', async () => {
  const prompt = swarm.startPrompt(ASK)
  await underWay(prompt)
  relayAt(0).signal('SIGKILL')
  await expectUnbroken(prompt)
  const both = swarm.addresses.join(',')
  const joining = swarm.donor(['--model', 'tinytales', '--num_blocks', '4'], { initialPeers: both })
  await joining.waitForLine(READY, 90_000)
  const page = await openPage(1)
  await expect.poll(async () => (await page.directory()).length, { timeout: 30_000 }).toBe(3)
  await page.page.close()
  const answer = await swarm.prompt(FEW, { initialPeers: both })
  expect(answer.ids).toEqual(FEW_IDS)
  await joining.stop()
})

test('both have died, one after the other, and the first comes back: tabs that no relay held are reached again', async () => {
  // The tabs are with the second one only, which they were told of; now their only relay dies too.
  relayAt(1).signal('SIGKILL')
  await relayAt(1).exited()
  await swarm.relay(RESTART, 0)
  const answer = await swarm.prompt(FEW, { initialPeers: addressOf(0) })
  expect(answer.ids).toEqual(FEW_IDS)
  await startRelay(1)
})

test('one hangs: who has both goes on and joins by the other', async () => {
  const prompt = swarm.startPrompt(ASK)
  await underWay(prompt)
  relayAt(0).signal('SIGSTOP')
  try {
    await expectUnbroken(prompt)
    const answer = await swarm.prompt(FEW)
    expect(answer.ids).toEqual(FEW_IDS)
  } finally {
    relayAt(0).signal('SIGCONT')
  }
})
