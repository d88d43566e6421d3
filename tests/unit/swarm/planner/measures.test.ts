import { describe, expect, test } from 'vitest'
import { FlowNetwork } from '../../../../swarm/planner/flow-network.ts'
import { randomCluster } from '../../../../swarm/simulator/generate.ts'
import { boundOf, capacityOf, meanHopsOf, networkOf, petalsCapacityOf } from '../../../../swarm/planner/measures.ts'
import type { SwarmModel } from '../../../../swarm/planner/model.ts'
import { Random } from '../../../../swarm/simulator/random.ts'
import { equalPeers } from '../simulator/support.ts'

const place = (spans: Record<string, [number, number]>) =>
  new Map(Object.entries(spans).map(([id, [start, end]]) => [id, { start, end }]))

describe('block-steps', () => {
  test('a peer shifts its work to where others do not reach', () => {
    const model = equalPeers('abc', 4)
    const placement = place({ a: [0, 3], b: [1, 4], c: [2, 4] })
    expect(capacityOf(model, placement)).toBeCloseTo(75, 6)
    expect(petalsCapacityOf(model, placement)).toBeCloseTo(100 / 3, 6)
    expect(boundOf(model)).toBe(75)
  })

  test('a unit of nobody’s stops everything', () => {
    const model = equalPeers('ab', 4)
    expect(capacityOf(model, place({ a: [0, 1], b: [2, 4] }))).toBe(0)
    expect(petalsCapacityOf(model, place({ a: [0, 1], b: [2, 4] }))).toBe(0)
  })

  test('a heavy unit costs its weight', () => {
    const model = { ...equalPeers('ab', 2), unitWeights: [1, 3] }
    expect(capacityOf(model, place({ a: [0, 1], b: [1, 2] }))).toBeCloseTo(100 / 3, 6)
    expect(boundOf(model)).toBe(50)
  })

  test('the same as a max flow from peers to units', () => {
    for (let seed = 1; seed <= 60; seed += 1) {
      const model = randomCluster({ seed, peers: 7, units: 9, headWeight: 2.4, maxBlocks: [2, 6] })
      const random = new Random(seed, 'placement')
      const placement = new Map(
        model.peers.map(({ id, maxBlocks }) => {
          const start = random.integer(0, 9 - maxBlocks)
          return [id, { start, end: start + maxBlocks }]
        }),
      )
      const flow = capacityOf(model, placement)
      expect(flow).toBeLessThanOrEqual(boundOf(model) * (1 + 1e-9))
      expect(petalsCapacityOf(model, placement)).toBeLessThanOrEqual(flow * (1 + 1e-9))
      // Just below it everything is paid, just above it not.
      expect(unpaid(model, placement, flow * (1 - 1e-6))).toBeLessThan(1e-6)
      expect(unpaid(model, placement, flow * (1 + 1e-6) + 1e-6)).toBeGreaterThan(1e-7)
    }
  })
})

/** Of the work of `flow` tokens a second, what no way of sharing it can pay. */
function unpaid({ unitWeights, peers }: SwarmModel, placement: ReturnType<typeof place>, flow: number): number {
  const network = new FlowNetwork(2 + peers.length + unitWeights.length, 0, 1)
  for (const [index, { id, speed }] of peers.entries()) {
    const { start, end } = placement.get(id) ?? { start: 0, end: 0 }
    network.edge(0, 2 + index, speed.kind === 'steps' ? speed.blockStepsPerSecond : NaN, 0)
    for (let unit = start; unit < end; unit += 1) network.edge(2 + index, 2 + peers.length + unit, Infinity, 0)
  }
  for (const [unit, weight] of unitWeights.entries()) network.edge(2 + peers.length + unit, 1, weight * flow, 0)
  return unitWeights.reduce((sum, weight) => sum + weight * flow, 0) - network.most()
}

describe('tables', () => {
  const table = (ids: string, units: number): SwarmModel =>
    equalPeers('', units, { peers: ids.split('').map((id) => ({ id, tokensPerSecond: [100, 45, 20] })) })

  test('a chain carries what its weakest link does', () => {
    const model = table('ab', 3)
    const placement = place({ a: [0, 1], b: [1, 3] })
    expect(capacityOf(model, placement)).toBe(45)
    expect(meanHopsOf(model, placement)).toBe(2)
  })

  test('a span may be entered in the middle', () => {
    const model = table('abc', 3)
    const placement = place({ a: [0, 2], b: [1, 3], c: [0, 1] })
    // a and c both end in b, which passes 45 in all.
    expect(capacityOf(model, placement)).toBe(45)
    expect(meanHopsOf(model, placement)).toBe(2)
  })

  test('the poorest unit is the max flow, on any placement', () => {
    for (let seed = 1; seed <= 60; seed += 1) {
      const random = new Random(seed, 'cuts')
      const units = random.integer(2, 9)
      const peers = Array.from({ length: random.integer(2, 9) }, (_, i) => ({
        id: `p${i}`,
        speed: { kind: 'table' as const, tokensPerSecond: Array.from({ length: units }, () => random.integer(1, 99)) },
        maxBlocks: units,
        leaveChance: 0,
      }))
      const model = { unitWeights: Array.from({ length: units }, () => 1), peers }
      const placement = new Map(
        peers.map(({ id }) => {
          const start = random.integer(0, units - 1)
          return [id, { start, end: random.integer(start + 1, units) }] as const
        }),
      )
      expect(capacityOf(model, placement)).toBeCloseTo(networkOf(model, placement).most(), 6)
    }
  })

  test('the bound lets each peer take its best length', () => {
    // Two peers, two units: one each gives 100, both each gives 45 + 45.
    expect(boundOf(table('ab', 2))).toBeCloseTo(100, 6)
    expect(boundOf(table('a', 2))).toBeCloseTo(45, 6)
  })

  test('the cheapest way is taken first, and given back where more gets through', () => {
    const network = new FlowNetwork(4, 0, 3)
    network.edge(0, 1, 1, 0)
    network.edge(0, 2, 1, 2)
    network.edge(1, 2, 1, 0)
    network.edge(1, 3, 1, 3)
    network.edge(2, 3, 1, 0)
    expect(network.meanCost()).toBe(2.5)
  })
})
