/**
 * The faults of `tests/e2e/faults.test.ts` as the page shows them: with a replica the answer on the page is that of an
 * unbroken run, and the page says which tab went away. Two relays are one swarm, whichever of them the page comes from.
 */
import type { Browser } from 'playwright'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { launchChromium } from '../support/browser.ts'
import { ChatPage } from '../support/chat-page.ts'
import type { StartedProcess } from '../support/processes.ts'
import { browserTree, donorOf, signalAll, startSlowDonors } from '../support/slow-donors.ts'
import { READY, TestSwarm, tinytalesCase } from '../support/swarm.ts'

const STORY = tinytalesCase('Tell me a story.')

let swarm: TestSwarm
let browser: Browser

beforeAll(async () => {
  browser = await launchChromium()
})
afterAll(() => browser?.close())
afterEach(() => swarm.stop())

/** The answer is under way on the page; the holder of `span` on its route is what the test breaks. */
async function midAnswer(span: string, replicaOf: number): Promise<{ chat: ChatPage; holder: StartedProcess }> {
  swarm = new TestSwarm()
  await swarm.relay()
  const donors = await startSlowDonors(swarm, 4, replicaOf)
  const chat = new ChatPage(await browser.newPage())
  await chat.openGreedy(`http://127.0.0.1:${swarm.ports[0]}/`)
  await chat.send(STORY.prompt)
  await chat.underWay()
  const hop = (await chat.route()).find((candidate) => candidate.span === span)
  return { chat, holder: donorOf(donors, hop?.peerId) }
}

async function expectWholeStory(chat: ChatPage): Promise<void> {
  expect(await chat.finished(0, 'done', 180_000)).toBe(STORY.greedy_text.trim())
  expect(await chat.happenings()).toHaveLength(1)
  await chat.page.close()
}

test('a donor tab is closed and a replica holds its blocks', async () => {
  const { chat, holder } = await midAnswer('2:4', 1)
  holder.signal('SIGINT')
  await expectWholeStory(chat)
})

test("a donor's browser is killed and a replica holds its blocks", async () => {
  const { chat, holder } = await midAnswer('4:6', 2)
  signalAll(browserTree(holder), 'SIGKILL')
  await expectWholeStory(chat)
})

test("a donor's browser is stopped, a replica takes over, and it is resumed", async () => {
  const { chat, holder } = await midAnswer('0:2', 0)
  const tree = browserTree(holder)
  signalAll(tree, 'SIGSTOP')
  try {
    await expectWholeStory(chat)
  } finally {
    signalAll(tree, 'SIGCONT')
  }
})

test('two relays, donors on each: a page from either sees one swarm and gets the same answer', async () => {
  swarm = new TestSwarm()
  await swarm.relay()
  await swarm.relay(['--dht-initial-peers', swarm.addresses[0] as string])
  for (const relay of [0, 1, 0, 1]) {
    const donor = swarm.donor(['--model', 'tinytales', '--num_blocks', '2'], {
      initialPeers: swarm.addresses[relay] as string,
    })
    await donor.waitForLine(READY, 90_000)
  }
  for (const port of swarm.ports) {
    const chat = new ChatPage(await browser.newPage())
    await chat.openGreedy(`http://127.0.0.1:${port}/`)
    expect(await chat.directory()).toHaveLength(4)
    await chat.send(STORY.prompt)
    expect(await chat.finished(0)).toBe(STORY.greedy_text.trim())
    expect(new Set((await chat.route()).map(({ peerId }) => peerId)).size).toBe(4)
    await chat.page.close()
  }
})
