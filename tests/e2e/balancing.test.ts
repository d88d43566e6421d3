/**
 * The balance of a swarm over time under the published rule, on one swarm of three donors that may move: the tab of a `start`,
 * a page of a person, and a `donate`. Missing blocks are named; checks come at random times and a steady swarm moves nothing; an imbalance makes
 * all three move, with the original's lines, while a session that runs on one of them loses nothing. Speeds are simulated.
 */
import type { Browser } from 'playwright'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AppConfig } from '../../swarm/app-config.ts'
import { launchChromium } from '../support/browser.ts'
import { openDonorPage, type DonorPage } from '../support/donor-page.ts'
import { makeTempDir, removeTempDir, startTabswarm, type StartedProcess } from '../support/processes.ts'
import { answerOf, freePort, READY, tinytalesCase } from '../support/swarm.ts'

/** Four blocks at 4 block-steps a second: 1 rps each. A busy machine too has to be faster than every speed here: a tab says what it measures. */
const SPEED = 4
const PERIOD_S = 2
/** 0.9 asks for a gain of a ninth: then the last of the three moves too. */
const QUALITY = 0.9
const MOVER = [
  ['--rule', 'petals'],
  ['--num_blocks', '4'],
  ['--simulate-speed', String(SPEED)],
  ['--mean_balance_check_period', String(PERIOD_S)],
  ['--balance_quality', String(QUALITY)],
  ['--backend', 'software'],
].flat()
/** Fixed at the second half, 2.1 rps: more than two movers together, so that all three choose the first half. */
const SECOND_HALF = { splits: '4', stage: '1', simulate_speed: '8.5' }
/** Fixed at the first half, 10 rps: with it the second half is the poor one until all three have moved. */
const FIRST_HALF = { splits: '4', stage: '0', simulate_speed: '40' }

const CHECK = /^Swarm balance quality: \d+\.\d% \(initial=\d+\.\d\d, new=\d+\.\d\d\)$/
/** 4 block-steps a second over four blocks and a head of 0.97: 2048 × 192 against 405,504 weights a block. */
const MOVE = [
  /^Load balancing detected imbalance, will rebalance blocks$/,
  /^Selected blocks: \[4, 5, 6, 7\]$/,
  /^Load Balancing server ready, blocks=\[4, 5, 6, 7\], throughput=0\.80 rps$/,
] as const
const STAYS = /^Stays with its blocks: another tab is taking care of it\.$/
const STEADY_CHECKS = 24
/** Of a page that did not move: enough to see why. */
const LINES_SHOWN = 60

const STORY = tinytalesCase('Tell me a story.')
/** Some 20 s: longer than the moves take to begin. */
const ANSWER_TOKENS = 16

let dataDir: string
let browser: Browser
let start: StartedProcess
let donate: StartedProcess
let pageUrl: string
let relay: string
let person: DonorPage
let second: DonorPage
const others: StartedProcess[] = []

beforeAll(async () => {
  dataDir = makeTempDir('balance')
  browser = await launchChromium()
  const port = await freePort()
  pageUrl = `http://127.0.0.1:${port}/`
  start = startTabswarm(['start', '--tabs', '1', '--port', String(port), ...MOVER], { dataDir })
  await start.waitForLine(READY, 120_000)
  const config = (await (await fetch(new URL('config.json', pageUrl))).json()) as AppConfig
  relay = config.relays[0] as string
})
afterAll(async () => {
  await Promise.all([...others, donate, start].map((each) => each?.stop()))
  await browser?.close()
  removeTempDir(dataDir)
})

test('start names the blocks that nobody serves, and is ready when somebody brings them', async () => {
  await start.waitForLine(/^Missing blocks: 4–7 \(nobody serves or loads them\)\.$/, 30_000)
  await start.waitForLine(/^Waiting: nobody serves blocks 4–7\. It goes on by itself\.$/, 60_000)
  expect(start.both.some((line) => line.startsWith('Ready:'))).toBe(false)
  second = await openDonorPage(browser, pageUrl, SECOND_HALF)
  await second.start()
  await start.waitForLine(/^Ready:/, 120_000)
  await start.waitForLine(/^No block is missing any more\.$/, 10_000)
})

