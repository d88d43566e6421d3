/** What a peer measures and tells of its ways, by a clock of the test: how often, which, and what is no news. */
import { expect, test } from 'vitest'
import { RoundTrips } from '../../../net/round-trips.ts'
import { MAX_ROUND_TRIPS } from '../../../swarm/limits.ts'

function measuring(ways: Record<string, () => number | null>) {
  const made = { now: 0, asked: [] as string[], changes: 0, candidates: Object.keys(ways) }
  const trips = new RoundTrips({
    candidates: () => made.candidates,
    measure: async (peerId) => {
      made.asked.push(peerId)
      return ways[peerId]?.() ?? null
    },
    onChange: () => (made.changes += 1),
    now: () => made.now,
  })
  const seconds = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i += 1) {
      made.now += 1_000
      trips.tick()
      await Promise.resolve()
      await Promise.resolve()
    }
  }
  return { made, trips, seconds }
}

test('the median of a few pings is told, so that one in a busy moment counts for nothing', async () => {
  const a = [12, 900, 11]
  const { made, trips, seconds } = measuring({ a: () => a.shift() ?? 12, b: () => 40.4 })
  await seconds(5)
  expect(trips.told()).toEqual({})
  await seconds(5)
  expect(trips.told()).toEqual({ a: 12, b: 40 })
  expect(made.changes).toBe(1)
})

test('pings are few: three to begin with, then three a minute and peer', async () => {
  const { made, seconds } = measuring({ a: () => 5, b: () => 5 })
  await seconds(60)
  expect(made.asked.filter((peerId) => peerId === 'a').length).toBeLessThanOrEqual(6)
  expect(made.asked.filter((peerId) => peerId === 'b').length).toBeGreaterThanOrEqual(5)
})

test('noise is not told; another way is, and a peer that came or went', async () => {
  let ms = 100
  let turn = 0
  const { made, trips, seconds } = measuring({ a: () => ms * (turn++ % 2 === 0 ? 0.93 : 1.07), b: () => 3 })
  made.candidates = ['a']
  await seconds(600)
  expect(made.changes).toBe(1)
  ms = 200
  await seconds(120)
  // The median wanders there over one figure between the two at most.
  expect(made.changes).toBeGreaterThanOrEqual(2)
  expect(made.changes).toBeLessThanOrEqual(3)
  expect(trips.told()['a']).toBeGreaterThan(160)
  const before = made.changes
  made.candidates = ['a', 'b']
  await seconds(20)
  expect(Object.keys(trips.told()).toSorted()).toEqual(['a', 'b'])
  made.candidates = ['b']
  await seconds(20)
  expect(trips.told()).toEqual({ b: 3 })
  expect(made.changes).toBe(before + 2)
})

test('of many only the nearest are told, by the ends of their ids', async () => {
  const ids = Array.from({ length: 20 }, (_, i) => `12D3KooWpeer-number-${String(i).padStart(4, '0')}`)
  const { trips, seconds } = measuring(Object.fromEntries(ids.map((id, i) => [id, () => 200 - i])))
  await seconds(90)
  const told = trips.told()
  expect(Object.keys(told)).toHaveLength(MAX_ROUND_TRIPS)
  expect(Object.values(told)).toEqual([181, 182, 183, 184, 185, 186, 187, 188])
  expect(told['-number-0019']).toBe(181)
})

test('who does not answer is not told, and does not keep others from being measured', async () => {
  const { trips, seconds } = measuring({ silent: () => null, a: () => 7, b: () => 9 })
  await seconds(30)
  expect(trips.told()).toEqual({ a: 7, b: 9 })
})
