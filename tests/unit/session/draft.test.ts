import { expect, test } from 'vitest'
import { draftTokens } from '../../../session/draft.ts'

test('proposes what followed the longest run that stood before', () => {
  // "7 8 9" stood before 1 2, the shorter "8 9" later, before 5.
  expect(draftTokens([7, 8, 9, 1, 2, 3, 8, 9, 5, 7, 8, 9], 3)).toEqual([1, 2, 3])
})

test('of two places with runs of the same length the later one', () => {
  expect(draftTokens([7, 8, 1, 7, 8, 2, 7, 8], 1)).toEqual([2])
})

test('no more than four tokens are compared: the later of two long runs wins', () => {
  expect(draftTokens([9, 1, 2, 3, 4, 50, 8, 1, 2, 3, 4, 60, 9, 1, 2, 3, 4], 1)).toEqual([60])
})

test('a repetition goes on in its period', () => {
  expect(draftTokens([1, 5, 6, 5, 6], 5)).toEqual([5, 6, 5, 6, 5])
  expect(draftTokens([3, 3, 3], 4)).toEqual([3, 3, 3, 3])
})

test.each([
  ['nothing', [], 4],
  ['one token', [5], 4],
  ['two tokens', [5, 5], 4],
  ['one token that stood before, alone', [5, 6, 5], 4],
  ['no room', [3, 3, 3, 3], 0],
])('proposes nothing for %s', (_, ids, count) => {
  expect(draftTokens(ids, count)).toEqual([])
})

test('a run at the very beginning counts', () => {
  expect(draftTokens([5, 6, 7, 5, 6], 2)).toEqual([7, 5])
})

test('whatever the text: as many as asked for or none, and each from the text', () => {
  let state = 1
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 16) % below
  }
  let drafted = 0
  for (let round = 0; round < 500; round += 1) {
    const ids = Array.from({ length: random(40) }, () => random(4))
    const count = random(6)
    const draft = draftTokens(ids, count)
    if (draft.length > 0) drafted += 1
    expect([0, count]).toContain(draft.length)
    // The end and its continuation stood together before, or are a repetition that goes on.
    const whole = [...ids.slice(-2), ...draft].join()
    if (draft.length > 0) expect([...ids, ...draft].slice(0, -1).join()).toContain(whole)
  }
  expect(drafted).toBeGreaterThan(100)
})
