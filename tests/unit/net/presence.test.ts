/** A peer that stands still and comes back, by clocks that tests set. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Presence } from '../../../net/presence.ts'

beforeEach(() => void vi.useFakeTimers({ now: 1_700_000_000_000 }))
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

function presence(checkConnections = async (): Promise<void> => undefined): {
  presence: Presence
  happened: string[]
  untils: (number | undefined)[]
} {
  const happened: string[] = []
  const untils: (number | undefined)[] = []
  return {
    happened,
    untils,
    presence: new Presence({
      selfId: 'self',
      announcer: { away: () => happened.push('away'), back: () => happened.push('back') },
      endSessions(reason, heardUntil) {
        happened.push(`end: ${reason.message}`)
        untils.push(heardUntil)
      },
      async checkConnections() {
        happened.push('check')
        await checkConnections()
      },
      debug: () => undefined,
    }),
  }
}

/** Ticks as a page has them; every `ms`. */
async function ticks(of: Presence, count: number, ms: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    await vi.advanceTimersByTimeAsync(ms)
    of.tick()
  }
}

test('a page that is hidden, and ticks a little late, has not been away', async () => {
  const p = presence()
  await ticks(p.presence, 60, 1_300)
  expect(p.happened).toEqual([])
})

test('frozen: sessions end and goodbye is said before the call returns; back only when the connections were looked at', async () => {
  let checked = (): void => undefined
  const p = presence(() => new Promise((resolve) => (checked = resolve)))
  p.presence.freeze()
  expect(p.happened).toEqual(['end: peer self cannot go on: its browser froze the page', 'away'])
  p.presence.freeze()
  expect(p.happened).toHaveLength(2)
  p.presence.wake()
  await vi.advanceTimersByTimeAsync(100)
  expect(p.happened.at(-1)).toBe('check')
  checked()
  await vi.advanceTimersByTimeAsync(0)
  expect(p.happened.at(-1)).toBe('back')
})

test('frozen again while the connections are looked at: nothing is announced from within the ice', async () => {
  let checked = (): void => undefined
  const p = presence(() => new Promise((resolve) => (checked = resolve)))
  p.presence.freeze()
  p.presence.wake()
  p.presence.freeze()
  checked()
  await vi.advanceTimersByTimeAsync(0)
  expect(p.happened).not.toContain('back')
})

test('a page that is told of a freeze and runs on comes back by itself', async () => {
  const p = presence()
  p.presence.freeze()
  await ticks(p.presence, 2, 1_000)
  expect(p.happened).not.toContain('back')
  await ticks(p.presence, 1, 1_000)
  await vi.advanceTimersByTimeAsync(0)
  expect(p.happened).toContain('back')
})

test.each([
  ['goes on counting', (ms: number) => vi.advanceTimersByTimeAsync(ms)],
  ['stands still, as where the machine was suspended', async (ms: number) => void vi.setSystemTime(Date.now() + ms)],
])('a sleep is noticed at the first tick, also where the monotonic clock %s', async (_, sleep) => {
  const p = presence()
  await ticks(p.presence, 3, 1_000)
  const heardUntil = performance.now() + 1_000
  await sleep(20_000)
  p.presence.tick()
  await vi.advanceTimersByTimeAsync(0)
  expect(p.happened).toEqual(['end: peer self cannot go on: it stood still for 20 s', 'check', 'back'])
  // Sessions from which something came since: a throttled page, not a sleeping one.
  expect(p.untils).toEqual([heardUntil])
  await ticks(p.presence, 3, 1_000)
  expect(p.happened).toHaveLength(3)
})

test('a short standing still ends no session, and is announced all the same: others may have given up', async () => {
  const p = presence()
  await vi.advanceTimersByTimeAsync(3_200)
  p.presence.tick()
  await vi.advanceTimersByTimeAsync(0)
  expect(p.happened).toEqual(['check', 'back'])
})

test('just after waking, what was cut says nothing of the others; a goodbye or a relay’s notice does', async () => {
  const p = presence()
  expect(p.presence.isTheirs('closed')).toBe(true)
  await vi.advanceTimersByTimeAsync(15_000)
  // Read before the first tick.
  expect(p.presence.isTheirs('closed')).toBe(false)
  p.presence.tick()
  expect(p.presence.isTheirs('timeout')).toBe(false)
  expect(p.presence.isTheirs('goodbye')).toBe(true)
  expect(p.presence.isTheirs('relay-notice')).toBe(true)
  await ticks(p.presence, 11, 1_000)
  expect(p.presence.isTheirs('closed')).toBe(true)
})
