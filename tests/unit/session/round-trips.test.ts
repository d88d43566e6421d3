/** The ways that a route is chosen by: measured here, told by either end's record, carried by the requesting peer, estimated. */
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { RoundTrips } from '../../../net/round-trips.ts'
import type { PeerRecord } from '../../../swarm/peer-record.ts'
import { estimatedRtt, knownRtt } from '../../../session/round-trips.ts'
import { pairOf } from '../../../session/route-session.ts'
import { FakeSwarm } from './support/fake-swarm.ts'
import { collect, newChat, request, useVirtualTime } from './support/run.ts'

beforeEach(useVirtualTime)
afterEach(() => {
  vi.useRealTimers()
})

function recordsOf(told: Record<string, Record<string, number>>): (peerId: string) => PeerRecord | undefined {
  return (peerId) => {
    const roundTrips = told[peerId]
    return roundTrips === undefined ? undefined : ({ peerId, roundTrips } as unknown as PeerRecord)
  }
}

test('own measurements, else what either end tells, and of two the longer', () => {
  const records = recordsOf({ a: { b: 10 }, b: { a: 30, c: 7 }, c: {}, d: {} })
  const known = knownRtt({ rttMs: (peerId) => (peerId === 'a' ? 4 : null) }, records, new Set())
  expect([known(null, 'a'), known(null, 'b')]).toEqual([4, null])
  expect([known('a', 'b'), known('b', 'a'), known('c', 'b'), known('c', 'd'), known('a', 'gone')]).toEqual([
    30,
    30,
    7,
    null,
    null,
  ])
})

test('between two that cannot connect the way is this peer’s own to both, whatever they tell', () => {
  const mine: Record<string, number> = { a: 4, b: 9 }
  const records = recordsOf({ a: { b: 1 }, b: {} })
  const known = knownRtt({ rttMs: (peerId) => mine[peerId] ?? null }, records, new Set([pairOf('a', 'b')]))
  expect([known('a', 'b'), known('b', 'a')]).toEqual([13, 1])
})

test('an estimate is within what the triangle allows, and only where nobody has measured', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 500 }), fc.integer({ min: 0, max: 500 }), (a, b) => {
      const mine: Record<string, number> = { a, b }
      const known = knownRtt({ rttMs: (peerId) => mine[peerId] ?? null }, recordsOf({ a: {}, b: {} }), new Set())
      const estimate = estimatedRtt(known)('a', 'b')
      expect(estimate).toBeGreaterThanOrEqual(Math.abs(a - b))
      expect(estimate).toBeLessThanOrEqual(a + b)
      expect(estimatedRtt(known)('a', 'unknown')).toBeNull()
      expect(estimatedRtt(() => 3)('a', 'b')).toBe(3)
    }),
  )
})

/** Each peer's own measuring over a wire with these delays, told in its record. */
async function measured(
  swarm: FakeSwarm,
  peers: Record<string, [number, number]>,
  wayMs: (a: string, b: string) => number,
) {
  const ids = Object.keys(peers)
  for (const id of ids) {
    let now = 0
    const trips = new RoundTrips({
      candidates: () => ids.filter((other) => other !== id),
      measure: async (other) => wayMs(id, other),
      onChange: () => undefined,
      now: () => now,
    })
    for (let second = 0; second < 30; second += 1) {
      now += 1_000
      trips.tick()
      await Promise.resolve()
    }
    const [start, end] = peers[id] as [number, number]
    swarm.join(id, start, end, { roundTrips: trips.told() })
  }
}

const PROMPT = [5, 9, 2]

async function lineOfAnswer(swarm: FakeSwarm, seed: number): Promise<string> {
  const chat = newChat(swarm, undefined, seed)
  const { events } = await collect(chat.generate(request(PROMPT)))
  await chat.close()
  const route = events.find((event) => event.type === 'route')
  return route?.type === 'route' ? route.line : ''
}

test('of two equal replicas the one nearer to the hop before it is taken, and the line says how far each is', async () => {
  const swarm = new FakeSwarm(4)
  // As far from whoever asks; the far one is on the other side of it, seen from the first hop.
  const where: Record<string, number> = { first: 40, near: 52, far: -48 }
  swarm.rttMs = (peerId) => Math.abs(where[peerId] as number)
  await measured(swarm, { first: [0, 2], near: [2, 4], far: [2, 4] }, (a, b) =>
    Math.abs((where[a] as number) - (where[b] as number)),
  )
  for (let seed = 1; seed <= 10; seed += 1) {
    expect(await lineOfAnswer(swarm, seed)).toBe('0:2 via first (40 ms) => 2:4 via near (12 ms)')
  }
})

test('nothing told: equal replicas share answers, and the line leaves out what is not known', async () => {
  const swarm = new FakeSwarm(4)
  for (const [id, start] of [
    ['first', 0],
    ['near', 2],
    ['far', 2],
  ] as const) {
    swarm.join(id, start, start + 2)
  }
  swarm.rttMs = () => null
  const lines = new Set<string>()
  for (let seed = 1; seed <= 20; seed += 1) lines.add(await lineOfAnswer(swarm, seed))
  expect([...lines].toSorted()).toEqual(['0:2 via first => 2:4 via far', '0:2 via first => 2:4 via near'])
})
