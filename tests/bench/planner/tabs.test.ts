/**
 * `npm run bench:planner`: eight real tabs with different speeds and span lengths on a 32-block model, eight chats through them.
 * `flow` against `petals` on the same random swarms, one after the other within a run; shares are of the bound that no placement
 * can beat. `TABS_SEEDS` says which swarms (1,2,3).
 */
import { afterAll, expect, test } from 'vitest'
import { RULE_NAMES, type RuleName } from '../../../swarm/planner/rule-names.ts'
import { blockStepsOf } from '../../../swarm/planner/model.ts'
import { randomCluster } from '../../../swarm/simulator/generate.ts'
import { strays, tokensBetween } from '../../support/chats/chats.ts'
import { tokensBound, UNIT_WEIGHTS } from './tab-figures.ts'
import { sleep, TabSwarm, type TabLike } from './tab-swarm.ts'

const SEEDS = (process.env['TABS_SEEDS'] ?? '1,2,3').split(',').map(Number)
const TABS = 8
const CHATS = 8
/** Tokens a second of the bound: slow enough for two processors, which carry the tabs themselves besides. */
const BOUND = 4
const STEADY_MS = 12_000
const FIRST_WORDS_MS = 300_000
const WARM_UP_MS = 10_000
const WINDOW_MS = 40_000

const rows: string[] = []
afterAll(() => console.log(`\n${rows.join('\n')}\n`))

/** Log-normal speeds and spans of 4 to 8, scaled so that all swarms have the same bound. */
function likesOf(seed: number): TabLike[] {
  const { peers } = randomCluster({ seed, peers: TABS, units: UNIT_WEIGHTS.length })
  const speeds = peers.map((peer) => blockStepsOf(peer, UNIT_WEIGHTS.length))
  const scale = BOUND / tokensBound(speeds)
  return peers.map(({ maxBlocks }, index) => ({
    speed: Number(((speeds[index] as number) * scale).toFixed(2)),
    maxBlocks,
  }))
}

interface Measured {
  tokensPerSecond: number
  capacity: number
}

async function measure(rule: RuleName, seed: number): Promise<Measured> {
  const swarm = await TabSwarm.open(rule, likesOf(seed))
  try {
    await swarm.steady(STEADY_MS)
    const capacity = await swarm.capacity()
    const chats = await swarm.chats(CHATS)
    await chats.begin(FIRST_WORDS_MS)
    await sleep(WARM_UP_MS)
    const began = Date.now()
    await sleep(WINDOW_MS)
    const ended = Date.now()
    const seen = await chats.seen()
    expect(seen.failures).toEqual([])
    expect(strays(seen)).toEqual([])
    const tokensPerSecond = (tokensBetween(seen, began, ended).length / (ended - began)) * 1_000
    const spans = (await swarm.spans()).map(({ start, end }) => `${start}:${end}`)
    rows.push(
      `swarm ${seed}, ${rule.padEnd(6)} ${tokensPerSecond.toFixed(2)} tokens/s, ${percent(tokensPerSecond / BOUND)} of the bound; ` +
        `its placement could carry ${capacity.toFixed(2)}; ${spans.join(' ')}`,
    )
    return { tokensPerSecond, capacity }
  } finally {
    await swarm.close()
  }
}

test('eight tabs, eight chats: flow against petals', async () => {
  const ratios: number[] = []
  const shares: number[] = []
  for (const [round, seed] of SEEDS.entries()) {
    const measured = new Map<RuleName, Measured>()
    const order = round % 2 === 0 ? RULE_NAMES : RULE_NAMES.toReversed()
    for (const rule of order) measured.set(rule, await measure(rule, seed))
    const [flow, petals] = [measured.get('flow') as Measured, measured.get('petals') as Measured]
    expect(flow.tokensPerSecond).toBeGreaterThan(0)
    ratios.push(flow.tokensPerSecond / petals.tokensPerSecond)
    shares.push(flow.tokensPerSecond / BOUND)
  }
  rows.push(`eight chats: flow ÷ petals, tokens a second (median, least–most): ${spread(ratios, 2)}`)
  rows.push(`eight chats: flow, share of the bound: ${spread(shares, 2)}`)
})

function spread(values: readonly number[], digits: number): string {
  const sorted = values.toSorted((a, b) => a - b)
  const [least, middle, most] = [sorted[0], sorted[sorted.length >> 1], sorted.at(-1)]
  return `${middle?.toFixed(digits)} (${least?.toFixed(digits)}–${most?.toFixed(digits)})`
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`
}
