import { expect, test } from 'vitest'
import { DraftPace } from '../../../session/draft-pace.ts'

const PLAIN_MS = 100

/** Laps whose guesses are right as far as `right` says, at so many ms for a row more. Returns rows of each lap. */
function run(pace: DraftPace, laps: number, right: number, extraMs: number): number[] {
  return Array.from({ length: laps }, () => {
    const drafted = pace.count
    pace.add({ drafted, accepted: Math.min(drafted, right), ms: PLAIN_MS + drafted * extraMs })
    return 1 + drafted
  })
}

test('the first lap is without guesses: there must be something to compare with', () => {
  expect(run(new DraftPace(), 2, 0, 0)).toEqual([1, 3])
})

test('where all are right it guesses more, up to seven', () => {
  expect(run(new DraftPace(), 6, 100, 10)).toEqual([1, 3, 5, 7, 8, 8])
})

test('where few are right and rows cost little, it goes on with few', () => {
  const rows = run(new DraftPace(), 60, 1, 5)
  expect(rows.slice(2, 30).every((count) => count === 3)).toBe(true)
})

test('where they cost more than they bring it pauses, twice as long each time', () => {
  const rows = run(new DraftPace(), 150, 0, 100)
  const pauses = rows
    .join('')
    .split(/[^1]+/u)
    .map(({ length }) => length)
  expect(pauses.slice(0, 4)).toEqual([1, 16, 32, 64])
})

test('a lap without guesses now and then keeps the comparison fresh', () => {
  const rows = run(new DraftPace(), 100, 100, 10)
  expect(rows.flatMap((count, i) => (count === 1 ? [i] : []))).toEqual([0, 33, 66, 99])
})

test('another route is measured anew', () => {
  const pace = new DraftPace()
  run(pace, 3, 100, 10)
  pace.restart()
  expect(pace.count).toBe(0)
})
