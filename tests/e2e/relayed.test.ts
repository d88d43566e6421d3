/**
 * Tabs that no WebRTC reaches: their sessions go through the relay, with the same text, and say so. One swarm: a direct tab with the
 * first half of the model, and a tab without UDP with the second.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Browser } from 'playwright'
import { launchChromium } from '../support/browser.ts'
import { ChatPage } from '../support/chat-page.ts'
import { chromiumWithoutUdp } from '../support/no-udp-chromium.ts'
import { peerIdOf, type StartedProcess } from '../support/processes.ts'
import { answerOf, READY, TestSwarm, tinytalesCase } from '../support/swarm.ts'

const STORY = tinytalesCase('Tell me a story.')
const ASK = ['--temperature', '0', '--prompt', STORY.prompt]
const HALF = ['--splits', '4', '--backend', 'software']

let swarm: TestSwarm
let browser: Browser
let relayed: StartedProcess

beforeAll(async () => {
  swarm = new TestSwarm()
  await swarm.relay(['--host', '127.0.0.1'])
  const direct = swarm.donor([...HALF, '--stage', '0'])
  relayed = swarm.donor([...HALF, '--stage', '1', '--chromium', chromiumWithoutUdp(swarm.dataDir)])
  await Promise.all([direct, relayed].map((each) => each.waitForLine(READY, 120_000)))
  browser = await launchChromium()
})
afterAll(async () => {
  await browser?.close()
  await swarm?.stop()
})

test('the text is that of direct connections, and the route says which hop is relayed', async () => {
  const prompt = swarm.startPrompt([...ASK, '--json'])
  const answer = await answerOf(prompt)
  expect(answer.ids).toEqual(STORY.greedy)
  expect(answer.route.map(({ start, path }) => [start, path])).toEqual([
    // Its way to the next hop leads through the relay.
    [0, 'relayed'],
    [4, 'relayed'],
  ])
  expect(prompt.stderr.join('\n')).toMatch(/^Route: 0:4 at …\w+ \(relayed\) → 4:8 at …\w+ \(relayed\)$/m)
})

test('the page is answered the same, and shows it', async () => {
  const page = await browser.newPage()
  const chat = new ChatPage(page)
  await chat.openGreedy(`http://127.0.0.1:${swarm.ports[0]}/`)
  await chat.send(STORY.prompt)
  expect(await chat.finished(0)).toBe(STORY.greedy_text.trim())
  await expect.poll(() => page.locator('.route-hop.is-relayed').count()).toBe(2)
  await page.close()
})

test('the relay is killed while a session rides on it: it pauses, and goes on when the relay is back', async () => {
  const prompt = swarm.startPrompt([...ASK, '--ignore-eos', '--max-tokens', '400', '--json'])
  await prompt.waitForLine(/^Route: /, 60_000)
  const relay = swarm.relays[0] as StartedProcess
  relay.signal('SIGKILL')
  await relay.exited(10_000)
  await prompt.waitForLine(/^(Lost|Waiting)/, 60_000)
  await swarm.relay(['--host', '127.0.0.1'], 0)
  const answer = await answerOf(prompt, 120_000)
  expect(answer.ids.slice(0, STORY.greedy.length)).toEqual(STORY.greedy)
  expect(answer.ids).toHaveLength(400)
})

test('a relayed tab that dies is noticed, and its blocks are named', async () => {
  const prompt = swarm.startPrompt([...ASK, '--ignore-eos', '--max-tokens', '400'])
  await prompt.waitForLine(/^Route: /, 60_000)
  relayed.signal('SIGKILL')
  await prompt.waitForLine(/^Waiting: nobody serves blocks 4–7/, 60_000)
  expect(prompt.stderr.join('\n')).toContain(peerIdOf(relayed).slice(-6))
  await prompt.stop()
})
