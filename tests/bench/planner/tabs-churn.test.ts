/**
 * `npm run bench:planner`: what real tabs keep of their throughput while tabs join, finish, pause and are killed under eight
 * chats. Shares are of the bound of the tabs present at each moment; a stall is the time between two tokens of one answer.
 */
import { afterAll, expect, test } from 'vitest'
import { RULE_NAMES, type RuleName } from '../../../swarm/planner/rule-names.ts'
import { type Chats, strays, tokensBetween } from '../../support/chats/chats.ts'
import { sleep, type Tab, TabSwarm, type TabLike } from './tab-swarm.ts'

const CHATS = 8
/** The model twice over, and the bound is 4 tokens a second. */
const LIKES: readonly TabLike[] = [20, 14, 18, 12, 22, 16, 14, 12].map((speed) => ({ speed, maxBlocks: 8 }))
const LATE: TabLike = { speed: 16, maxBlocks: 8 }
const STEADY_MS = 12_000
const FIRST_WORDS_MS = 300_000
const WARM_UP_MS = 10_000
const NORMAL_MS = 40_000
/** Between two events. */
const APART_MS = 20_000

const rows: string[] = []
afterAll(() => console.log(`\n${rows.join('\n')}\n`))

/** Time with its bound: tokens that could have been, as tabs come and go. */
class Phase {
  readonly #swarm: TabSwarm
  readonly #from = Date.now()
  #since = this.#from
  #possible = 0
  #away = 0

  constructor(swarm: TabSwarm) {
    this.#swarm = swarm
  }

  /** Up to now with those that were there; to be called before they change. */
  count(): void {
    const now = Date.now()
    this.#possible += ((now - this.#since) / 1_000) * (this.#swarm.bound() - this.#away)
    this.#since = now
  }

  /** A tab that steps aside or comes back, in tokens a second of the bound. */
  step(bound: number): void {
    this.count()
    this.#away += bound
  }

  async end(chats: Chats): Promise<{ share: number; gaps: number[] }> {
    this.count()
    const tokens = tokensBetween(await chats.seen(), this.#from, this.#since)
    const gaps = tokens.flatMap(({ gapMs }) => (gapMs === null ? [] : [gapMs])).toSorted((a, b) => a - b)
    return { share: tokens.length / this.#possible, gaps }
  }
}

async function run(rule: RuleName): Promise<void> {
  const swarm = await TabSwarm.open(rule, LIKES)
  try {
    const late = await Promise.all([1, 2].map(() => swarm.plan(LATE)))
    await swarm.steady(STEADY_MS)
    const chats = await swarm.chats(CHATS)
    await chats.begin(FIRST_WORDS_MS)
    await sleep(WARM_UP_MS)
    let phase = new Phase(swarm)
    await sleep(NORMAL_MS)
    const normal = await phase.end(chats)
    const before = swarm.moves()

    phase = new Phase(swarm)
    await join(late[0] as Tab)
    const [finishing, pausing] = [swarm.tabs[1] as Tab, swarm.tabs[2] as Tab]
    phase.step(swarm.share(finishing))
    await finishing.press('finish')
    await sleep(APART_MS)
    phase.step(swarm.share(pausing))
    await pausing.press('pause')
    await sleep(APART_MS)
    phase.step(-swarm.share(pausing))
    await pausing.press('resume')
    await join(late[1] as Tab)
    const planned = await phase.end(chats)
    const moves = swarm.moves() - before

    phase = new Phase(swarm)
    for (const victim of [swarm.tabs[3], swarm.tabs[5]]) {
      phase.count()
      await (victim as Tab).kill()
      await sleep(APART_MS)
    }
    const killed = await phase.end(chats)
    const seen = await chats.seen()
    expect(seen.failures).toEqual([])
    expect(strays(seen)).toEqual([])
    const p95 = normal.gaps[Math.floor(normal.gaps.length * 0.95)] ?? NaN
    const stall = (gaps: readonly number[]): string =>
      `${(gaps.at(-1) ?? NaN).toFixed(0)} ms, ${((gaps.at(-1) ?? NaN) / p95).toFixed(1)} ×`
    rows.push(
      `${rule}: share of the bound, nobody moves ${normal.share.toFixed(2)}; joins, a finish, a pause ${planned.share.toFixed(2)}; ` +
        `two killed ${killed.share.toFixed(2)}`,
      `${rule}: kept of the share ${(planned.share / normal.share).toFixed(2)}, ${(killed.share / normal.share).toFixed(2)}`,
      `${rule}: a token's p95 ${p95.toFixed(0)} ms; longest stall normally ${stall(normal.gaps)}; ` +
        `in planned changes (${moves} moves) ${stall(planned.gaps)}; with tabs killed ${stall(killed.gaps)}`,
      `${rule}: answers ${seen.answers.length}, all of one text; given up by a tab ${seen.losses.filter(({ handedOver }) => handedOver).length}, ` +
        `lost ${seen.losses.filter(({ handedOver }) => !handedOver).length}`,
    )

    async function join(tab: Tab): Promise<void> {
      await tab.serve()
      phase.count()
      swarm.tabs.push(tab)
      await sleep(APART_MS)
    }
  } finally {
    await swarm.close()
  }
}

test('eight tabs under eight chats: joins, a finish, a pause, two killed', async () => {
  for (const rule of RULE_NAMES) await run(rule)
  expect(rows.length).toBeGreaterThan(0)
})
