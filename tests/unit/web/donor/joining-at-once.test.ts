/** A hundred tabs that start within one second, over a network with delays: where their claims end, and how soon. */
import { describe, expect, it } from 'vitest'
import type { Directory } from '../../../../net/types.ts'
import { chooseByClaim, chooseTogether, startingBefore, type Joiner } from '../../../../swarm/planner/claims.ts'
import { placementRule } from '../../../../swarm/planner/rules.ts'
import { RULE_NAMES } from '../../../../swarm/planner/rule-names.ts'
import type { PlacementRule, PlannerPeer } from '../../../../swarm/planner/types.ts'
import { compareClaims } from '../../../../swarm/planner/view.ts'
import type { Span } from '../../../../swarm/span.ts'
import { SETTLE_MS, settleClaim } from '../../../../web/donor/settle.ts'
import { peer, seededRandom, view } from '../../swarm/planner/support.ts'
import { VirtualClock } from './virtual-clock.ts'

const BLOCKS = 32
const STARTS_WITHIN_MS = 1_000
const MOST_DELAY_MS = 300

/** The same question has the same answer, whoever of the hundred asks it. */
function remembered(rule: PlacementRule): PlacementRule {
  const answers = new Map<string, Span>()
  return {
    ...rule,
    chooseSpan: (swarm, joiner) => {
      let key = joiner.peerId
      for (const { peerId, span } of swarm.peers) key += ` ${peerId} ${span.start}:${span.end}`
      const span = answers.get(key) ?? rule.chooseSpan(swarm, joiner)
      answers.set(key, span)
      return span
    },
  }
}

class Tab {
  readonly joiner: Joiner
  readonly #heard = new Map<string, PlannerPeer>()
  readonly #listeners = new Set<() => void>()
  claims = 0
  settledAt = Number.POSITIVE_INFINITY
  span: Span | null = null

  constructor(joiner: Joiner) {
    this.joiner = joiner
  }

  readonly directory: Directory = {
    records: () => [],
    get: () => undefined,
    models: () => [],
    onChange: (listener) => {
      this.#listeners.add(listener)
      return () => this.#listeners.delete(listener)
    },
  }

  view(served: readonly PlannerPeer[]) {
    return view(BLOCKS, ...served, ...this.#heard.values())
  }

  hear(record: PlannerPeer): void {
    this.#heard.set(record.peerId, record)
    for (const listener of this.#listeners) listener()
  }
}

async function startAtOnce(rule: PlacementRule, count: number, served: readonly PlannerPeer[], seed: number) {
  const random = seededRandom(seed * 7919)
  const clock = new VirtualClock()
  const startedAt = clock.now()
  const tabs = Array.from(
    { length: count },
    (_, i) =>
      new Tab({
        // Ties of the clock are broken by ids that are in no order.
        peerId: `p${String((i * 37) % 101).padStart(3, '0')}`,
        claimedAt: Math.floor(STARTS_WITHIN_MS * random()),
        length: 3 + Math.floor(6 * random()),
        blockStepsPerSecond: 20 + Math.floor(200 * random()),
      }),
  )
  const publish = (tab: Tab, span: Span): void => {
    tab.claims += 1
    tab.span = span
    const { joiner } = tab
    for (const other of tabs) {
      if (other === tab) continue
      clock.after(MOST_DELAY_MS * random(), () => {
        // Of one peer the newest record counts, in whatever order they come.
        if (tab.span !== span) return
        other.hear({ ...peer(joiner.peerId, 0, 1), ...joiner, span, state: 'claimed' })
      })
    }
  }
  const start = async (tab: Tab): Promise<void> => {
    let isFirst = true
    await settleClaim({
      clock,
      directory: tab.directory,
      quietMs: SETTLE_MS,
      choose: () => (isFirst ? chooseByClaim : chooseTogether)(rule, tab.view(served), tab.joiner),
      thinksTwice: true,
      fingerprint: () => startingBefore(tab.view(served), tab.joiner).join(' '),
      publish: (span) => {
        isFirst = false
        publish(tab, span)
      },
      signal: new AbortController().signal,
    })
    tab.settledAt = clock.now() - startedAt
  }
  const starts: Promise<void>[] = []
  for (const tab of tabs) clock.after(tab.joiner.claimedAt, () => void starts.push(start(tab)))
  await clock.advance(10_000)
  await Promise.all(starts)
  return tabs
}

describe.each(RULE_NAMES)('a hundred tabs that start within a second under %s', (name) => {
  it(
    'end where they would have ended one after another in claim order, after a word or two each',
    { timeout: 60_000 },
    async () => {
      const rule = remembered(placementRule(name))
      const served = [peer('s1', 0, 8, { claimedAt: -1 }), peer('s2', 20, 26, { claimedAt: -1 })]
      const tabs = await startAtOnce(rule, 100, served, 1)
      const placed = [...served]
      for (const { joiner, span } of tabs.toSorted((a, b) => compareClaims(a.joiner, b.joiner))) {
        const wanted = rule.chooseSpan(view(BLOCKS, ...placed), joiner)
        expect([joiner.peerId, span]).toEqual([joiner.peerId, wanted])
        placed.push({ ...peer(joiner.peerId, 0, 1), ...joiner, span: wanted, state: 'claimed' })
      }
      expect(Math.max(...tabs.map(({ claims }) => claims))).toBeLessThanOrEqual(3)
      // The last record of a start, and the two waits of a claim: one for what else may come, one for what is new.
      const enough = STARTS_WITHIN_MS + MOST_DELAY_MS + 3 * SETTLE_MS
      expect(Math.max(...tabs.map(({ settledAt }) => settledAt))).toBeLessThanOrEqual(enough)
    },
  )
})
