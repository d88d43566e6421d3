/**
 * `npm run bench:planner`: what real tabs keep of their throughput while tabs join, finish, pause and are killed under eight
 * chats. Shares are of the bound of the tabs present at each moment; a stall is the time between two tokens of one answer.
 */
import { afterAll, expect, test } from 'vitest'
import { RULE_NAMES, type RuleName } from '../../../swarm/planner/rule-names.ts'
import { type Chats, strays, tokensBetween } from '../../support/chats/chats.ts'
import { TAB_SPEEDS } from './tab-figures.ts'
import { sleep, type Tab, TabSwarm, type TabLike } from './tab-swarm.ts'

const CHATS = 8
/** The model twice over, and the bound is 3.6 tokens a second. */
const LIKES: readonly TabLike[] = TAB_SPEEDS.map((speed) => ({ speed, maxBlocks: 8 }))
const LATE: TabLike = { speed: 16, maxBlocks: 8 }
const STEADY_MS = 12_000
const FIRST_WORDS_MS = 300_000
const WARM_UP_MS = 10_000
const NORMAL_MS = 40_000
/** Between two events. */
const APART_MS = 20_000

const rows: string[] = []
afterAll(() => console.log(`\n${rows.join('\n')}\n`))

interface Measured {
  name: string
  share: number
  /** Between two tokens of an answer, ms, ascending. */
  gaps: number[]
  moves: number
}

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
    const could = (await swarm.capacity()) / swarm.bound()
    const chats = await swarm.chats(CHATS)
    await chats.begin(FIRST_WORDS_MS)
    await sleep(WARM_UP_MS)

    const phaseOf = async (name: string, happens: (phase: Phase) => Promise<void>): Promise<Measured> => {
      const moves = swarm.moves()
      const phase = new Phase(swarm)
      await happens(phase)
      return { name, moves: swarm.moves() - moves, ...(await phase.end(chats)) }
    }
    const [finishing, pausing] = [swarm.tabs[1] as Tab, swarm.tabs[2] as Tab]
    const victims = [swarm.tabs[3], swarm.tabs[5]] as Tab[]
    const measured = [
      await phaseOf('nobody moves', () => sleep(NORMAL_MS)),
      await phaseOf('two join, one finishes', async (phase) => {
        await join(late[0] as Tab, phase)
        phase.step(swarm.share(finishing))
        await finishing.press('finish')
        await sleep(APART_MS)
        await join(late[1] as Tab, phase)
      }),
      await phaseOf('one pauses and comes back', async (phase) => {
        phase.step(swarm.share(pausing))
        await pausing.press('pause')
        await sleep(APART_MS)
        phase.step(-swarm.share(pausing))
        await pausing.press('resume')
        await sleep(APART_MS)
      }),
      await phaseOf('two killed', async (phase) => {
        for (const victim of victims) {
          phase.count()
          await victim.kill()
          await sleep(APART_MS)
        }
      }),
    ]
    const seen = await chats.seen()
    expect(seen.failures).toEqual([])
    expect(strays(seen)).toEqual([])
    const normal = measured[0] as Measured
    const p95 = normal.gaps[Math.floor(normal.gaps.length * 0.95)] ?? NaN
    rows.push(
      `${rule}: the placement could carry ${could.toFixed(2)} of the bound; a token's p95 while nobody moves ${p95.toFixed(0)} ms`,
      ...measured.map(({ name, share, gaps, moves }) => {
        const stall = gaps.at(-1) ?? NaN
        return (
          `${rule}: ${name}: share of the bound ${share.toFixed(2)}, kept ${(share / normal.share).toFixed(2)}; ` +
          `longest stall ${stall.toFixed(0)} ms, ${(stall / p95).toFixed(1)} × p95; ${moves} moves`
        )
      }),
      `${rule}: answers ${seen.answers.length}, all of one text; given up by a tab ${seen.losses.filter(({ handedOver }) => handedOver).length}, ` +
        `lost ${seen.losses.filter(({ handedOver }) => !handedOver).length}`,
    )

    async function join(tab: Tab, phase: Phase): Promise<void> {
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
