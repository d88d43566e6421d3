/** How submits are kept short from what was measured. */
import { expect, it } from 'vitest'
import { SubmitPacer } from '../../../../web/engine/submit-pacer.ts'

function learned(rows: number, blockMs: number): SubmitPacer {
  const pacer = new SubmitPacer(true)
  for (let i = 0; i < 50; i += 1) pacer.record(rows, 2, 2 * blockMs)
  return pacer
}

it('keeps a decode step in one submit up to 250 ms and cuts it past that', () => {
  expect(learned(1, 9).blocksPerSubmit(1)).toBe(27)
  expect(learned(1, 100).blocksPerSubmit(1)).toBe(2)
})

it('never cuts inside a block', () => {
  expect(learned(1, 5000).blocksPerSubmit(1)).toBe(1)
  expect(learned(64, 5000).blocksPerSubmit(64)).toBe(1)
})

it('keeps prefill near 100 ms: fewer blocks, then fewer rows', () => {
  const pacer = learned(64, 64)
  expect(pacer.blocksPerSubmit(64)).toBe(1)
  expect(pacer.rowsPerChunk(64)).toBe(64)
  const slow = learned(64, 640)
  expect(slow.rowsPerChunk(64)).toBe(8)
  expect(learned(64, 1).blocksPerSubmit(64)).toBeGreaterThanOrEqual(99)
})
