/**
 * The routing rows of `npm run bench:planner`: sessions choose their routes one after another and then all run at once. What they
 * get together ÷ the placement's max flow, beside what a network of these peers can give to so many sessions when all peers are
 * loaded alike: N ÷ (N + peers − 1). Medians over seeds. What records do not say of the load is shown by the row without it.
 */
import { afterAll, expect, test } from 'vitest'
import { planJoins } from '../../../swarm/planner/flow/plan.ts'
import { capacityOf } from '../../../swarm/planner/measures.ts'
import { randomCluster } from '../../../swarm/simulator/generate.ts'
import { chooseInTurn, speedsOf } from '../../support/crowd.ts'
import { throughputOf } from '../../support/session-throughput.ts'

const SEEDS = Array.from({ length: 7 }, (_, i) => i + 1)
const RTT_MS = 10

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

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number
}
