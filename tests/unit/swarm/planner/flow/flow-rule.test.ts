/** The rule as tabs ask it: the same answer for the same view, calm where nothing is to be gained, and no hole. */
import { expect, test } from 'vitest'
import { announcedSpeed } from '../../../../../swarm/planner/announced-speed.ts'
import { missingBlocks } from '../../../../../swarm/planner/coverage.ts'
import { flowRule } from '../../../../../swarm/planner/flow/flow-rule.ts'
import type { PlannerPeer, SwarmView } from '../../../../../swarm/planner/types.ts'
import { Random } from '../../../../../swarm/simulator/random.ts'

const BLOCKS = 32
const rule = flowRule('expected')
const options = { balanceQuality: 0.75, random: () => 0.5 }

function peerOf(index: number, span: [number, number], blockStepsPerSecond: number): PlannerPeer {
  return {
    peerId: `p${String(index).padStart(3, '0')}`,
    span: { start: span[0], end: span[1] },
    state: 'online',
    blockStepsPerSecond,
    maxBlocks: span[1] - span[0],
    fixed: false,
    claimedAt: index,
    sessions: 0,
    cacheTokensLeft: 1000,
  }
}

/** Peers that came one after another, each by the rule. */
function joined(random: Random, count: number, blocks = BLOCKS): SwarmView {
  const peers: PlannerPeer[] = []
  for (let i = 0; i < count; i += 1) {
    const length = random.integer(4, 8)
    const speed = random.logNormal(100, 0.8)
    const joiner = { peerId: `p${String(i).padStart(3, '0')}`, length, blockStepsPerSecond: speed }
    const { start, end } = rule.chooseSpan({ blocks, peers }, joiner)
    peers.push(peerOf(i, [start, end], speed))
  }
  return { blocks, peers }
}

/** Balance checks in turn until nobody moves. */
function settled(view: SwarmView): SwarmView {
  let current = view
  for (let sweep = 0; sweep < 20; sweep += 1) {
    let moves = 0
    for (const { peerId } of view.peers) {
      const { moveTo } = rule.checkBalance(current, peerId, options)
      if (moveTo === null) continue
      moves += 1
      const peers = current.peers.map((peer) => (peer.peerId === peerId ? { ...peer, span: moveTo } : peer))
      current = { blocks: current.blocks, peers }
    }
    if (moves === 0) return current
  }
  throw new Error('never steady')
}

test('the order in which records came changes nothing', () => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const random = new Random(seed, 'order')
    const view = joined(random, 12)
    const turned = { ...view, peers: view.peers.toReversed() }
    const joiner = { peerId: 'new', length: 6, blockStepsPerSecond: 80 }
    expect(rule.chooseSpan(turned, joiner)).toEqual(rule.chooseSpan(view, joiner))
    expect(rule.checkBalance(turned, 'p003', options)).toEqual(rule.checkBalance(view, 'p003', options))
  }
})

test('blocks that nobody holds come first', () => {
  const view = { blocks: 12, peers: [peerOf(0, [0, 4], 10), peerOf(1, [8, 12], 10)] }
  expect(rule.chooseSpan(view, { peerId: 'new', length: 4, blockStepsPerSecond: 1000 })).toEqual({ start: 4, end: 8 })
})

test('a joiner stands where most is carried then, not where the poorest block alone is', () => {
  // Every block has the same sum in Petals' measure, and the first half can do no more than its one peer.
  const view = { blocks: 8, peers: [peerOf(0, [0, 4], 8), peerOf(1, [4, 8], 8), peerOf(2, [4, 8], 8)] }
  expect(rule.chooseSpan(view, { peerId: 'new', length: 4, blockStepsPerSecond: 8 })).toEqual({ start: 0, end: 4 })
})

test('a swarm with a hole carries nothing, and says so', () => {
  const alone = [peerOf(0, [0, 4], 8), peerOf(1, [8, 12], 8)]
  const broken = { blocks: 12, peers: alone }
  expect(rule.checkBalance(broken, 'p000', options)).toMatchObject({
    initial: 0,
    simulated: 0,
    quality: 0,
    moveTo: null,
  })
  const spare = { blocks: 12, peers: [...alone, peerOf(2, [8, 12], 8)] }
  const check = rule.checkBalance(spare, 'p002', options)
  expect(check).toMatchObject({ initial: 0, quality: 0, moveTo: { start: 4, end: 8 } })
  expect(check.simulated).toBeGreaterThan(0)
})

test('moves come to an end, and a steady swarm makes none, nor does it when speeds are measured again 20 % off', () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = new Random(seed, 'steady')
    const view = settled(joined(random, random.integer(6, 32)))
    let peers = view.peers
    for (let time = 0; time < 4; time += 1) {
      peers = view.peers.map((peer, index) => {
        const said = (peers[index] as PlannerPeer).blockStepsPerSecond
        const measured = peer.blockStepsPerSecond * random.uniform(0.8, 1.2)
        return { ...peer, blockStepsPerSecond: announcedSpeed(said, measured) }
      })
      for (const { peerId } of peers) {
        expect(rule.checkBalance({ ...view, peers }, peerId, options).moveTo, `seed ${seed}, ${peerId}`).toBeNull()
      }
    }
  }
})

