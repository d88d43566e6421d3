import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { missingBlocks } from '../../../../swarm/planner/coverage.ts'
import { petalsRule } from '../../../../swarm/planner/petals.ts'
import type { PlannerPeer } from '../../../../swarm/planner/types.ts'
import { peer, seededRandom, view } from './support.ts'

function joinOneAfterAnother(blocks: number, length: number, count: number): number[] {
  const peers: PlannerPeer[] = []
  for (let i = 0; i < count; i += 1) {
    const span = petalsRule.chooseSpan(view(blocks, ...peers), { peerId: `p${i}`, length, blockStepsPerSecond: 100 })
    peers.push(peer(`p${i}`, span.start, span.end))
  }
  return peers.map((p) => p.span.start)
}

describe('petals: joining', () => {
  it.each([
    [32, 8, 4, [0, 8, 16, 24]],
    [8, 2, 4, [0, 2, 4, 6]],
    // The last window cannot start at 24: it overlaps its neighbour.
    [30, 8, 4, [0, 8, 16, 22]],
    [32, 8, 6, [0, 8, 16, 24, 0, 8]],
    [1, 1, 3, [0, 0, 0]],
  ])('%i blocks, %i a peer, %i peers', (blocks, length, count, starts) => {
    expect(joinOneAfterAnother(blocks, length, count)).toEqual(starts)
  })

  it('takes the poorest window first, then the next poorest block', () => {
    const swarm = view(4, peer('a', 0, 2, { blockStepsPerSecond: 200 }), peer('b', 2, 4, { blockStepsPerSecond: 100 }))
    expect(petalsRule.chooseSpan(swarm, { peerId: 'j', length: 2, blockStepsPerSecond: 1 })).toEqual({
      start: 2,
      end: 4,
    })
    expect(petalsRule.chooseSpan(swarm, { peerId: 'j', length: 3, blockStepsPerSecond: 1 })).toEqual({
      start: 1,
      end: 4,
    })
  })

  it('counts claims', () => {
    const swarm = view(4, peer('a', 0, 2, { state: 'claimed' }))
    expect(petalsRule.chooseSpan(swarm, { peerId: 'j', length: 2, blockStepsPerSecond: 1 })).toEqual({
      start: 2,
      end: 4,
    })
  })

  it('a peer asks as if it were not there, and takes the whole model at most', () => {
    const joiner = { peerId: 'a', length: 99, blockStepsPerSecond: 1 }
    expect(petalsRule.chooseSpan(view(4, peer('a', 0, 2)), joiner)).toEqual({ start: 0, end: 4 })
  })
})

