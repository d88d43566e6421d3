import { expect, test } from 'vitest'
import { routeLine } from '../../../../swarm/planner/route-line.ts'

const HOPS = [
  { peerId: '12D3KooWAbCdEf123456', span: { start: 0, end: 8 } },
  { peerId: '12D3KooWAbCdEf654321', span: { start: 8, end: 16 } },
]

test('a hop says its blocks, its peer and how far it is from the one before, where that is known', () => {
  const known = (from: string | null): number | null => (from === null ? 12.4 : null)
  expect(routeLine(HOPS, known)).toBe('0:8 via …123456 (12 ms) => 8:16 via …654321')
  expect(routeLine(HOPS, () => 3)).toBe('0:8 via …123456 (3 ms) => 8:16 via …654321 (3 ms)')
  expect(routeLine([{ peerId: 'p0001', span: { start: 2, end: 3 } }], () => null)).toBe('2:3 via p0001')
  expect(routeLine([], () => null)).toBe('')
})
