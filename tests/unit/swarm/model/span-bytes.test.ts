/** The bytes of a span against sums done by hand and against its tensors. */
import { describe, expect, it } from 'vitest'
import { WEIGHT_FORMATS } from '../../../../swarm/model/config.ts'
import { attentionUnits, matrixBytes, spanBytes } from '../../../../swarm/model/span-bytes.ts'
import { spanTensors } from '../../../../swarm/model/tensors.ts'
import { fixtureFolder, FIXTURES } from '../../../reference/fixtures.ts'
import { readModel } from '../../../reference/model-files.ts'
import { readRepositoryFile } from '../../../reference/node-files.ts'

const options = { cacheTokens: 100, maxRows: 8 }

describe.each(FIXTURES)('%s', (name) => {
  it.each(WEIGHT_FORMATS)('weights are the sum over the span’s tensors: %s', async (format) => {
    const { config } = await readModel(readRepositoryFile, fixtureFolder(name))
    const blocks = config.numHiddenLayers
    const middle = Math.floor(blocks / 2)
    for (const span of [
      { start: 0, end: blocks },
      { start: 0, end: 1 },
      { start: blocks - 1, end: blocks },
      { start: middle, end: middle + 1 },
    ]) {
      const expected = spanTensors(config, span).reduce((sum, { shape, kind }) => {
        const [rows, width] = shape as [number, number]
        return sum + (kind === 'matrix' ? matrixBytes(rows, width, format) : rows * 4)
      }, 0)
      const { weights, kvCache, activations, total } = spanBytes(config, span, format, options)
      // Vectors that share a buffer are padded once; every other figure is exact.
      expect(Math.abs(weights - expected)).toBeLessThanOrEqual(64 * blocks)
      expect(total).toBe(weights + kvCache + activations)
    }
  })
})

it('counts keys and values by the budget and the blocks', async () => {
  const { config } = await readModel(readRepositoryFile, fixtureFolder('group3-bf16'))
  const { kvCache } = spanBytes(config, { start: 0, end: 2 }, 'f32', options)
  expect(kvCache).toBe(2 * 3 * 16 * 4 * 2 * 100)
  expect(spanBytes(config, { start: 0, end: 2 }, 'f32', { ...options, kv: 'f16' }).kvCache).toBe(kvCache / 2)
})

it('always leaves attention room for one row of the longest session', async () => {
  const { config } = await readModel(readRepositoryFile, fixtureFolder('group3-bf16'))
  const long = { ...config, maxPositionEmbeddings: 131_072 }
  const units = attentionUnits(long, { start: 0, end: 2 }, { cacheTokens: 131_072, maxRows: 64 })
  expect(units).toBeGreaterThanOrEqual((config.numAttentionHeads * 131_072) / 128)
})