test('no move opens a hole, also where the swarm would be worth more with one', () => {
  let holders = 0
  for (let seed = 1; seed <= 60; seed += 1) {
    const random = new Random(seed, 'holes')
    const blocks = random.integer(6, 16)
    const peers = Array.from({ length: random.integer(2, 8) }, (_, i) => {
      const length = random.integer(2, 5)
      const start = random.integer(0, blocks - length)
      return peerOf(i, [start, start + length], random.logNormal(100, 0.8))
    })
    const view = { blocks, peers }
    const missing = missingBlocks(view)
    for (const { peerId } of peers) {
      const { moveTo } = rule.checkBalance(view, peerId, { ...options, balanceQuality: 1 })
      if (moveTo === null) continue
      holders += 1
      const after = { blocks, peers: peers.map((peer) => (peer.peerId === peerId ? { ...peer, span: moveTo } : peer)) }
      for (const block of missingBlocks(after)) expect(missing).toContain(block)
    }
  }
  expect(holders).toBeGreaterThan(20)
})

test('says why it stays', () => {
  const view = { blocks: 8, peers: [peerOf(0, [0, 4], 10), { ...peerOf(1, [4, 8], 10), fixed: true }] }
  expect(rule.checkBalance(view, 'p001', options).reason).toBe('fixed')
  expect(rule.checkBalance(view, 'nobody', options).reason).toBe('no-better-place')
  expect(rule.checkBalance(view, 'p000', options)).toMatchObject({ moveTo: null, reason: 'no-better-place' })
  const twice = { blocks: 8, peers: [0, 1, 2, 3].map((i) => peerOf(i, i < 2 ? [0, 4] : [4, 8], 10)) }
  expect(rule.checkBalance(twice, 'p000', { ...options, balanceQuality: 0.5 }).reason).toBe('balanced')
  // The second half has two, the first a slow one: moving gains, and a lower balance quality stays calm.
  const uneven = { blocks: 8, peers: [peerOf(0, [0, 4], 10), peerOf(1, [4, 8], 40), peerOf(2, [4, 8], 40)] }
  expect(rule.checkBalance(uneven, 'p001', options)).toMatchObject({ moveTo: { start: 0, end: 4 }, reason: 'move' })
  expect(rule.checkBalance(uneven, 'p001', { ...options, balanceQuality: 0 }).reason).toBe('balanced')
})

test('a move is worth its time: less is left of its gain the longer its weights take to come', () => {
  const uneven = { blocks: 8, peers: [peerOf(0, [0, 4], 10), peerOf(1, [4, 8], 40), peerOf(2, [4, 8], 40)] }
  const after = (seconds: number) => rule.checkBalance(uneven, 'p001', { ...options, secondsUntil: () => seconds })
  expect(after(60).reason).toBe('move')
  expect(after(10_000)).toMatchObject({ moveTo: null, reason: 'balanced' })
  // The quality that is printed is what the placement could be, whatever it costs.
  expect(after(10_000).quality).toBe(after(60).quality)
})

test('a hole is closed at any price', () => {
  const peers = [peerOf(0, [0, 4], 8), peerOf(1, [8, 12], 8), peerOf(2, [8, 12], 8)]
  const check = rule.checkBalance({ blocks: 12, peers }, 'p002', { ...options, secondsUntil: () => Infinity })
  expect(check.moveTo).toEqual({ start: 4, end: 8 })
})

test('only a few go at a time: whoever comes after them waits until they have arrived', () => {
  // Twelve on the second half, one on the first, all alike: many would gain by going over.
  const peers = [peerOf(0, [0, 4], 10), ...Array.from({ length: 12 }, (_, i) => peerOf(i + 1, [4, 8], 10))]
  const view = { blocks: 8, peers }
  expect(rule.checkBalance(view, 'p012', options).reason).toBe('move')
  const claim = (index: number): PlannerPeer => ({ ...peerOf(index, [0, 4], 10), state: 'claimed' })
  expect(rule.checkBalance({ blocks: 8, peers: [...peers, claim(1)] }, 'p012', options).reason).toBe('move')
  const two = { blocks: 8, peers: [...peers, claim(1), claim(2)] }
  expect(rule.checkBalance(two, 'p012', options)).toMatchObject({ moveTo: null, reason: 'others-move' })
  // A joiner's claim is no move.
  const joiner = { ...claim(20), peerId: 'p020' }
  const one = { blocks: 8, peers: [...peers, claim(1), joiner] }
  expect(rule.checkBalance(one, 'p012', options).reason).toBe('move')
})

test('a head is not free: whoever holds it needs more help than the others', () => {
  const peers = [peerOf(0, [0, 4], 10), peerOf(1, [4, 8], 10), peerOf(2, [8, 12], 10)]
  const joiner = { peerId: 'new', length: 4, blockStepsPerSecond: 10 }
  const unitWeights = Array.from({ length: 12 }, (_, block) => (block === 11 ? 3.4 : 1))
  expect(rule.chooseSpan({ blocks: 12, peers, unitWeights }, joiner)).toEqual({ start: 8, end: 12 })
  const { initial } = rule.checkBalance({ blocks: 12, peers, unitWeights }, 'p002', { ...options, balanceQuality: 0 })
  const free = rule.checkBalance({ blocks: 12, peers }, 'p002', { ...options, balanceQuality: 0 })
  expect(initial).toBeLessThan(free.initial)
})
