/** The rule's quick sums against the plain measures, and its places against all there are. */
import { expect, test } from 'vitest'
import { planAll } from '../../../../../swarm/planner/flow/plan.ts'
import { firstOfPair } from '../../../../../swarm/planner/flow/pairs.ts'
import { nearerSpan } from '../../../../../swarm/planner/flow/nearer.ts'
import { JOIN_SLACK, Placing, type PlacedPeer } from '../../../../../swarm/planner/flow/placing.ts'
import { placedPeer } from '../../../../../swarm/planner/flow/plan-steps.ts'
import { spanBound } from '../../../../../swarm/planner/flow/span-bound.ts'
import { Supplies } from '../../../../../swarm/planner/flow/supplies.ts'
import { capacityOf, expectedCapacityOf } from '../../../../../swarm/planner/measures.ts'
import type { ModelPeer, SwarmModel } from '../../../../../swarm/planner/model.ts'
import { Random } from '../../../../../swarm/simulator/random.ts'
import type { Span } from '../../../../../swarm/span.ts'
import { bestCapacity } from '../../../../support/exhaustive-plan.ts'

function randomModel(random: Random, peers: number, units: number, most: number): SwarmModel & { peers: ModelPeer[] } {
  return {
    unitWeights: Array.from({ length: units }, (_, unit) => (unit === units - 1 && random.next() < 0.3 ? 2.4 : 1)),
    peers: Array.from({ length: peers }, (_, i) => ({
      id: `p${i}`,
      speed: { kind: 'steps' as const, blockStepsPerSecond: random.logNormal(10, 0.8) },
      maxBlocks: random.integer(2, Math.min(most, units)),
      leaveChance: random.uniform(0, 0.2),
    })),
  }
}

function randomSpan(random: Random, length: number, units: number): Span {
  const start = random.integer(0, units - length)
  return { start, end: start + length }
}

test('capacity and what is expected of it are those of the plain measures, whatever was tried before', () => {
  for (let seed = 1; seed <= 80; seed += 1) {
    const random = new Random(seed, 'placing')
    const units = random.integer(3, 14)
    const model = randomModel(random, random.integer(2, 10), units, 6)
    const placing = new Placing(model.unitWeights, 'expected')
    const placement = new Map<string, Span>()
    for (let round = 0; round < 3; round += 1) {
      for (const peer of model.peers) {
        const span = randomSpan(random, peer.maxBlocks, units)
        placement.set(peer.id, span)
        placing.place(placedPeer(peer, units), span)
      }
    }
    const covered = placing.supplies.covered()
    if (covered < units) continue
    expect(placing.supplies.capacity()).toBeCloseTo(capacityOf(model, placement), 6)
    expect(placing.worth().objective).toBeCloseTo(expectedCapacityOf(model, placement), 6)
    expect(placing.mostOf()).toBeGreaterThanOrEqual(placing.worth().objective * (1 - 1e-9))
  }
})

test('units without a holder are passed over while a swarm fills, and count as nothing held', () => {
  const supplies = new Supplies([1, 1, 1, 1])
  expect([supplies.covered(), supplies.capacity()]).toEqual([0, 0])
  supplies.add({ start: 1, end: 3 }, 6)
  expect([supplies.covered(), supplies.holdersOf(0), supplies.holdersOf(1)]).toEqual([2, 0, 1])
  expect(supplies.capacity()).toBeCloseTo(3)
  supplies.remove({ start: 1, end: 3 }, 6)
  expect([supplies.covered(), supplies.capacity()]).toEqual([0, 0])
})

test('a plan for all at once is within five percent of the best there is, in small swarms', () => {
  let compared = 0
  for (let seed = 1; seed <= 60; seed += 1) {
    const random = new Random(seed, 'tiny')
    const units = random.integer(4, 10)
    const model = randomModel(random, random.integer(2, 5), units, 6)
    const best = bestCapacity(model)
    if (best === 0) continue
    compared += 1
    const peers = model.peers.map((peer) => placedPeer(peer, units))
    expect(spanBound(model.unitWeights, peers)).toBeGreaterThanOrEqual(best * (1 - 1e-9))
    const { placement } = planAll(model, { objective: 'capacity' })
    expect(capacityOf(model, placement), `seed ${seed}`).toBeGreaterThanOrEqual(0.95 * best)
  }
  expect(compared).toBeGreaterThan(30)
})

