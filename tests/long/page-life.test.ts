/**
 * What takes minutes of the life of tabs: a donor that nobody is connected to, hidden for longer than the browser's patience,
 * and a sleep that outlives every record.
 */
import '../../net/compat.ts'
import { afterEach, expect, test } from 'vitest'
import { createRequestingNode } from '../../net/node.ts'
import { nodePlatform } from '../../net/platform-node.ts'
import type { SwarmNode } from '../../net/types.ts'
import { CdpChromium } from '../support/cdp-chromium/chromium.ts'
import type { CdpTab } from '../support/cdp-chromium/tab.ts'
import { TestSwarm, tinytalesCase } from '../support/swarm.ts'

const STORY = tinytalesCase('Tell me a story.')
const ASK = ['--model', 'tinytales', '--temperature', '0', '--prompt', STORY.prompt]

let swarm: TestSwarm
let browser: CdpChromium
let watchers: SwarmNode[] = []

afterEach(async () => {
  await Promise.all(watchers.map((node) => node.stop()))
  watchers = []
  await browser?.stop()
  await swarm?.stop()
})

/** A hidden donor of the whole model; what is in front of it is blank. */
async function hiddenDonor(args: readonly string[]): Promise<{ tab: CdpTab; peerId: string }> {
  swarm = new TestSwarm()
  await swarm.relay(['--host', '127.0.0.1'])
  browser = await CdpChromium.start(args)
  const tab = await browser.open(`http://127.0.0.1:${swarm.ports[0]}/?donate&tab=0&num_blocks=8&backend=software`)
  await tab.click('donate-start')
  await tab.until(`tabswarm.donor()?.status === 'serving'`)
  await browser.open('about:blank')
  await tab.hidden()
  return { tab, peerId: await tab.evaluate<string>('tabswarm.peerId()') }
}

async function watcher(): Promise<SwarmNode> {
  const node = await createRequestingNode({
    relays: [swarm.addresses[0] as string],
    iceServers: [],
    modelDigests: [],
    platform: nodePlatform,
    log: () => undefined,
  })
  watchers.push(node)
  return node
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

test('hidden for minutes, nobody connected, throttled as hard as the browser does: listed, back after its relay, serving', async () => {
  const { tab, peerId } = await hiddenDonor(['--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/1'])
  // A page that only looks on, to see that the browser does throttle so hard.
  const idle = await browser.open(`http://127.0.0.1:${swarm.ports[0]}/config.json`)
  await idle.until(`document.readyState === 'complete'`)
  await browser.open('about:blank')
  await idle.hidden()
  await wait(15_000)
  const before = [await idle.witness(), await tab.witness()] as const
  await wait(120_000)
  const after = [await idle.witness(), await tab.witness()] as const
  const ticks = after.map((witness, i) => witness.ticks - (before[i]?.ticks ?? 0))
  console.log(`ticks in two minutes: ${ticks[0]} of an idle page, ${ticks[1]} of a donor`)
  expect(ticks[0]).toBeLessThan(10)
  expect(ticks[1]).toBeGreaterThan(60)
  const first = await watcher()
  await expect.poll(() => first.directory.get(peerId)?.state, { timeout: 10_000 }).toBe('online')
  expect(first.now() - (first.directory.get(peerId)?.issuedAt ?? 0)).toBeLessThan(45_000)
  await first.stop()
  watchers = []
  swarm.relays[0]?.signal('SIGKILL')
  await swarm.relays[0]?.exited(10_000)
  await wait(10_000)
  await swarm.relay(['--host', '127.0.0.1'], 0)
  const startedAt = performance.now()
  const second = await watcher()
  await expect.poll(() => second.directory.get(peerId)?.state, { timeout: 30_000, interval: 50 }).toBe('online')
  console.log(`relay back → listed again: ${Math.round(performance.now() - startedAt)} ms`)
  const answer = await swarm.prompt(ASK)
  expect(answer.ids).toEqual(STORY.greedy)
  expect(tab.errors.filter((line) => !line.includes('WebSocket'))).toEqual([])
})

test('a sleep of two minutes: the record is gone for everybody, and awake the tab is back under its own name', async () => {
  const { tab, peerId } = await hiddenDonor([])
  const bystander = await watcher()
  await expect.poll(() => bystander.directory.get(peerId)?.state, { timeout: 10_000 }).toBe('online')
  browser.sleep()
  const asleepAt = performance.now()
  await expect.poll(() => bystander.directory.get(peerId), { timeout: 100_000, interval: 50 }).toBeUndefined()
  console.log(`asleep → gone at a bystander: ${Math.round(performance.now() - asleepAt)} ms`)
  await wait(120_000 - (performance.now() - asleepAt))
  expect(bystander.directory.get(peerId)).toBeUndefined()
  browser.wake()
  const awakeAt = performance.now()
  await expect.poll(() => bystander.directory.get(peerId)?.state, { timeout: 30_000, interval: 50 }).toBe('online')
  console.log(`awake → online at a bystander: ${Math.round(performance.now() - awakeAt)} ms`)
  const answer = await swarm.prompt(ASK)
  expect(answer.ids).toEqual(STORY.greedy)
  expect(answer.route.map(({ peer }) => peer)).toEqual([peerId])
  expect(swarm.relays[0]?.both.filter((line) => line.includes('already in the swarm'))).toEqual([])
  expect(await tab.evaluate('tabswarm.donor().stats.sessions')).toBe(0)
})
