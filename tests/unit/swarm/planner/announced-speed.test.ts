/** A speed that is measured again is news only where it is more than noise. */
import { expect, test } from 'vitest'
import { announcedSpeed } from '../../../../swarm/planner/announced-speed.ts'

test('measurements up to a fifth off never change what was said, whichever was said first', () => {
  for (let first = 80; first <= 120; first += 1) {
    for (let next = 80; next <= 120; next += 1) expect(announcedSpeed(first / 3, next / 3)).toBe(first / 3)
  }
})

test('a device that is half as fast, or twice, says so', () => {
  expect(announcedSpeed(100, 50)).toBe(50)
  expect(announcedSpeed(100, 200)).toBe(200)
  expect(announcedSpeed(100, 64)).toBe(64)
})
