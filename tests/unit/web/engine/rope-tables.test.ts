/** Rotary frequencies and tables against the plain reference, plain and with Llama-3 scaling. */
import { expect, it } from 'vitest'
import type { Llama3RopeScaling, LlamaConfig } from '../../../../swarm/model/config.ts'
import { inverseFrequencies, ropeTable } from '../../../../web/engine/rope-tables.ts'
import * as ops from '../../../reference/ops.ts'

const llama3: Llama3RopeScaling = {
  ropeType: 'llama3',
  factor: 8,
  lowFreqFactor: 1,
  highFreqFactor: 4,
  originalMaxPositionEmbeddings: 8192,
}

it.each([null, llama3])('frequencies with scaling %o', (ropeScaling) => {
  const config = { headDim: 128, ropeTheta: 500_000, ropeScaling } as LlamaConfig
  const expected = ops.inverseFrequencies(config)
  inverseFrequencies(config).forEach((value, i) => {
    expect(Math.abs(value / expected[i]! - 1)).toBeLessThan(1e-6)
  })
  // The slowest pair is stretched by the whole factor, the fastest not at all.
  const plain = inverseFrequencies({ ...config, ropeScaling: null })
  expect(plain[63]! / inverseFrequencies(config)[63]!).toBeCloseTo(ropeScaling === null ? 1 : 8, 4)
  expect(plain[0]).toBe(inverseFrequencies(config)[0])
})

it('a row of the table is the same in any chunk', () => {
  const frequencies = Float32Array.of(1, 0.1, 0.003)
  const long = ropeTable(frequencies, 0, 50)
  expect(ropeTable(frequencies, 37, 2)).toEqual(long.slice(37 * 6, 39 * 6))
  expect(long.slice(0, 6)).toEqual(Float32Array.of(1, 0, 1, 0, 1, 0))
  expect(long[40 * 6 + 1]).toBe(Math.fround(Math.sin(40)))
})
