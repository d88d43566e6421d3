import { describe, expect, test } from 'vitest'
import {
  cellState,
  coverageOfRecords,
  createSwarmState,
  findModel,
  relayTrouble,
} from '../../../../../web/ui/state/swarm.ts'
import type { RelayLine } from '../../../../../web/ui/state/ports.ts'
import { fakeRecord, fakeSnapshot, FakeSwarm, TINYTALES } from '../../../../e2e/harness/fakes.ts'

describe('coverage', () => {
  test('counts online peers only: claims and leaving peers serve nobody new', () => {
    const records = [
      fakeRecord(0, { start: 0, end: 4 }),
      fakeRecord(1, { start: 2, end: 4 }),
      fakeRecord(2, { start: 4, end: 6 }, 'joining'),
      fakeRecord(3, { start: 6, end: 8 }, 'leaving'),
    ]
    expect(coverageOfRecords(records, 8)).toEqual({
      blocks: 8,
      replicas: [1, 1, 2, 2, 0, 0, 0, 0],
      missing: [4, 5, 6, 7],
      covered: 4,
      peers: 2,
    })
  })

  test('a record beyond the model’s blocks adds none', () => {
    expect(coverageOfRecords([fakeRecord(0, { start: 6, end: 12 })], 8).replicas).toEqual([0, 0, 0, 0, 0, 0, 1, 1])
  })
})

test('a cell shows what a peer does with a block', () => {
  const moving = fakeRecord(0, { start: 0, end: 2 }, 'online', { next: { start: 4, end: 6 } })
  expect([0, 1, 2, 4, 5, 6].map((block) => cellState(moving, block))).toEqual([
    'online',
    'online',
    'none',
    'claimed',
    'claimed',
    'none',
  ])
  expect(cellState(fakeRecord(1, { start: 0, end: 2 }, 'joining'), 0)).toBe('claimed')
  expect(cellState(fakeRecord(1, { start: 0, end: 2 }, 'leaving'), 1)).toBe('leaving')
})

test('the snapshot follows the port', () => {
  const port = new FakeSwarm(fakeSnapshot([]))
  const swarm = createSwarmState(port)
  port.set(fakeSnapshot([fakeRecord(0, { start: 0, end: 8 })]))
  expect(swarm.snapshot.peek().models[0]?.records).toHaveLength(1)
})

test('a model is found by its revision, or as the only one of its name', () => {
  const snapshot = fakeSnapshot([])
  expect(findModel(snapshot, TINYTALES)?.revision).toBe(TINYTALES.revision)
  expect(findModel(snapshot, { repo: 'tinytales', revision: 'main' })?.revision).toBe(TINYTALES.revision)
  expect(findModel(snapshot, { repo: 'other', revision: 'main' })).toBeNull()
})

describe('what stands between the page and its relays', () => {
  const trouble = (...relays: Omit<RelayLine, 'address'>[]) =>
    relayTrouble(fakeSnapshot([], { relays: relays.map((relay, i) => ({ address: `relay ${i}`, ...relay })) }))

  test('nothing while one is connected, or an answer is still out', () => {
    expect(trouble()).toBeNull()
    expect(trouble({ state: 'lost' }, { state: 'connected' })).toBeNull()
    expect(trouble({ state: 'refused', trouble: 'version' }, { state: 'connecting' })).toBeNull()
  })

  test('a relay that only the link names is missed even while the page has its own', () => {
    const own: Omit<RelayLine, 'address'> = { state: 'connected' }
    expect(trouble(own, { state: 'lost', isFromLink: true })).toEqual({ kind: 'link-lost' })
    expect(trouble(own, { state: 'lost', isFromLink: true, trouble: 'other-relay' })).toEqual({ kind: 'other-relay' })
    expect(trouble(own, { state: 'connected', isFromLink: true })).toBeNull()
    expect(trouble({ state: 'lost' }, { state: 'connected', isFromLink: true })).toBeNull()
  })

  test('a restart is said beside a relay that is there', () => {
    expect(trouble({ state: 'restarting', backAfterMs: 9_000 }, { state: 'connected' })).toEqual({
      kind: 'restarting',
      backAfterMs: 9_000,
    })
  })

  test('what waiting will not mend goes before what it may', () => {
    expect(trouble({ state: 'lost' })).toEqual({ kind: 'lost' })
    expect(trouble({ state: 'lost' }, { state: 'refused', reason: 'It is full.' })).toEqual({
      kind: 'refused',
      reason: 'It is full.',
    })
    expect(trouble({ state: 'lost' }, { state: 'refused', trouble: 'version' })).toEqual({ kind: 'version' })
    expect(trouble({ state: 'refused' }, { state: 'lost', trouble: 'other-relay' })).toEqual({ kind: 'other-relay' })
  })
})
