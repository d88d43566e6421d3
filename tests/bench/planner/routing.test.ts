/**
 * The routing rows of `npm run bench:planner`: sessions choose their routes one after another and then all run at once. What they
 * get together ÷ the placement's max flow, beside what a network of these peers can give to so many sessions when all peers are
 * loaded alike: N ÷ (N + peers − 1). Medians over seeds. What records do not say of the load is shown by the row without it.
 * The last rows are eight sessions on the eight peers of `tabs-churn`: what they get of the bound, and the most that a local search
 * over all of their routes together finds.
 */
import { afterAll, expect, test } from 'vitest'
import { planJoins } from '../../../swarm/planner/flow/plan.ts'
import { capacityOf } from '../../../swarm/planner/measures.ts'
import type { RouteHop } from '../../../swarm/planner/types.ts'
import { randomCluster } from '../../../swarm/simulator/generate.ts'
import { Random } from '../../../swarm/simulator/random.ts'
import { chooseInTurn, speedsOf } from '../../support/crowd.ts'
import { lapsASecond } from '../../support/session-laps.ts'
import { TAB_SPEEDS, tokensBound, UNIT_WEIGHTS } from './tab-figures.ts'
import { throughputOf } from '../../support/session-throughput.ts'

const SEEDS = Array.from({ length: 7 }, (_, i) => i + 1)
const RTT_MS = 10
const TAB_SESSIONS = 8
const LAPS = { settledSeconds: 60, endSeconds: 260 }
const SEARCH_STARTS = 4
const SEARCH_STEPS = 600

const lines: string[] = []
afterAll(() => console.log(`\n${lines.join('\n')}\n`))

test.each([12, 16, 32, 64])('many sessions in a swarm of %d peers', (peers) => {
  for (const sessionsAPeer of [2, 8]) {
    const sessions = sessionsAPeer * peers
    const runs = SEEDS.map((seed) => {
      const cluster = randomCluster({ seed, peers, units: 32, rttMs: RTT_MS })
      const { placement } = planJoins(cluster, { objective: 'expected' })
      const { routes, ms } = chooseInTurn(cluster, placement, sessions, seed)
      const { tokensPerSecond } = throughputOf(routes, speedsOf(cluster), cluster.rttMs)
      return {
        share: tokensPerSecond / capacityOf(cluster, placement),
        hops: routes.reduce((sum, hops) => sum + hops.length, 0) / routes.length,
        ms: median(ms),
        first: (routes[0] ?? []).length,
      }
    })
    const share = median(runs.map((run) => run.share))
    lines.push(
      `${`${peers} peers, ${sessions} sessions: their tokens/s ÷ max flow`.padEnd(60)}${share.toFixed(3)}   alike ${(sessions / (sessions + peers - 1)).toFixed(3)}, worst ${Math.min(...runs.map((run) => run.share)).toFixed(3)}, hops ${median(runs.map((run) => run.hops)).toFixed(1)} (alone ${median(runs.map((run) => run.first))}), ${median(runs.map((run) => run.ms)).toFixed(2)} ms a route`,
    )
    expect(share).toBeGreaterThan(0)
  }
})

test.each([10, 50, 100])('eight sessions on the peers of the tab benchmark, %d ms from one to the next', (wayMs) => {
  const drawn = randomCluster({ seed: 1, peers: TAB_SPEEDS.length, units: UNIT_WEIGHTS.length, rttMs: wayMs })
  const cluster = {
    ...drawn,
    unitWeights: UNIT_WEIGHTS,
    peers: drawn.peers.map((peer, i) => ({
      ...peer,
      maxBlocks: 8,
      speed: { kind: 'steps' as const, blockStepsPerSecond: TAB_SPEEDS[i] as number },
    })),
  }
  const { placement } = planJoins(cluster, { objective: 'expected' })
  const bound = tokensBound(TAB_SPEEDS)
  const shareOf = (routes: readonly (readonly RouteHop[])[]): number =>
    lapsASecond({ routes, unitWeights: UNIT_WEIGHTS, blockStepsPerSecond: speedsOf(cluster), wayMs }, LAPS) / bound
  const seeds = Array.from({ length: 21 }, (_, i) => i + 1)
  const ours = seeds.map((seed) => shareOf(chooseInTurn(cluster, placement, TAB_SESSIONS, seed).routes))
  const crowds = seeds.flatMap((seed) => chooseInTurn(cluster, placement, 2 * TAB_SESSIONS, seed).routes)
  const known = [...new Map(crowds.map((hops) => [JSON.stringify(hops), hops])).values()]
  const best = Math.max(
    ...Array.from({ length: SEARCH_STARTS }, (_, start) => {
      const random = new Random(start, 'search')
      const any = (): readonly RouteHop[] => known[Math.floor(random.next() * known.length)] as RouteHop[]
      let routes = Array.from({ length: TAB_SESSIONS }, any)
      let share = shareOf(routes)
      for (let step = 0; step < SEARCH_STEPS; step += 1) {
        const other = routes.with(Math.floor(random.next() * TAB_SESSIONS), any())
        const otherShare = shareOf(other)
        if (otherShare >= share) [routes, share] = [other, otherShare]
      }
      return share
    }),
  )
  lines.push(
    `${`8 uneven peers, 8 sessions, ${wayMs} ms a way: tokens/s ÷ the bound`.padEnd(66)}${median(ours).toFixed(3)}   max flow ${(capacityOf(cluster, placement) / bound).toFixed(3)}, best found by a search over all eight routes ${best.toFixed(3)}`,
  )
  expect(median(ours)).toBeGreaterThan(0)
})

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number
}
