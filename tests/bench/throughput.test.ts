/**
 * `npm run bench`: what a swarm carries with several prompts at once, before and after a join and a leave, as a share of the
 * bound that no placement can beat: sum of the tabs' speeds ÷ blocks. Speeds are simulated (one adapter is shared by all
 * tabs of a machine), so the shares say how well tabs are used and not how fast the machine is.
 */
import type { Browser } from 'playwright'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { launchChromium } from '../support/browser.ts'
import { openDonorPage, type DonorPage } from '../support/donor-page.ts'
import type { StartedProcess } from '../support/processes.ts'
import { TestSwarm } from '../support/swarm.ts'

const BLOCKS = 8
/** Block-steps a second of every tab: slow enough for eight tabs on one software adapter. */
const SPEED = 16
/** As many sessions as a tab takes. */
const PROMPTS = 8
const WINDOW_MS = 20_000
/** For eight processes to start and join on a machine that is busy with the tabs. */
const FIRST_WORDS_MS = 90_000

const rows: string[] = []
function report(name: string, value: string): void {
  rows.push(`${name.padEnd(64)} ${value}`)
}
afterAll(() => console.log(`\n${rows.join('\n')}\n`))

let swarm: TestSwarm
let browser: Browser
const tabs: DonorPage[] = []

beforeAll(async () => {
  swarm = new TestSwarm()
  await swarm.relay()
  browser = await launchChromium()
})
afterAll(async () => {
  await browser?.close()
  await swarm?.stop()
})

async function join(blocks: number): Promise<DonorPage> {
  const tab = await openDonorPage(browser, `http://127.0.0.1:${swarm.ports[0]}/`, {
    model: 'tinytales',
    num_blocks: String(blocks),
    simulate_speed: String(SPEED),
  })
  await tab.start()
  await tab.serving(90_000)
  tabs.push(tab)
  return tab
}

interface Serving {
  span: { start: number; end: number }
  stats: { tokensServed: number }
}

async function figures(tab: DonorPage): Promise<Serving> {
  const state = await tab.page.evaluate(() =>
    (globalThis as unknown as { tabswarm: { donor(): unknown } }).tabswarm.donor(),
  )
  return state as Serving
}

/** Tokens that have passed the whole model: each passes the last block once. */
async function tokensThrough(): Promise<number> {
  const all = await Promise.all(tabs.map(figures))
  return all.filter(({ span }) => span.end === BLOCKS).reduce((sum, { stats }) => sum + stats.tokensServed, 0)
}

/** Tokens a second of as many prompts as a tab takes at once. */
async function measure(name: string): Promise<number> {
  const prompts: StartedProcess[] = []
  try {
    for (let i = 0; i < PROMPTS; i += 1) {
      const ask = [
        '--model',
        'tinytales',
        '--prompt',
        'Hi',
        '--temperature',
        '0',
        '--max-tokens',
        '400',
        '--ignore-eos',
        // Rows are counted where the model ends: a guess that is wrong is no token.
        '--speculate',
        'off',
      ]
      prompts.push(swarm.startPrompt(ask))
    }
    const speakers = await speaking(prompts)
    const [before, beganAt] = [await tokensThrough(), performance.now()]
    await new Promise((resolve) => setTimeout(resolve, WINDOW_MS))
    const perSecond = ((await tokensThrough()) - before) / ((performance.now() - beganAt) / 1000)
    const spans = (await Promise.all(tabs.map(figures))).map(({ span }) => span)
    const bound = (tabs.length * SPEED) / BLOCKS
    const share = (whole: number): string => `${((100 * perSecond) / whole).toFixed(0)} %`
    report(
      `${name}: ${perSecond.toFixed(2)} tokens/s, of the bound of ${bound.toFixed(2)}`,
      `${share(bound)}; of what the placement can carry (${capacity(spans).toFixed(2)}): ${share(capacity(spans))}`,
    )
    report(
      '  blocks',
      spans
        .map(({ start, end }) => `${start}:${end}`)
        .toSorted()
        .join(' '),
    )
    report('  prompts that answer; by hops', `${speakers} of ${PROMPTS}; ${countBy(prompts.map(hopsOf))}`)
    return perSecond
  } finally {
    await Promise.all(prompts.map((prompt) => prompt.stop()))
  }
}

/** How many speak: all of them, or those that do when the time is over. */
async function speaking(prompts: readonly StartedProcess[]): Promise<number> {
  const deadline = performance.now() + FIRST_WORDS_MS
  const count = (): number => prompts.filter((prompt) => prompt.stdoutText() !== '').length
  while (count() < prompts.length && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return count()
}

function hopsOf(prompt: StartedProcess): number {
  return prompt.stderr.findLast((line) => line.startsWith('Route: '))?.split('→').length ?? 0
}

function countBy(values: readonly number[]): string {
  const distinct = [...new Set(values)].toSorted((a, b) => a - b)
  return distinct.map((value) => `${values.filter((other) => other === value).length} of ${value}`).join(', ')
}

test('throughput before and after a join and a leave', async () => {
  for (let i = 0; i < 4; i += 1) await join(2)
  expect(await measure('four tabs of two blocks')).toBeGreaterThan(0)

  let beganAt = performance.now()
  await join(2)
  report('a fifth joins: opened to serving, s', ((performance.now() - beganAt) / 1000).toFixed(1))
  expect(await measure('a fifth has joined')).toBeGreaterThan(0)

  const spans = (await Promise.all(tabs.map(figures))).map(({ span }) => span.start)
  const only = spans.findIndex((start) => spans.filter((other) => other === start).length === 1)
  const [leaver] = tabs.splice(only, 1)
  beganAt = performance.now()
  await leaver?.close()
  const isWhole = async (): Promise<boolean> =>
    new Set((await Promise.all(tabs.map(figures))).map(({ span }) => span.start)).size === BLOCKS / 2
  await expect.poll(isWhole, { timeout: 60_000, interval: 50 }).toBe(true)
  report('the only holder of a span leaves: covered again after, s', ((performance.now() - beganAt) / 1000).toFixed(1))
  expect(await measure('the only holder of a span has left')).toBeGreaterThan(0)

  await join(BLOCKS)
  expect(await measure('one with the whole model has joined')).toBeGreaterThan(0)
})

/**
 * The most tokens a second that any routing can carry: for a given rate, block by block, the tab whose span ends first pays
 * first; the rate by halving.
 */
function capacity(spans: readonly { start: number; end: number }[]): number {
  const carries = (rate: number): boolean => {
    const left = spans.map(() => SPEED)
    for (let block = 0; block < BLOCKS; block += 1) {
      let open = rate
      const holders = spans
        .map((span, tab) => ({ ...span, tab }))
        .filter(({ start, end }) => start <= block && block < end)
        .toSorted((a, b) => a.end - b.end)
      for (const { tab } of holders) {
        const paid = Math.min(open, left[tab] as number)
        left[tab] = (left[tab] as number) - paid
        open -= paid
      }
      if (open > 1e-9) return false
    }
    return true
  }
  let [low, high] = [0, (spans.length * SPEED) / BLOCKS]
  for (let i = 0; i < 40; i += 1) {
    const middle = (low + high) / 2
    if (carries(middle)) low = middle
    else high = middle
  }
  return low
}