describe('petals: balance', () => {
  const options = { balanceQuality: 0.75, random: seededRandom(1) }

  it('moves a replica from a rich place to a poor one when the gain is a third', () => {
    const swarm = view(4, peer('a', 0, 2), peer('b', 0, 2), peer('c', 0, 2), peer('d', 2, 4))
    const check = petalsRule.checkBalance(swarm, 'a', options)
    expect(check).toMatchObject({ initial: 50, reason: 'move', moveTo: { start: 2, end: 4 } })
    expect(check.simulated).toBeCloseTo(100)
    expect(check.quality).toBeCloseTo(0.5)
  })

  it('stays for a gain below what balance_quality asks for', () => {
    const swarm = view(4, peer('a', 0, 2), peer('b', 0, 2), peer('c', 0, 2), peer('d', 2, 4))
    expect(petalsRule.checkBalance(swarm, 'a', { ...options, balanceQuality: 0.4 })).toMatchObject({
      reason: 'balanced',
      moveTo: null,
    })
  })

  it('a calmer swarm has a lower balance_quality: 0.9 moves where 0.75 stays', () => {
    // Poorest block 100 now, 120 after the small replica moved: quality 0.83.
    const swarm = view(
      2,
      peer('a', 0, 1, { blockStepsPerSecond: 120 }),
      peer('b', 0, 1, { blockStepsPerSecond: 20 }),
      peer('c', 1, 2, { blockStepsPerSecond: 100 }),
    )
    expect(petalsRule.checkBalance(swarm, 'b', { ...options, balanceQuality: 0.9 }).moveTo).toEqual({
      start: 1,
      end: 2,
    })
    expect(petalsRule.checkBalance(swarm, 'b', options).moveTo).toBeNull()
  })

  it('never leaves a place that would be empty without it', () => {
    const fast = { blockStepsPerSecond: 3000 }
    const swarm = view(5, peer('a', 2, 5, fast), peer('b', 0, 2, { blockStepsPerSecond: 1 }), peer('c', 3, 5, fast))
    expect(petalsRule.checkBalance(swarm, 'a', options)).toMatchObject({ reason: 'would-open-hole', moveTo: null })
  })

  it('in a swarm with holes, takes no other block from the last peer that serves it', () => {
    // Everybody re-choosing would make it whole; `c` only claims the blocks that `a` would leave.
    const swarm = view(4, peer('a', 0, 2), peer('c', 0, 2, { state: 'claimed' }))
    expect(petalsRule.checkBalance(swarm, 'a', options)).toMatchObject({ reason: 'would-open-hole', moveTo: null })
    const held = view(4, peer('a', 0, 2), peer('c', 0, 2))
    expect(petalsRule.checkBalance(held, 'a', options)).toMatchObject({ reason: 'move', moveTo: { start: 2, end: 4 } })
  })

  it('a fixed peer stays', () => {
    const swarm = view(4, peer('a', 0, 2, { fixed: true }), peer('b', 0, 2), peer('c', 0, 2), peer('d', 2, 4))
    expect(petalsRule.checkBalance(swarm, 'a', options)).toMatchObject({ reason: 'fixed', moveTo: null })
  })

  it('a swarm with holes has quality 0 and no voluntary move to offer', () => {
    expect(petalsRule.checkBalance(view(8, peer('a', 0, 2)), 'a', options)).toMatchObject({
      initial: 0,
      simulated: 0,
      quality: 0,
      moveTo: null,
    })
  })

  const swarms = fc
    .record({
      blocks: fc.integer({ min: 2, max: 24 }),
      peers: fc.array(
        fc.record({
          at: fc.double({ min: 0, max: 0.999, noNaN: true }),
          length: fc.integer({ min: 1, max: 8 }),
          speed: fc.integer({ min: 1, max: 1000 }),
          fixed: fc.boolean(),
        }),
        { minLength: 1, maxLength: 12 },
      ),
      seed: fc.integer(),
    })
    .map(({ blocks, peers, seed }) => ({
      seed,
      swarm: view(
        blocks,
        ...peers.map(({ at, length, speed, fixed }, i) => {
          const long = Math.min(length, blocks)
          const start = Math.floor(at * (blocks - long + 1))
          return peer(`p${i}`, start, start + long, { blockStepsPerSecond: speed, fixed: fixed && i % 3 === 0 })
        }),
      ),
    }))

  it('voluntary moves never lose coverage, and end: a steady swarm moves nothing', () => {
    fc.assert(
      fc.property(swarms, fc.constantFrom(0.75, 0.9, 1), ({ swarm, seed }, balanceQuality) => {
        const random = seededRandom(seed)
        let current = swarm
        for (let round = 0; ; round += 1) {
          let moved = false
          for (const { peerId } of current.peers) {
            const check = petalsRule.checkBalance(current, peerId, { balanceQuality, random })
            expect(check.quality).toBeGreaterThanOrEqual(0)
            expect(check.quality).toBeLessThanOrEqual(1)
            if (check.moveTo === null) continue
            moved = true
            const before = missingBlocks(current)
            const span = check.moveTo
            current = view(current.blocks, ...current.peers.map((p) => (p.peerId === peerId ? { ...p, span } : p)))
            expect(before).toEqual(expect.arrayContaining(missingBlocks(current)))
          }
          if (!moved) return
          expect(round).toBeLessThan(50)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('checks 200 peers on 128 blocks in reasonable time', () => {
    const random = seededRandom(5)
    const peers = Array.from({ length: 200 }, (_, i) => {
      const start = Math.floor(random() * 121)
      return peer(`p${i}`, start, start + 8, { blockStepsPerSecond: 50 + 500 * random() })
    })
    const begin = performance.now()
    petalsRule.checkBalance(view(128, ...peers), 'p7', { balanceQuality: 0.75, random })
    expect(performance.now() - begin).toBeLessThan(5000)
  })
})
