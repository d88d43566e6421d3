import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { CorrectedClock } from '../../../net/clock.ts'

beforeEach(() => vi.useFakeTimers({ now: 1_000_000 }))
afterEach(() => vi.useRealTimers())

test('without a relay it is the local clock', () => {
  expect(new CorrectedClock().now()).toBe(1_000_000)
})

test('ten minutes off: the relay’s time less half of the round trip', () => {
  const clock = new CorrectedClock()
  clock.sample('a', 1_600_000, 40)
  expect(clock.now()).toBe(1_600_020)
  vi.advanceTimersByTime(500)
  expect(clock.now()).toBe(1_600_520)
})

test('of three relays the middle one counts; a new sample of a relay replaces its old one', () => {
  const clock = new CorrectedClock()
  clock.sample('wrong', 9_000_000, 0)
  clock.sample('a', 1_000_100, 0)
  clock.sample('b', 1_000_200, 0)
  expect(clock.offsetMs).toBe(200)
  clock.sample('wrong', 1_000_150, 0)
  expect(clock.offsetMs).toBe(150)
})
