import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { missingBlocks, unclaimedBlocks } from '../../../../swarm/planner/coverage.ts'
import { petalsRule } from '../../../../swarm/planner/petals.ts'
import { placementRule } from '../../../../swarm/planner/rules.ts'
import { urgentMove, urgentMoves } from '../../../../swarm/planner/urgent.ts'
import { peer, view } from './support.ts'

describe('urgentMove', () => {
  it('the first in claim order of those that can be spared goes, and only that one', () => {
    const swarm = view(
      8,
      peer('a', 0, 4, { claimedAt: 2 }),
      peer('b', 0, 4, { claimedAt: 1 }),
      peer('c', 0, 4, { claimedAt: 3 }),
    )
    expect([...urgentMoves(petalsRule, swarm)]).toEqual([['b', { start: 4, end: 8 }]])
    expect(urgentMove(petalsRule, swarm, 'a')).toBeNull()
  })

  it('nobody moves when nothing is missing or somebody has claimed it', () => {
    expect(urgentMoves(petalsRule, view(4, peer('a', 0, 4), peer('b', 0, 4))).size).toBe(0)
    const claimed = view(8, peer('a', 0, 4), peer('b', 0, 4), peer('b', 4, 8, { state: 'claimed' }))
    expect(urgentMoves(petalsRule, claimed).size).toBe(0)
  })

  it('last holders, fixed peers and peers on their way stay', () => {
    expect(urgentMoves(petalsRule, view(8, peer('a', 0, 4))).size).toBe(0)
    const fixed = view(8, peer('a', 0, 4, { fixed: true }), peer('b', 0, 4, { fixed: true }))
    expect(urgentMoves(petalsRule, fixed).size).toBe(0)
  })

  it('a peer that still loads goes before one that serves', () => {
    const swarm = view(8, peer('a', 0, 4), peer('b', 0, 4), peer('j', 0, 4, { state: 'claimed', claimedAt: 9 }))
    expect([...urgentMoves(petalsRule, swarm).keys()]).toEqual(['j'])
  })

  it('who has the weights on its disk goes first, back to where they are', () => {
    const cached = [{ start: 2, end: 8 }]
    const swarm = view(
      12,
      peer('a', 8, 12, { claimedAt: 1 }),
      peer('b', 8, 12, { claimedAt: 9, cached }),
      peer('c', 0, 4, { claimedAt: 2 }),
      peer('d', 0, 4, { claimedAt: 3 }),
      peer('j', 0, 4, { claimedAt: 0, state: 'claimed' }),
    )
    for (const rule of [petalsRule, placementRule('flow')]) {
      expect([...urgentMoves(rule, swarm)]).toEqual([['b', { start: 4, end: 8 }]])
    }
    // It stays where it is the last holder, and others go as ever.
    const alone = view(12, ...swarm.peers.filter(({ peerId }) => peerId !== 'a'))
    expect([...urgentMoves(petalsRule, alone).keys()]).toEqual(['j'])
  })

  it('as many go as the hole needs', () => {
    const swarm = view(12, peer('a', 0, 4), peer('b', 0, 4), peer('c', 0, 4), peer('d', 0, 4))
    expect([...urgentMoves(petalsRule, swarm)]).toEqual([
      ['a', { start: 4, end: 8 }],
      ['b', { start: 8, end: 12 }],
    ])
  })

  const spans = fc.array(
    fc.tuple(fc.nat(11), fc.integer({ min: 1, max: 6 }), fc.constantFrom('online', 'claimed', 'leaving')),
    {
      minLength: 1,
      maxLength: 9,
    },
  )
  it('never takes a last holder away, and closes what it says', () => {
    fc.assert(
      fc.property(spans, (list) => {
        const peers = list.map(([start, length, state], i) =>
          peer(`p${i}`, start, Math.min(12, start + length), { state: state as 'online', claimedAt: i % 3 }),
        )
        const before = view(12, ...peers)
        const moves = urgentMoves(petalsRule, before)
        const after = view(12, ...peers.map((p) => ({ ...p, span: moves.get(p.peerId) ?? p.span })))
        expect(missingBlocks(before)).toEqual(expect.arrayContaining(missingBlocks(after)))
        if (moves.size > 0) expect(unclaimedBlocks(after).length).toBeLessThan(unclaimedBlocks(before).length)
        expect(urgentMoves(petalsRule, before)).toEqual(moves)
      }),
      { numRuns: 1000 },
    )
  })
})
