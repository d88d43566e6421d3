/**
 * What happens on the page while an answer streams there: the relay is killed and comes back; the only holder of some blocks
 * dies, and another donor takes its place. The other faults, seen from the page, are long tests.
 */
import type { Browser } from 'playwright'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { launchChromium } from '../support/browser.ts'
import { ChatPage } from '../support/chat-page.ts'
import { browserTree, donorOf, returningDonor, signalAll, startSlowDonors } from '../support/slow-donors.ts'
import type { StartedProcess } from '../support/processes.ts'
import { TestSwarm, tinytalesCase } from '../support/swarm.ts'

const STORY = tinytalesCase('Tell me a story.')

let swarm: TestSwarm
let donors: StartedProcess[]
let browser: Browser

beforeAll(async () => {
  swarm = new TestSwarm()
  await swarm.relay()
  browser = await launchChromium()
  donors = await startSlowDonors(swarm, 2)
})
afterAll(async () => {
  await browser?.close()
  await swarm?.stop()
})

async function openPage(): Promise<ChatPage> {
  const chat = new ChatPage(await browser.newPage())
  await chat.openGreedy(`http://127.0.0.1:${swarm.ports[0]}/`)
  return chat
}

test('the relay is killed: the answer goes on unbroken, and when it is back a new tab sees everybody', async () => {
  const chat = await openPage()
  await chat.send(STORY.prompt)
  await chat.underWay()
  swarm.relays[0]?.signal('SIGKILL')
  expect(await chat.finished(0)).toBe(STORY.greedy_text.trim())
  expect(await chat.happenings()).toEqual([])
  await swarm.relay([], 0)
  const later = await openPage()
  expect(await later.directory()).toHaveLength(2)
  await later.page.close()
  await chat.page.close()
})

test('the only holder of some blocks dies: paused with the blocks named, and on by itself when a donor returns', async () => {
  const chat = await openPage()
  await chat.send(STORY.prompt)
  await chat.underWay()
  const last = (await chat.route()).find(({ span }) => span === '4:8')
  signalAll(browserTree(donorOf(donors, last?.peerId)), 'SIGKILL')
  await chat.status().and(chat.page.locator('[data-phase="paused"]')).getByText('4–7').waitFor({ timeout: 60_000 })
  expect(await chat.textOf(0)).not.toBe('')
  returningDonor(swarm, 2)
  expect(await chat.finished(0, 'done', 180_000)).toBe(STORY.greedy_text.trim())
  expect((await chat.happenings()).join()).toContain(last?.peerId.slice(-6))
  await chat.page.close()
})
