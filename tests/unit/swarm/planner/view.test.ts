import { describe, expect, it } from 'vitest'
import { coverageOf, blocksLostByMove, missingBlocks, unclaimedBlocks } from '../../../../swarm/planner/coverage.ts'
import { lastingSpans, placedPeers, viewOf } from '../../../../swarm/planner/view.ts'
import { peer, record, view } from './support.ts'

describe('viewOf', () => {
  it('shows a moving peer twice: where it serves and where it goes', () => {
    const { peers } = viewOf([record('a', 0, 8, { next: { start: 8, end: 16 } })], 32)
    expect(peers.map((p) => [p.state, p.span.start])).toEqual([
      ['online', 0],
      ['claimed', 8],
    ])
  })

  it('leaves out goodbyes and records of another block count', () => {
    const other = record('b', 0, 8, { model: { repo: 'm', revision: 'r', digest: 'd', blocks: 30 } })
    expect(viewOf([record('a', 0, 8, { state: 'gone' }), other], 32).peers).toEqual([])
  })

  it('counts a peer that has not measured itself as a typical one', () => {
    const { peers } = viewOf(
      [record('a', 0, 8, { blockStepsPerSecond: 70 }), record('b', 8, 16, { blockStepsPerSecond: 0 })],
      32,
    )
    expect(peers.map((p) => p.blockStepsPerSecond)).toEqual([70, 70])
    expect(viewOf([record('b', 8, 16, { blockStepsPerSecond: 0 })], 32).peers[0]?.blockStepsPerSecond).toBe(1)
  })
})

describe('placement reading', () => {
  const moving = view(
    32,
    peer('a', 0, 8),
    peer('a', 4, 12, { state: 'claimed' }),
    peer('b', 8, 16, { state: 'leaving' }),
  )

  it('counts a claim in place of what is still served, and not those that leave', () => {
    expect(placedPeers(moving).map((p) => [p.peerId, p.span.start])).toEqual([['a', 4]])
  })

  it('relies only on what a moving peer serves before and after', () => {
    expect([...lastingSpans(moving)]).toEqual([['a', { start: 4, end: 8 }]])
  })
})

describe('coverage', () => {
  const swarm = view(8, peer('a', 0, 4), peer('b', 2, 6), peer('c', 6, 8, { state: 'claimed' }))

  it('counts holders and names what is missing now', () => {
    expect(coverageOf(swarm)).toEqual({ holders: [1, 1, 2, 2, 1, 1, 0, 0], missing: [6, 7] })
    expect(missingBlocks(swarm)).toEqual([6, 7])
    expect(unclaimedBlocks(swarm)).toEqual([])
  })

  it('names the blocks that a move would take the last holder from', () => {
    expect(blocksLostByMove(swarm, 'a', { start: 0, end: 4 }, { start: 1, end: 5 })).toEqual([0])
    expect(blocksLostByMove(swarm, 'b', { start: 2, end: 6 }, { start: 4, end: 8 })).toEqual([])
  })
})
