/**
 * The latency rows of `npm run bench:planner`: a token on the best route of one session alone in the default's placement ÷ the
 * same in what a search for latency alone finds with the same joins and moves; and the front of capacity against latency, as a
 * search finds it that weighs both. Medians over seeds.
 */
import { afterAll, expect, test } from 'vitest'
import { planJoins } from '../../../swarm/planner/flow/plan.ts'
import { boundOf, capacityOf } from '../../../swarm/planner/measures.ts'
import type { Cluster } from '../../../swarm/simulator/cluster.ts'
import { randomCluster } from '../../../swarm/simulator/generate.ts'
import { planCluster } from '../../../swarm/simulator/plan-cluster.ts'
import { searchPlacement, soloMsOf } from '../../support/latency-search.ts'

const SEEDS = Array.from({ length: 9 }, (_, i) => i + 1)
const FRONT_SEEDS = SEEDS.slice(0, 5)
const WEIGHTS = [0, 0.2, 0.4, 0.6, 0.8, 1]
const BAR = 1.15

const lines: string[] = []
afterAll(() => console.log(`\n${lines.join('\n')}\n`))

test.each([16, 24, 32, 64])('one session alone in a swarm of %d peers', (peers) => {
  const runs = SEEDS.map((seed) => {
    const cluster = randomCluster({ seed, peers, units: 32 })
    const least = searchPlacement(cluster, 1).soloMs
    return [
      soloMsOf(cluster, planJoins(cluster, { objective: 'expected' }).placement) / least,
      soloMsOf(cluster, planJoins(cluster, { objective: 'capacity' }).placement) / least,
      soloMsOf(cluster, petals(cluster, seed)) / least,
    ] as const
  })
  const [ours, capacity, published] = [0, 1, 2].map((column) => median(runs.map((run) => run[column] as number)))
  lines.push(
    `${`${peers} peers: one session's best route ÷ latency alone`.padEnd(56)}${figure(ours)}   at most ${BAR}  ${(ours as number) <= BAR ? 'met' : 'MISSED'}   (objective capacity ${figure(capacity)}, petals ${figure(published)})`,
  )
  expect(ours).toBeGreaterThan(0)
})

test.each([16, 32])('capacity against latency, %d peers', (peers) => {
  const clusters = FRONT_SEEDS.map((seed) => randomCluster({ seed, peers, units: 32 }))
  const point = (name: string, reached: (cluster: Cluster, seed: number) => readonly [number, number]): void => {
    const points = clusters.map((cluster, index) => reached(cluster, index + 1))
    const [share, ms] = [median(points.map(([capacity]) => capacity)), median(points.map(([, solo]) => solo))]
    lines.push(
      `   ${name.padEnd(28)} capacity ÷ bound ${figure(share)}   one session ${ms.toFixed(0).padStart(4)} ms a token`,
    )
    expect(ms).toBeGreaterThan(0)
  }
  lines.push(`front of capacity against latency, ${peers} peers`)
  for (const weight of WEIGHTS) {
    point(`search, latency weighs ${weight}`, (cluster) => {
      const { capacity, soloMs } = searchPlacement(cluster, weight)
      return [capacity / boundOf(cluster), soloMs]
    })
  }
  point('default', (cluster) => measured(cluster, planJoins(cluster, { objective: 'expected' }).placement))
  point('objective capacity', (cluster) => measured(cluster, planJoins(cluster, { objective: 'capacity' }).placement))
  point('petals', (cluster, seed) => measured(cluster, petals(cluster, seed)))
})

function measured(cluster: Cluster, placement: ReturnType<typeof petals>): readonly [number, number] {
  return [capacityOf(cluster, placement) / boundOf(cluster), soloMsOf(cluster, placement)]
}

function petals(cluster: Cluster, seed: number): ReturnType<typeof planCluster>['placement'] {
  return planCluster({ cluster, rule: 'petals', mode: 'joins', objective: 'expected', seed, balanceQuality: 0.75 })
    .placement
}

function figure(value: number | undefined): string {
  return (value ?? Number.NaN).toFixed(3)
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number
}