test('the bound by spans is met where fast peers are held back by their memory', () => {
  // Two chains of one unit each: the fast peer can pass no more than the flow.
  const peers = [
    { blockSteps: 100, longest: 1 },
    { blockSteps: 3, longest: 1 },
  ]
  expect(spanBound([1, 1], peers)).toBeCloseTo(3, 6)
  expect(spanBound([1, 1], [{ blockSteps: 100, longest: 2 }])).toBe(50)
  // With spans for both units nobody is held back: the sum of what there is.
  expect(
    spanBound(
      [1, 3],
      peers.map((peer) => ({ ...peer, longest: 2 })),
    ),
  ).toBeCloseTo(103 / 4, 9)
})

test('two moves that pay only together: the first loses nothing, the second gains what was promised', () => {
  let pairs = 0
  for (let seed = 1; seed <= 24; seed += 1) {
    const random = new Random(seed, 'pairs')
    const model = randomModel(random, random.integer(6, 12), 16, 6)
    const placing = new Placing(model.unitWeights, seed % 2 === 0 ? 'capacity' : 'expected')
    const order = model.peers.map((peer) => placedPeer(peer, 16))
    for (const peer of order) placing.place(peer, placing.bestSpan(peer).span)
    const before = placing.worth()
    for (const peer of order) {
      const from = placing.spanOf(peer.id)
      const first = firstOfPair(placing, peer, 0.05)
      expect(placing.spanOf(peer.id)).toEqual(from)
      if (first === null) continue
      pairs += 1
      expect(first.objective).toBeGreaterThan(before.objective * 1.05)
      placing.place(peer, first.span)
      const between = placing.worth()
      expect(between.covered).toBe(16)
      expect(between.objective).toBeGreaterThanOrEqual(before.objective * (1 - 1e-6))
      // As everybody looks for places.
      const seconds = order.filter(({ id }) => id !== peer.id).map((other) => worthAfterBest(placing, other))
      expect(Math.max(...seconds)).toBeGreaterThan(before.objective)
      placing.place(peer, from as Span)
    }
  }
  expect(pairs).toBeGreaterThan(10)
})

function worthAfterBest(placing: Placing, peer: PlacedPeer): number {
  const from = placing.spanOf(peer.id) as Span
  placing.take(peer.id)
  const { worth } = placing.bestSpan(peer)
  placing.place(peer, from)
  return worth.objective
}

test('a shorter route for one session: found where there is one, at no more than the floor allows', () => {
  let found = 0
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = new Random(seed, 'nearer')
    const model = randomModel(random, random.integer(6, 12), 12, 5)
    const placing = new Placing(model.unitWeights, 'expected')
    const order = model.peers.map((peer) => placedPeer(peer, 12))
    for (const peer of order) placing.place(peer, placing.bestSpan(peer).span)
    if (placing.supplies.covered() < 12) continue
    const floor = 0.9 * placing.worth().objective
    for (const peer of order) {
      const from = placing.spanOf(peer.id) as Span
      const before = placing.solo().ms
      const nearer = nearerSpan(placing, peer, floor, 0.05)
      expect(placing.spanOf(peer.id)).toEqual(from)
      if (nearer === null) continue
      found += 1
      placing.place(peer, nearer.span)
      expect(nearer.ms).toBeCloseTo(before, 6)
      expect(nearer.thenMs).toBeGreaterThanOrEqual(placing.solo().ms - 1e-6)
      expect(nearer.thenMs).toBeLessThan(before * 0.95)
      expect(placing.supplies.covered()).toBe(12)
      expect(placing.worth().objective).toBeGreaterThanOrEqual(floor * (1 - 1e-9))
      placing.place(peer, from)
    }
  }
  expect(found).toBeGreaterThan(10)
})

test('of places that are worth the same but for a hundredth, a joiner takes the one with the shortest route', () => {
  const placing = new Placing([1, 1, 1, 1], 'expected')
  const peer = (id: string, blockSteps: number, longest: number): PlacedPeer => {
    return { id, blockSteps, longest, leaveChance: 0, fixed: false }
  }
  // Two halves, each held twice; the second half a little poorer. The slow pair of the first half makes the long way.
  placing.place(peer('a', 100, 4), { start: 0, end: 4 })
  placing.place(peer('b', 101, 2), { start: 0, end: 2 })
  placing.place(peer('c', 100, 2), { start: 2, end: 4 })
  const joiner = peer('d', 100, 2)
  const plain = placing.bestSpan(joiner).span
  const chosen = placing.bestSpan(joiner, JOIN_SLACK).span
  const msOf = (span: Span): number => {
    placing.place(joiner, span)
    const ms = placing.solo().ms
    placing.take(joiner.id)
    return ms
  }
  expect(msOf(chosen)).toBeLessThanOrEqual(msOf(plain))
})
