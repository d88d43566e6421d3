/** Swarms whose peers are described by tables. */
import { expect, test } from 'vitest'
import { planAll, planJoins } from '../../../../../swarm/planner/flow/plan.ts'
import { boundOf, capacityOf, meanHopsOf } from '../../../../../swarm/planner/measures.ts'
import type { SwarmModel } from '../../../../../swarm/planner/model.ts'
import { Random } from '../../../../../swarm/simulator/random.ts'

/** A table that falls faster than its span grows, as memory for caches runs out. */
function table(random: Random, most: number): number[] {
  const speed = random.logNormal(1000, 0.6)
  return Array.from({ length: most }, (_, i) => (speed / (i + 1)) * (1 - i / (2 * most)))
}

function randomTables(seed: number): SwarmModel {
  const random = new Random(seed, 'tables')
  const kinds = Array.from({ length: 3 }, () => table(random, random.integer(3, 9)))
  return {
    unitWeights: Array.from({ length: random.integer(16, 40) }, () => 1),
    peers: Array.from({ length: random.integer(12, 24) }, (_, i) => ({
      id: `p${i}`,
      speed: { kind: 'table' as const, tokensPerSecond: kinds[random.integer(0, 2)] as number[] },
      maxBlocks: 40,
      leaveChance: 0.1,
    })),
  }
}

test('a plan for all at once comes near the bound, and never over it', () => {
  const shares: number[] = []
  for (let seed = 1; seed <= 12; seed += 1) {
    const model = randomTables(seed)
    const { placement } = planAll(model, { objective: 'capacity' })
    const share = capacityOf(model, placement) / boundOf(model)
    shares.push(share)
    expect(placement.size).toBe(model.peers.length)
    expect(share, `seed ${seed}`).toBeGreaterThanOrEqual(0.8)
    expect(share).toBeLessThanOrEqual(1 + 1e-9)
  }
  expect(shares.toSorted((a, b) => a - b)[6]).toBeGreaterThanOrEqual(0.85)
})

test('fewer hops where they are bounded', () => {
  for (let seed = 1; seed <= 6; seed += 1) {
    const model = randomTables(seed)
    const free = planAll(model, { objective: 'capacity' }).placement
    const maxHops = 0.8 * meanHopsOf(model, free)
    const bounded = planAll(model, { objective: 'capacity', maxHops }).placement
    expect(meanHopsOf(model, bounded), `seed ${seed}`).toBeLessThanOrEqual(maxHops)
    expect(capacityOf(model, bounded)).toBeGreaterThan(0)
  }
})

test('peers that come one after another hold every unit, and settle', () => {
  for (let seed = 1; seed <= 6; seed += 1) {
    const model = randomTables(seed)
    const { placement, moves } = planJoins(model, { objective: 'expected' })
    expect(capacityOf(model, placement), `seed ${seed}, ${moves} moves`).toBeGreaterThan(0.4 * boundOf(model))
  }
})
