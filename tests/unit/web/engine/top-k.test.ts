/** The CPU's choice of the best logits against a full sort. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { topLogits } from '../../../../web/engine/top-k.ts'

it('gives the best, best first, ties to the lower id', () => {
  const logits = fc.array(fc.integer({ min: -20, max: 20 }), { minLength: 1, maxLength: 200 })
  fc.assert(
    fc.property(logits, fc.nat(250), (values, topK) => {
      const order = values.map((_, id) => id).toSorted((a, b) => values[b]! - values[a]! || a - b)
      const row = topLogits(Float32Array.from(values), topK)
      expect([...row.ids]).toEqual(topK === 0 ? order : order.slice(0, topK))
      expect([...row.values]).toEqual([...row.ids].map((id) => values[id]))
      expect(row.logSumExp).toBeCloseTo(Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0)), 9)
      expect(row.vocabSize).toBe(values.length)
    }),
  )
})

it('does not overflow on large logits', () => {
  expect(topLogits(Float32Array.of(1e30, 1e30), 1).logSumExp).toBe(Math.fround(1e30))
})
