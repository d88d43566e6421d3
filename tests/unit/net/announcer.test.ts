/** When a peer publishes itself: at once, on change, regularly, and again when relays come back. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { RecordAnnouncer } from '../../../net/announcer.ts'
import type { AnnouncedFields } from '../../../net/types.ts'
import { MAX_RECORD_TTL_MS, RECORD_REFRESH_MS } from '../../../swarm/limits.ts'
import type { PeerRecord } from '../../../swarm/peer-record.ts'

beforeEach(() => void vi.useFakeTimers({ now: 1_700_000_000_000 }))
afterEach(() => void vi.useRealTimers())

const MODEL = { repo: 'r', revision: 'a'.repeat(40), digest: 'd'.repeat(32), blocks: 9 }
const FIELDS: AnnouncedFields = {
  model: MODEL,
  state: 'online',
  span: { start: 0, end: 3 },
  claimedAt: 1,
  maxBlocks: 3,
  blockStepsPerSecond: 1,
  cacheTokensLeft: 1,
  sessions: 0,
  weights: 'f32',
  backend: 'fake',
}

function announcer(now: () => number = Date.now): {
  announcer: RecordAnnouncer
  published: PeerRecord[]
  /** Of those that told nothing new but the load. */
  loads: PeerRecord[]
  provided: string[]
  relays: string[]
  roundTrips: Record<string, number>
} {
  const made = {
    published: [] as PeerRecord[],
    loads: [] as PeerRecord[],
    provided: [] as string[],
    relays: [] as string[],
    roundTrips: {} as Record<string, number>,
  }
  return {
    ...made,
    announcer: new RecordAnnouncer({
      peerId: 'self',
      sign: async () => new Uint8Array(64),
      now,
      relays: () => [...made.relays],
      roundTrips: () => ({ ...made.roundTrips }),
      publish: async ({ record }, isLoadOnly) => {
        made.published.push(record)
        if (isLoadOnly) made.loads.push(record)
      },
      provide: async (digest) => void made.provided.push(digest),
      withdraw: async () => undefined,
    }),
  }
}

test('publishes at once, on change and well within a record’s life; says once that it serves the model', async () => {
  const a = announcer()
  a.announcer.announce(FIELDS)
  await vi.advanceTimersByTimeAsync(0)
  a.announcer.announce({ ...FIELDS, sessions: 1 })
  await vi.advanceTimersByTimeAsync(0)
  expect(a.published.map(({ sessions }) => sessions)).toEqual([0, 1])
  await vi.advanceTimersByTimeAsync(3 * RECORD_REFRESH_MS)
  expect(a.published).toHaveLength(5)
  expect(3 * RECORD_REFRESH_MS).toBeLessThan(MAX_RECORD_TTL_MS)
  expect(a.provided).toEqual([MODEL.digest])
  a.announcer.stop()
})

test('the next record does not wait for a neighbour that does not answer', async () => {
  const published: number[] = []
  const made = new RecordAnnouncer({
    peerId: 'self',
    sign: async () => new Uint8Array(64),
    now: Date.now,
    relays: () => [],
    roundTrips: () => ({}),
    publish: ({ record }) => {
      published.push(record.claimedAt)
      return new Promise(() => undefined)
    },
    provide: async () => undefined,
    withdraw: async () => undefined,
  })
  for (const claimedAt of [1, 2]) {
    made.announce({ ...FIELDS, claimedAt })
    await vi.advanceTimersByTimeAsync(0)
  }
  expect(published).toEqual([1, 2])
  made.stop()
})

test('ways to others are told while it serves, at once when they change; a goodbye tells none', async () => {
  const a = announcer()
  a.announcer.roundTripsChanged()
  a.announcer.announce({ ...FIELDS, state: 'joining' })
  await vi.advanceTimersByTimeAsync(0)
  a.roundTrips['near'] = 12
  a.announcer.roundTripsChanged()
  a.announcer.announce({ ...FIELDS, state: 'online' })
  await vi.advanceTimersByTimeAsync(0)
  a.roundTrips['near'] = 20
  a.announcer.roundTripsChanged()
  await vi.advanceTimersByTimeAsync(0)
  await a.announcer.goodbye()
  expect(a.published.map(({ state, roundTrips }) => [state, roundTrips])).toEqual([
    ['joining', undefined],
    ['online', { near: 12 }],
    ['online', { near: 20 }],
    ['gone', undefined],
  ])
})

test('the load alone is told once a second at most, the newest of it, and by the quick way', async () => {
  const a = announcer()
  a.announcer.announce(FIELDS)
  await vi.advanceTimersByTimeAsync(0)
  for (let sessions = 1; sessions <= 10; sessions += 1) {
    a.announcer.announce({ ...FIELDS, sessions, cacheTokensLeft: 100 - sessions, sessionBlocks: 3 * sessions })
    await vi.advanceTimersByTimeAsync(300)
  }
  await vi.advanceTimersByTimeAsync(2_000)
  // At 0 s, then at 1 s, 2 s, 3 s with what was newest then.
  expect(a.loads.map(({ sessions }) => sessions)).toEqual([1, 4, 7, 10])
  expect(a.published.slice(1)).toEqual(a.loads)
  a.announcer.stop()
})

