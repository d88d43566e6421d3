import { describe, expect, test } from 'vitest'
import { randomChurn, randomCluster } from '../../../../swarm/simulator/generate.ts'
import { makeScenario, SCENARIOS, type ScenarioName } from '../../../../swarm/simulator/scenarios.ts'
import { formatEvent, parseTrace, type TraceEvent } from '../../../../swarm/simulator/trace.ts'

const swarm = { units: 32 }
const day = { peersAtATime: 60, seconds: 86_400, meanLifeSeconds: 3600 }

/** Peers present at each of `times`. */
function presentAt(trace: readonly TraceEvent[], atStart: number, times: readonly number[]): number[] {
  return times.map((time) => {
    let present = atStart
    for (const event of trace) {
      if (event.t > time) break
      if (event.kind === 'join') present += 1
      if (event.kind === 'leave' || event.kind === 'crash') present -= 1
    }
    return present
  })
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

describe('random swarms', () => {
  test('the same seed gives the same swarm', () => {
    const make = (seed: number): string => JSON.stringify(randomCluster({ seed, peers: 10, units: 32 }).peers)
    expect(make(1)).toBe(make(1))
    expect(make(2)).not.toBe(make(1))
  })

  test('spans are 4 to 8 long and speeds log-normal', () => {
    const { peers } = randomCluster({ seed: 1, peers: 4000, units: 32 })
    expect(new Set(peers.map(({ maxBlocks }) => maxBlocks))).toEqual(new Set([4, 5, 6, 7, 8]))
    const logs = peers.map(({ speed }) => (speed.kind === 'steps' ? Math.log(speed.blockStepsPerSecond) : NaN))
    expect(mean(logs)).toBeCloseTo(Math.log(100), 1)
  })

  test('a head is a last unit of its own weight; places make distances', () => {
    const made = randomCluster({ seed: 1, peers: 3, units: 5, headWeight: 2.4, rttMs: { widthMs: 100, nearMs: 10 } })
    expect(made.unitWeights).toEqual([1, 1, 1, 1, 2.4])
    expect(made.rttMs('p0000', 'p0001')).toBe(made.rttMs('p0001', 'p0000'))
    expect(made.rttMs('p0000', 'p0001')).toBeGreaterThan(10)
  })
})

describe('random churn', () => {
  test.each([null, 2.5])('as many come as go (shape of lives: %s)', (lifeShape) => {
    const runs = [1, 2, 3].map((seed) => {
      const { trace } = randomChurn(swarm, { ...day, seed, lifeShape })
      return mean(presentAt(trace, day.peersAtATime, [20_000, 40_000, 60_000, 80_000]))
    })
    expect(Math.abs(mean(runs) - day.peersAtATime)).toBeLessThan(12)
  })

  test('half of the losses are crashes, unless told otherwise', () => {
    const share = (crashShare?: number): number => {
      const { trace } = randomChurn(swarm, { ...day, seed: 1, ...(crashShare === undefined ? {} : { crashShare }) })
      const losses = trace.filter(({ kind }) => kind === 'leave' || kind === 'crash')
      return losses.filter(({ kind }) => kind === 'crash').length / losses.length
    }
    expect(share()).toBeCloseTo(0.5, 1)
    expect(share(1)).toBe(1)
  })

  test('a daily wave swings', () => {
    const { trace } = randomChurn(swarm, { ...day, seed: 1, dailySwing: 0.8 })
    const [high, low] = presentAt(trace, day.peersAtATime, [25_000, 68_000]) as [number, number]
    expect(high).toBeGreaterThan(1.5 * low)
  })
})

test.each(Object.keys(SCENARIOS) as ScenarioName[])(
  'scenario %s is a valid trace of its cluster, and repeats',
  (name) => {
    const { cluster, trace, seconds } = makeScenario(name, 1)
    const lines = trace.map(formatEvent).join('\n')
    expect(parseTrace(lines, cluster, name)).toHaveLength(trace.length)
    expect(trace.at(-1)!.t).toBeLessThan(seconds)
    expect(makeScenario(name, 1).trace.map(formatEvent).join('\n')).toBe(lines)
  },
)
