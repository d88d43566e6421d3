/** What a hop keeps of what it sent on: any order of puts and cuts gives the rows of a plain list, within the tab's limit. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { KeptOutputs, OutputBudget } from '../../../../net/serve/kept-outputs.ts'

const COLUMNS = 3

/** Row r of the put with that mark. */
const rowOf = (mark: number, row: number): number[] =>
  Array.from({ length: COLUMNS }, (_, i) => mark * 1_000 + row * 10 + i)

function hiddenOf(mark: number, rows: number): Float32Array {
  return Float32Array.from(Array.from({ length: rows }, (_, row) => rowOf(mark, row)).flat())
}

test('puts and cuts in any order, rows from anywhere, and the limit is given back', () => {
  const action = fc.record({ back: fc.nat(6), rows: fc.integer({ min: 0, max: 5 }) })
  fc.assert(
    fc.property(fc.array(action, { maxLength: 30 }), fc.nat(100), fc.nat(100), (actions, from, count) => {
      const budget = new OutputBudget(1e6)
      const kept = new KeptOutputs(budget, 0)
      let list: number[][] = []
      for (const [mark, { back, rows }] of actions.entries()) {
        const position = Math.max(0, list.length - back)
        list = list.slice(0, position)
        if (rows === 0) kept.cut(position)
        else kept.put(position, rows, hiddenOf(mark, rows))
        list.push(...Array.from({ length: rows }, (_, row) => rowOf(mark, row)))
      }
      expect(kept.length).toBe(list.length)
      expect(1e6 - budget.bytesLeft).toBe(list.length * COLUMNS * 4)
      const begin = Math.min(from, list.length)
      const rows = Math.min(count, list.length - begin)
      if (rows > 0) {
        const found = kept.rows(begin, rows)
        expect(found?.columns).toBe(COLUMNS)
        expect([...new Float32Array((found?.payload ?? new Uint8Array()).slice().buffer)]).toEqual(
          list.slice(begin, begin + rows).flat(),
        )
      }
      expect(kept.rows(begin, list.length - begin + 1)).toBeNull()
      kept.drop()
      expect(budget.bytesLeft).toBe(1e6)
    }),
  )
})

test('what would go beyond the limit is dropped as a whole, and stays away; others go on', () => {
  const budget = new OutputBudget(10 * COLUMNS * 4)
  const [one, other] = [new KeptOutputs(budget, 0), new KeptOutputs(budget, 0)]
  one.put(0, 6, hiddenOf(1, 6))
  other.put(0, 4, hiddenOf(2, 4))
  one.put(6, 1, hiddenOf(3, 1))
  expect([one.length, other.length, budget.bytesLeft]).toEqual([0, 4, 6 * COLUMNS * 4])
  one.put(0, 1, hiddenOf(4, 1))
  expect([one.length, one.rows(0, 1)]).toEqual([0, null])
})

test('a session that began with rows of another one has none to send again', () => {
  const kept = new KeptOutputs(new OutputBudget(1e6), 32)
  kept.put(32, 2, hiddenOf(1, 2))
  expect([kept.length, kept.rows(32, 1)]).toEqual([0, null])
})