test('what is more than load goes everywhere at once, with the load that waited', async () => {
  const a = announcer()
  a.announcer.announce(FIELDS)
  await vi.advanceTimersByTimeAsync(0)
  a.announcer.announce({ ...FIELDS, sessions: 1 })
  await vi.advanceTimersByTimeAsync(100)
  a.announcer.announce({ ...FIELDS, sessions: 2 })
  a.announcer.announce({ ...FIELDS, sessions: 2, span: { start: 3, end: 6 } })
  a.announcer.announce({ ...FIELDS, sessions: 3, span: { start: 3, end: 6 } })
  await vi.advanceTimersByTimeAsync(0)
  const [, , third] = a.published
  expect([third?.span.start, third?.sessions]).toEqual([3, 3])
  expect(a.loads.map(({ sessions }) => sessions)).toEqual([1])
  await vi.advanceTimersByTimeAsync(RECORD_REFRESH_MS)
  // Nothing is told twice but by the regular round, which goes everywhere.
  expect(a.published).toHaveLength(4)
  expect(a.loads).toHaveLength(1)
  a.announcer.stop()
})

test('a relay that came back is told again, and so is the DHT: receivers ignored what came without an address', async () => {
  const a = announcer()
  a.announcer.announce(FIELDS)
  await vi.advanceTimersByTimeAsync(0)
  a.relays.push('/ip4/127.0.0.1/tcp/1/ws/p2p/x')
  a.announcer.relaysChanged()
  await vi.advanceTimersByTimeAsync(0)
  expect(a.published.map(({ relays }) => relays.length)).toEqual([0, 1])
  expect(a.provided).toEqual([MODEL.digest, MODEL.digest])
  a.announcer.stop()
})

test('a peer that starts again with the same key goes on counting, by the corrected clock', async () => {
  const first = announcer()
  first.announcer.announce(FIELDS)
  await vi.advanceTimersByTimeAsync(0)
  // Many changes within one millisecond still count up.
  for (let i = 0; i < 5; i += 1) {
    first.announcer.announce({ ...FIELDS, claimedAt: i })
    await vi.advanceTimersByTimeAsync(0)
  }
  const seqs = first.published.map(({ seq }) => seq)
  expect(seqs).toHaveLength(6)
  expect(seqs).toEqual(seqs.toSorted((x, y) => x - y))
  expect(new Set(seqs).size).toBe(seqs.length)
  first.announcer.stop()
  await vi.advanceTimersByTimeAsync(1_000)
  // Its machine's clock is ten minutes behind now; the relay's offset makes up for it.
  vi.setSystemTime(Date.now() - 600_000)
  const again = announcer(() => Date.now() + 600_000)
  again.announcer.announce(FIELDS)
  await vi.advanceTimersByTimeAsync(0)
  expect(again.published[0]?.seq).toBeGreaterThan(Math.max(...seqs))
  again.announcer.stop()
})

test('a goodbye is a record too, and the last one', async () => {
  const a = announcer()
  a.announcer.announce(FIELDS)
  await vi.advanceTimersByTimeAsync(0)
  await a.announcer.goodbye()
  a.announcer.announce(FIELDS)
  await vi.advanceTimersByTimeAsync(2 * RECORD_REFRESH_MS)
  expect(a.published.map(({ state }) => state)).toEqual(['online', 'gone'])
})

test('away: a goodbye that was signed ahead, at once; nothing after it until back, which tells what has changed', async () => {
  const a = announcer()
  a.announcer.announce(FIELDS)
  await vi.advanceTimersByTimeAsync(0)
  a.announcer.away()
  // Nothing was awaited: a page that is being frozen has no time to sign.
  expect(a.published.map(({ state }) => state)).toEqual(['online', 'gone'])
  a.announcer.announce({ ...FIELDS, sessions: 1 })
  a.announcer.relaysChanged()
  await vi.advanceTimersByTimeAsync(2 * RECORD_REFRESH_MS)
  expect(a.published).toHaveLength(2)
  a.announcer.back()
  await vi.advanceTimersByTimeAsync(0)
  expect(a.published.map(({ state, sessions }) => [state, sessions]).at(-1)).toEqual(['online', 1])
  const seqs = a.published.map(({ seq }) => seq)
  expect(new Set(seqs).size).toBe(3)
  expect(seqs).toEqual(seqs.toSorted((x, y) => x - y))
  a.announcer.stop()
})

test('away while a record is being signed: it is not published after the goodbye', async () => {
  const a = announcer()
  a.announcer.announce(FIELDS)
  await vi.advanceTimersByTimeAsync(0)
  a.announcer.announce({ ...FIELDS, sessions: 1 })
  a.announcer.away()
  await vi.advanceTimersByTimeAsync(0)
  expect(a.published.map(({ state }) => state)).toEqual(['online', 'gone'])
  a.announcer.stop()
})
