/**
 * Tabs as a browser treats them when nobody looks: hidden, frozen, discarded, asleep with the whole machine; first a donor,
 * then a requesting page. One swarm: the tab under test and a slow stand-in hold the first half of the model, a slow donor
 * the second, so that an answer lasts long enough.
 */
import '../../net/compat.ts'
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createRequestingNode } from '../../net/node.ts'
import { nodePlatform } from '../../net/platform-node.ts'
import type { SwarmNode } from '../../net/types.ts'
import { RouteSession } from '../../session/route-session.ts'
import type { PeerRecord } from '../../swarm/peer-record.ts'
import { CdpChromium } from '../support/cdp-chromium/chromium.ts'
import type { CdpTab } from '../support/cdp-chromium/tab.ts'
import { peerIdOf, type StartedProcess } from '../support/processes.ts'
import { browserTree, signalAll } from '../support/slow-donors.ts'
import { READY, TestSwarm, tinytalesCase } from '../support/swarm.ts'

const STORY = tinytalesCase('Tell me a story.')
const ASK = ['--model', 'tinytales', '--temperature', '0', '--prompt', STORY.prompt]
const HALVES = ['--model', 'tinytales', '--splits', '4', '--backend', 'software']
/**
 * Block-steps a second: a token takes 25 ms in the second half, and 120 ms in the first where the stand-in runs it. The tab says what it
 * measures, which on a busy machine was less than twice this.
 */
const SECOND_SPEED = '160'
const STAND_IN_SPEED = '32'
/** Announced, so that routes lead through the tab; nothing is slowed, and no timer runs in a hidden page. */
const TAB_SPEED = '100000'
const VOCABULARY = 2048

let swarm: TestSwarm
let browser: CdpChromium
let tab: CdpTab
let front: CdpTab
let tabId: string
let second: StartedProcess
let standIn: StartedProcess
let bystander: SwarmNode

beforeAll(async () => {
  swarm = new TestSwarm()
  await swarm.relay(['--host', '127.0.0.1'])
  second = swarm.donor([...HALVES, '--stage', '1', '--simulate-speed', SECOND_SPEED])
  standIn = swarm.donor([...HALVES, '--stage', '0', '--simulate-speed', STAND_IN_SPEED])
  // The tab measures its speed when nothing loads beside it.
  await Promise.all([second, standIn].map((donor) => donor.waitForLine(READY, 120_000)))
  browser = await CdpChromium.start()
  const link = `?donate&tab=0&splits=4&stage=0&backend=software&simulate_speed=${TAB_SPEED}`
  tab = await browser.open(`http://127.0.0.1:${swarm.ports[0]}/${link}`)
  await tab.click('donate-start')
  await tab.until(`tabswarm.donor()?.status === 'serving'`)
  tabId = await tab.evaluate<string>('tabswarm.peerId()')
  front = await browser.open('about:blank')
  await tab.hidden()
  bystander = await createRequestingNode({
    relays: [swarm.addresses[0] as string],
    iceServers: [],
    modelDigests: [],
    platform: nodePlatform,
    log: () => undefined,
  })
  await vi.waitFor(() => expect(recordOfTab()).toBeDefined(), { timeout: 10_000 })
})
afterAll(async () => {
  await bystander?.stop()
  await browser?.stop()
  await swarm?.stop()
})

function recordOfTab(): PeerRecord | undefined {
  return bystander.directory.get(tabId)
}

/** Prints how long it took: for people, not asserted. */
async function timed(what: string, happens: () => Promise<unknown>): Promise<void> {
  const startedAt = performance.now()
  await happens()
  console.log(`${what}: ${Math.round(performance.now() - startedAt)} ms`)
}

/** Of a prompt that runs: its first words are there, and the tab runs its first half. */
async function underWay(prompt: StartedProcess): Promise<void> {
  await expect.poll(() => prompt.stdoutText().length, { timeout: 60_000, interval: 50 }).toBeGreaterThan(20)
  expect(prompt.stderr.join('\n')).toContain(`0:4 at …${tabId.slice(-6)}`)
}

async function expectWholeStory(prompt: StartedProcess): Promise<void> {
  const { code } = await prompt.exited(60_000)
  expect(prompt.stdoutText().trimEnd(), prompt.stderr.join('\n')).toBe(STORY.greedy_text)
  expect(code).toBe(0)
}

/** A session of its own through the tab: the first words of the story. */
async function expectServing(): Promise<void> {
  const record = recordOfTab()
  if (record === undefined) throw new Error('the tab is not listed')
  const session = await RouteSession.open({
    node: bystander,
    model: { id: record.model, vocabSize: VOCABULARY },
    hops: [
      { peerId: tabId, span: { start: 0, end: 4 } },
      { peerId: peerIdOf(second), span: { start: 4, end: 8 } },
    ],
    session: randomBytes(16).toString('hex'),
    epoch: 0,
    maxTokens: 64,
    now: () => performance.now(),
    signal: AbortSignal.timeout(20_000),
  })
  const ids = [...STORY.input_ids]
  for (const expected of STORY.greedy.slice(0, 3)) {
    const steps = session.feed(ids, 1)
    let step = await steps.next()
    while (step.done !== true) step = await steps.next()
    expect(step.value.ids[0]).toBe(expected)
    ids.push(expected)
  }
  await session.close()
}

test('a hidden tab serves', async () => {
  await tab.hidden()
  await expectServing()
  await tab.hidden()
})

