import { expect, test } from 'vitest'
import { Solo } from '../../../../../swarm/planner/flow/solo.ts'
import { planRoute, routeMs } from '../../../../../swarm/planner/route.ts'
import { searchRoute } from '../../../../../swarm/planner/route-search.ts'
import { Random } from '../../../../../swarm/simulator/random.ts'
import { peer, view } from '../support.ts'

const UNITS = 12
const HOP_MS = 25

/** The router's own search, without queues, at the same cost of a hop. */
function routed(peers: readonly { span: { start: number; end: number }; blockSteps: number }[]): number {
  const holders = peers.map(({ span, blockSteps }, i) => ({
    peerId: `p${i}`,
    span,
    blockMs: 1000 / blockSteps,
    entryMs: 0,
  }))
  const wayMs = (): number => HOP_MS
  const hops = searchRoute(holders, { range: { start: 0, end: UNITS }, wayMs, hopMs: 0 })
  if (hops === null) return Infinity
  return hops.reduce((sum, hop) => {
    const { blockMs } = holders.find(({ peerId }) => peerId === hop.peerId) as (typeof holders)[number]
    return sum + HOP_MS + (hop.span.end - hop.span.start) * blockMs
  }, HOP_MS)
}

test("says what the router's best route takes, also with one more, on random swarms", () => {
  const weights = Array.from({ length: UNITS }, () => 1)
  let whole = 0
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = new Random(seed, 'solo')
    const drawn = (): { span: { start: number; end: number }; blockSteps: number } => {
      const length = random.integer(2, 5)
      const start = random.integer(0, UNITS - length)
      return { span: { start, end: start + length }, blockSteps: random.logNormal(100, 0.8) }
    }
    const peers = Array.from({ length: 12 }, drawn)
    const one = drawn()
    const solo = new Solo(weights, peers)
    expect(finite(solo.ms)).toBeCloseTo(finite(routed(peers)), 6)
    const withOne = routed([...peers, one])
    // Never below the exact; above only where the joiner would be two hops of a route.
    expect(finite(solo.msWith(one))).toBeGreaterThanOrEqual(finite(withOne) - 1e-6)
    if (withOne < Infinity) {
      whole += 1
      expect(solo.msWith(one)).toBeLessThan(withOne * 1.02)
    }
  }
  expect(whole).toBeGreaterThan(100)
})

test('is the time that the router expects of a lone session', () => {
  const swarm = view(4, peer('a', 0, 2), peer('b', 2, 4))
  const request = { view: swarm, rttMs: () => null, maxTokens: 1, exclude: new Set<string>(), random: () => 0 }
  const route = planRoute(request)
  if (!route.ok) throw new Error('no route')
  const solo = new Solo(
    [1, 1, 1, 1],
    swarm.peers.map(({ span, blockStepsPerSecond }) => ({ span, blockSteps: blockStepsPerSecond })),
  )
  expect(solo.ms).toBeCloseTo(routeMs(request, route.hops), 9)
})

function finite(ms: number): number {
  return Math.min(ms, 1e9)
}
