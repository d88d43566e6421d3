/**
 * The churn rows of `npm run bench:planner`: 32 peers at a time that stay 20 minutes, half of the losses crashes noticed after
 * three seconds, 32 blocks of 60 MB over 100 Mbit/s. Both rules on the same traces; medians over seeds.
 */
import { afterAll, expect, test } from 'vitest'
import { simulateChurn, type ChurnResult } from '../../../swarm/simulator/churn.ts'
import { randomChurn } from '../../../swarm/simulator/generate.ts'
import { RULE_NAMES, simulatedRule } from '../../../swarm/simulator/rules.ts'

const SEEDS = [1, 2, 3, 4, 5]
const SWARM = { units: 32, bytesPerUnit: 60e6, downloadBytesPerSecond: 12.5e6 }
const CHURN = { peersAtATime: 32, meanLifeSeconds: 1200, crashShare: 0.5, seconds: 7200, sessionsPerHour: 120 }

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

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number
}