test('checks come at random times with the given mean, and a steady swarm moves nothing', async () => {
  person = await openDonorPage(browser, pageUrl, {})
  await person.start()
  await person.serving(60_000)
  donate = startTabswarm(['donate', '--dht_initial_peers', relay, ...MOVER], { dataDir })
  await donate.waitForLine(READY, 120_000)

  const checkTimes = async (): Promise<number[][]> => [
    ...[start, donate].map((each) => each.times.filter((_, index) => CHECK.test(each.both[index] as string))),
    (await person.panel()).filter((line) => CHECK.test(line.text)).map((line) => line.at),
  ]
  const intervals = async (): Promise<number[]> =>
    (await checkTimes()).flatMap((times) => times.slice(1).map((time, index) => time - (times[index] as number)))
  await expect
    .poll(async () => (await intervals()).length, { timeout: 10 * STEADY_CHECKS * 1_000, interval: 500 })
    .toBeGreaterThanOrEqual(STEADY_CHECKS)

  const seen = await intervals()
  // Uniform from 0 to twice the period: the mean of 24 lies within a third of it but once in ten thousand runs.
  const mean = seen.reduce((sum, ms) => sum + ms, 0) / seen.length
  expect(mean).toBeGreaterThan(PERIOD_S * 500)
  expect(mean).toBeLessThan(PERIOD_S * 2_000)
  expect(Math.min(...seen)).toBeLessThan(PERIOD_S * 1_000)
  expect(Math.max(...seen)).toBeGreaterThan(PERIOD_S * 1_000)
  expect(new Set(seen.map((ms) => Math.round(ms / 100))).size).toBeGreaterThan(5)

  for (const lines of [start.stdout, donate.stdout, person.console]) {
    expect(lines.filter((line) => line.startsWith('Selected blocks: '))).toEqual(['Selected blocks: [0, 1, 2, 3]'])
    expect(lines.filter((line) => MOVE[0].test(line))).toEqual([])
  }
})

test('an imbalance: the three move, an answer under way on one of them ends there', async () => {
  const first = await openDonorPage(browser, pageUrl, FIRST_HALF)
  const prompt = startTabswarm(
    ['prompt', '--dht_initial_peers', relay, '--temperature', '0', '--max-tokens', String(ANSWER_TOKENS)].concat([
      '--json',
      '--prompt',
      STORY.prompt,
    ]),
    { dataDir },
  )
  others.push(prompt)
  // Nobody else holds the first half yet: the session runs on one that is going to move.
  await prompt.waitForLine(/^Route: 0:4 at …\w+ → 4:8 at …\w+$/, 60_000)
  await first.start()
  await first.serving(60_000)

  await Promise.all([start, donate].map((each) => each.waitForLine(MOVE[2], 120_000)))
  await expect
    .poll(() => person.console.slice(-LINES_SHOWN), { timeout: 120_000 })
    .toContainEqual(expect.stringMatching(MOVE[2]))
  const panel = (await person.panel()).map((line) => line.text)
  for (const lines of [start.stdout, donate.stdout, person.console, panel]) expectMove(lines)

  const answer = await answerOf(prompt, 200_000)
  // None, unless it takes longer than a tab waits before it gives up its old blocks.
  for (const line of prompt.stderr.filter((each) => each.startsWith('Lost'))) {
    expect(line).toMatch(/^Lost …\w{6} \(peer 12D3KooW\w+ moved to other blocks\): looking for another route\.$/)
  }
  expect(answer.ids).toEqual(STORY.greedy.slice(0, ANSWER_TOKENS))
})

/**
 * The three lines of a move in this order, right after the check that asked for it, and one move only. A check may ask for
 * it before: when another tab claims the place first, the donor says that it stays, and asks again later.
 */
function expectMove(lines: readonly string[]): void {
  const [asked, selected, ready] = MOVE.map((pattern) => lines.flatMap((line, at) => (pattern.test(line) ? [at] : [])))
  expect([selected?.length, ready?.length]).toEqual([1, 1])
  const [selectedAt, readyAt] = [selected?.[0] as number, ready?.[0] as number]
  expect(selectedAt).toBeLessThan(readyAt)
  const askedAt = asked?.findLast((at) => at < selectedAt) ?? -1
  expect(lines[askedAt - 1]).toMatch(CHECK)
  expect(lines.slice(askedAt, selectedAt).filter((line) => STAYS.test(line))).toEqual([])
  expect(lines.filter((line) => STAYS.test(line))).toHaveLength((asked?.length ?? 0) - 1)
}