test('frozen in the middle of an answer: the other holder goes on at once; thawed, it serves again', async () => {
  const prompt = swarm.startPrompt(ASK)
  await underWay(prompt)
  await tab.freeze()
  await timed('frozen → gone at a bystander', () =>
    expect.poll(recordOfTab, { timeout: 10_000, interval: 5 }).toBeUndefined(),
  )
  await prompt.waitForLine(/^Lost …/, 10_000)
  await tab.standsStill()
  await expectWholeStory(prompt)
  expect(prompt.stderr.filter((line) => line.startsWith('Lost'))).toHaveLength(1)
  expect(recordOfTab()).toBeUndefined()
  await timed('thawed → online at a bystander', async () => {
    await tab.thaw()
    await expect.poll(() => recordOfTab()?.state, { timeout: 20_000, interval: 5 }).toBe('online')
  })
  await expectServing()
})

test('the machine sleeps in the middle of an answer: others go on; awake, it serves again under its own name', async () => {
  const prompt = swarm.startPrompt(ASK)
  await underWay(prompt)
  browser.sleep()
  await expectWholeStory(prompt)
  expect(prompt.stderr.filter((line) => line.startsWith('Lost'))).toHaveLength(1)
  const seq = recordOfTab()?.seq ?? 0
  browser.wake()
  await timed('awake → announced anew', () =>
    expect.poll(() => recordOfTab()?.seq ?? 0, { timeout: 20_000, interval: 5 }).toBeGreaterThan(seq),
  )
  await expectServing()
  expect(await tab.evaluate('tabswarm.donor().stats.sessions')).toBe(0)
  expect(swarm.relays[0]?.both.filter((line) => line.includes('already in the swarm'))).toEqual([])
  expect(tab.errors).toEqual([])
})

test('discarded in the middle of an answer: the other holder goes on, the record is gone; looked at again, it donates on', async () => {
  const prompt = swarm.startPrompt(ASK)
  await underWay(prompt)
  await tab.hidden()
  const lookAgain = await browser.discard(tab)
  await timed('discarded → gone at a bystander', () =>
    expect.poll(recordOfTab, { timeout: 10_000, interval: 5 }).toBeUndefined(),
  )
  await expectWholeStory(prompt)
  tab = await lookAgain()
  await timed('looked at again → serving', () =>
    tab.until(`document.wasDiscarded && globalThis.tabswarm?.donor()?.status === 'serving'`),
  )
  await tab.until(`document.querySelector('[data-testid="donate-after-discard"]') !== null`)
  expect(await tab.evaluate('tabswarm.peerId()')).toBe(tabId)
  await expect.poll(() => recordOfTab()?.state, { timeout: 20_000, interval: 50 }).toBe('online')
  await tab.close()
  await timed('closed → gone at a bystander', () =>
    expect.poll(recordOfTab, { timeout: 10_000, interval: 5 }).toBeUndefined(),
  )
})

describe('a requesting page that is hidden', () => {
  let page: CdpTab

  beforeAll(async () => {
    page = await browser.open(`http://127.0.0.1:${swarm.ports[0]}/config.json`)
    await page.until(`document.readyState === 'complete'`)
    await page.evaluate(`localStorage.setItem('tabswarm.settings', '{"temperature":0}')`)
  })

  const answers = `[...document.querySelectorAll('[data-testid="chat-message-assistant"]')]`
  const text = `${answers}.at(-1).querySelector('[data-testid="chat-message-text"]').innerText`

  /** Asks for the story in front, in a new chat; hidden when a few words of it stand there. */
  async function askAndHide(): Promise<void> {
    await page.show()
    await page.send('Page.navigate', { url: `http://127.0.0.1:${swarm.ports[0]}/` })
    await page.until(`document.querySelector('[data-testid="model-coverage"].is-complete') !== null`)
    await page.until(`document.visibilityState === 'visible'`)
    await page.click('chat-new')
    await page.evaluate(`{
      const input = document.querySelector('[data-testid="chat-input"]')
      input.value = ${JSON.stringify(STORY.prompt)}
      input.dispatchEvent(new Event('input', { bubbles: true }))
    }`)
    await page.click('chat-send')
    await page.until(`${answers}.at(-1)?.dataset.state === 'streaming' && ${text}.split(' ').length > 4`)
    await front.show()
    await page.hidden()
  }

  async function expectWholeAnswer(): Promise<void> {
    await page.until(`${answers}.at(-1).dataset.state === 'done'`, 90_000)
    expect((await page.evaluate<string>(text)).trim()).toBe(STORY.greedy_text.trim())
    expect((await page.witness()).events.at(-1)).not.toBe('visible')
  }

  test('and frozen and thawed in the middle of an answer: it goes on to the same text', async () => {
    await askAndHide()
    await page.freeze()
    await page.standsStill()
    await page.thaw()
    await expectWholeAnswer()
    expect(page.errors).toEqual([])
  })

  test('notices a hop that does not answer any more, and goes on when it is awake again', async () => {
    await askAndHide()
    const asleep = browserTree(standIn)
    signalAll(asleep, 'SIGSTOP')
    await timed('asleep → noticed by a hidden page', () =>
      page.until(`document.querySelector('[data-testid="chat-status"][data-phase="paused"]') !== null`, 30_000),
    )
    signalAll(asleep, 'SIGCONT')
    await timed('awake → answered', expectWholeAnswer)
    expect(page.errors).toEqual([])
  })
})
