/**
 * The churn rows of `npm run bench:planner`: 32 peers at a time that stay 20 minutes, half of the losses crashes noticed after
 * three seconds, 32 blocks of 60 MB over 100 Mbit/s. Both rules on the same traces; medians over seeds.
 */
import { afterAll, expect, test } from 'vitest'
import { simulateChurn, type ChurnResult } from '../../../swarm/simulator/churn.ts'
import type { PlannerPeer, SwarmView } from '../../../swarm/planner/types.ts'
import { withoutPeer } from '../../../swarm/planner/view.ts'
import type { Cluster } from '../../../swarm/simulator/cluster.ts'
import { randomChurn, randomCluster } from '../../../swarm/simulator/generate.ts'
import { planCluster } from '../../../swarm/simulator/plan-cluster.ts'
import { SimulatedPeer } from '../../../swarm/simulator/simulated-peer.ts'
import type { Span } from '../../../swarm/span.ts'
import { RULE_NAMES } from '../../../swarm/planner/rule-names.ts'
import { simulatedRule } from '../../../swarm/simulator/rules.ts'

const SEEDS = [1, 2, 3, 4, 5]
const SWARM = { units: 32, bytesPerUnit: 60e6, downloadBytesPerSecond: 12.5e6 }
const CHURN = { peersAtATime: 32, meanLifeSeconds: 1200, crashShare: 0.5, seconds: 7200, sessionsPerHour: 120 }

/** So many peers of each swarm decide once, join and balance check. */
const DECISIONS = 20

const lines: string[] = []
afterAll(() => console.log(`\n${lines.join('\n')}\n`))

type Figure = (result: ChurnResult) => number | null

const FIGURES: readonly (readonly [string, Figure])[] = [
  ['capacity ÷ bound, mean', ({ capacityShare }) => capacityShare.mean],
  ['capacity ÷ bound, 5th percentile', ({ capacityShare }) => capacityShare.p5],
  ['max flow ÷ bound, mean', ({ flowShare }) => flowShare.mean],
  ['bytes beyond first loads, share', ({ bytesBeyondFirstLoad }) => bytesBeyondFirstLoad],
  ['time covered while the loaded could', ({ coveredShareOfLoaded }) => coveredShareOfLoaded],
  ['recovery, 95th percentile, s', ({ recovery }) => recovery.p95Seconds],
  ['moves', ({ moves }) => moves],
  ['sessions rerouted', ({ sessions }) => sessions.rerouted],
  ['sessions failed', ({ sessions }) => sessions.failed],
  ['token latency p50, ms', ({ tokenMs }) => tokenMs.p50],
  ['token latency p95, ms', ({ tokenMs }) => tokenMs.p95],
]

test.each([
  ['heavy-tailed lives', 2.5],
  ['exponential lives', null],
] as const)('churn, %s', (name, lifeShape) => {
  const runs = SEEDS.map((seed) => {
    const { cluster, trace, seconds } = randomChurn(SWARM, { ...CHURN, seed, lifeShape })
    return RULE_NAMES.map((rule) =>
      simulateChurn({ cluster, trace, untilSeconds: seconds, seed, rule: simulatedRule(rule) }),
    )
  })
  const rows = FIGURES.map(([figure, of]) => {
    const cells = RULE_NAMES.map((_, rule) => median(runs.map((run) => of(run[rule] as ChurnResult) ?? NaN)))
    return `${figure.padEnd(40)}${cells.map((cell) => cell.toFixed(3).padStart(12)).join('')}`
  })
  lines.push(
    `${`churn, ${name} (median of ${SEEDS.length} seeds)`.padEnd(40)}${RULE_NAMES.map((rule) => rule.padStart(12)).join('')}`,
  )
  lines.push(...rows, '')
  for (const run of runs) for (const { sessions } of run) expect(sessions.started).toBeGreaterThan(0)
})

test.each([
  [64, 32],
  [1000, 126],
])('one decision at %d peers x %d blocks', (peers, units) => {
  const cluster = randomCluster({ seed: 1, peers, units })
  const rows = RULE_NAMES.map((name) => {
    const options = {
      cluster,
      rule: name,
      mode: 'joins',
      objective: 'expected',
      seed: 1,
      balanceQuality: 0.75,
    } as const
    const { placement } = planCluster(options)
    const joins: number[] = []
    const checks: number[] = []
    for (const { id } of cluster.peers.slice(0, DECISIONS)) {
      const rule = simulatedRule(name)
      // A new view each time: nothing that was worked out before helps.
      const view = viewOf(cluster, placement)
      const peer = view.peers.find(({ peerId }) => peerId === id) as PlannerPeer
      const joiner = { peerId: id, length: peer.maxBlocks, blockStepsPerSecond: peer.blockStepsPerSecond }
      joins.push(timed(() => rule.rule.chooseSpan(withoutPeer(view, id), joiner)))
      checks.push(timed(() => rule.check({ view, peerId: id, balanceQuality: 0.75, random: () => 0.5 })))
    }
    return `${name.padEnd(10)} join ${ms(median(joins))}, longest ${ms(Math.max(...joins))}; check ${ms(median(checks))}, longest ${ms(Math.max(...checks))}`
  })
  lines.push(`one decision at ${peers} peers x ${units} blocks`, ...rows, '')
  expect(rows).toHaveLength(RULE_NAMES.length)
})

function viewOf(cluster: Cluster, placement: ReadonlyMap<string, Span>): SwarmView {
  const peers = cluster.peers.map((spec): PlannerPeer => {
    const peer = new SimulatedPeer(spec, cluster)
    peer.isSeen = true
    peer.served = placement.get(spec.id) ?? null
    return peer.records()[0] as PlannerPeer
  })
  return { blocks: cluster.unitWeights.length, peers }
}

function timed(act: () => unknown): number {
  const started = performance.now()
  act()
  return performance.now() - started
}

function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 0)} ms`
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number
}
