import { expect, test } from 'vitest'
import { formatBlockRanges, formatBlocks, isValidSpan } from '../../../swarm/span.ts'

test('prints blocks as the original does', () => {
  expect(formatBlocks({ start: 8, end: 12 })).toBe('[8, 9, 10, 11]')
})

test('prints missing blocks as ranges', () => {
  expect(formatBlockRanges([3, 4, 5, 9])).toBe('3–5, 9')
  expect(formatBlockRanges([])).toBe('')
})

test.each([
  [{ start: 0, end: 8 }, true],
  [{ start: 7, end: 8 }, true],
  [{ start: 0, end: 9 }, false],
  [{ start: 4, end: 4 }, false],
  [{ start: -1, end: 4 }, false],
  [{ start: 0.5, end: 4 }, false],
])('valid span of 8 blocks: %o is %s', (span, valid) => {
  expect(isValidSpan(span, 8)).toBe(valid)
})
