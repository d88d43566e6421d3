/** How submits are kept short from what was measured. */
import { expect, it } from 'vitest'
import { SubmitPacer } from '../../../../web/engine/submit-pacer.ts'

function learned(rows: number, blockMs: number): SubmitPacer {
  const pacer = new SubmitPacer(true)
  for (let i = 0; i < 50; i += 1) pacer.record({ rows, context: 0, blocks: 2, ms: 2 * blockMs })
  return pacer
}

it('keeps a decode step in one submit up to 250 ms and cuts it past that', () => {
  expect(learned(1, 9).blocksPerSubmit(1, 0)).toBe(27)
  expect(learned(1, 100).blocksPerSubmit(1, 0)).toBe(2)
})

it('never cuts inside a block', () => {
  expect(learned(1, 5000).blocksPerSubmit(1, 0)).toBe(1)
  expect(learned(64, 5000).blocksPerSubmit(64, 0)).toBe(1)
})

it('keeps prefill near 100 ms: fewer blocks, then fewer rows', () => {
  const pacer = learned(64, 64)
  expect(pacer.blocksPerSubmit(64, 0)).toBe(1)
  expect(pacer.rowsPerChunk(64, 0, null)).toBe(64)
  const slow = learned(64, 640)
  expect(slow.rowsPerChunk(64, 0, null)).toBe(8)
  expect(learned(64, 1).blocksPerSubmit(64, 0)).toBeGreaterThanOrEqual(99)
})

it('goes by what was timed at load, from the first step on', () => {
  const pacer = new SubmitPacer(true)
  const row = { near: { context: 0, ms: 8 }, far: { context: 1000, ms: 18 } }
  const tile = { near: { context: 0, ms: 10 }, far: { context: 1000, ms: 30 } }
  pacer.calibrate(row, tile)
  // 30 blocks of 8 ms are one submit; the guess of 20 ms would have made three of them.
  expect(pacer.blocksPerSubmit(1, 0)).toBe(31)
  expect(pacer.rowsPerChunk(512, 0, null)).toBe(80)
  expect(pacer.blocksPerSubmit(80, 0)).toBe(1)
})

it('knows that a chunk far on in a context takes longer, before the first one there', () => {
  const pacer = new SubmitPacer(false)
  const tile = { near: { context: 0, ms: 10 }, far: { context: 1000, ms: 30 } }
  pacer.calibrate({ near: { context: 0, ms: 1 }, far: { context: 1000, ms: 2 } }, tile)
  expect(pacer.rowsPerChunk(512, 4500, null)).toBe(8)
  expect(pacer.rowsPerChunk(512, 1000, null)).toBe(24)
  // A machine that becomes twice as slow is so everywhere.
  for (let i = 0; i < 50; i += 1) pacer.record({ rows: 24, context: 1000, blocks: 1, ms: 180 })
  expect(pacer.rowsPerChunk(512, 1000, null)).toBe(8)
  expect(pacer.rowsPerChunk(512, 0, null)).toBe(40)
})

it('where others wait, all blocks of a chunk are soon through, but a tile is never cut', () => {
  const pacer = learned(8, 4.9)
  expect(pacer.rowsPerChunk(512, 0, null)).toBe(160)
  expect(pacer.rowsPerChunk(512, 0, 10)).toBe(48)
  expect(pacer.rowsPerChunk(512, 0, 1000)).toBe(8)
})
