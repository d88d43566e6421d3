import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { philox, uniform } from '../../../session/random.ts'
import { firstTopK, sampleToken } from '../../../session/sampler.ts'
import type { SamplingOptions } from '../../../session/types.ts'
import type { LogitsRow } from '../../../swarm/span-runner.ts'

// Each takes well under a second; the machine may be busy with other suites.
vi.setConfig({ testTimeout: 30_000 })

const PLAIN: SamplingOptions = { temperature: 1, topP: 1, topK: 0, repetitionPenalty: 1, seed: 7 }

const rows = new Map<readonly number[], Map<number, LogitsRow>>()

function rowOf(logits: readonly number[], k: number): LogitsRow {
  const known = rows.get(logits) ?? new Map<number, LogitsRow>()
  rows.set(logits, known)
  const row = known.get(k) ?? makeRow(logits, k)
  known.set(k, row)
  return row
}

function makeRow(logits: readonly number[], k: number): LogitsRow {
  const values = Float32Array.from(logits)
  const order = Array.from(values.keys()).sort((a, b) => values[b]! - values[a]! || a - b)
  const max = values[order[0]!]!
  const logSumExp = max + Math.log(values.reduce((sum, value) => sum + Math.exp(value - max), 0))
  const best = order.slice(0, k === 0 ? order.length : k)
  return {
    ids: Uint32Array.from(best),
    values: Float32Array.from(best, (id) => values[id]!),
    logSumExp,
    vocabSize: logits.length,
  }
}

/** Plays the last hop: answers each question for more logits; returns the token and how often it asked. */
function sampleThrough(
  logits: readonly number[],
  k: number,
  seen: ReadonlySet<number>,
  options: SamplingOptions,
  index: number,
): { id: number; asked: number } {
  let asked = 0
  for (let topK = k; ;) {
    const result = sampleToken(rowOf(logits, topK), seen, options, index)
    if ('id' in result) return { id: result.id, asked }
    asked += 1
    expect(topK).not.toBe(0)
    // The rows of these tests are shorter than the real steps of k: grow as the product does, on their scale.
    topK = topK * 4 >= logits.length ? 0 : topK * 4
  }
}

/** The distribution by definition, over the whole row. */
function exactDistribution(logits: readonly number[], seen: ReadonlySet<number>, options: SamplingOptions): number[] {
  const scores = Array.from(Float32Array.from(logits), (value, id) => {
    if (!seen.has(id)) return value
    return value > 0 ? value / options.repetitionPenalty : value * options.repetitionPenalty
  })
  let order = scores.map((_, id) => id).sort((a, b) => scores[b]! - scores[a]! || a - b)
  if (options.topK > 0) order = order.slice(0, options.topK)
  const weight = (id: number): number => Math.exp((scores[id]! - scores[order[0]!]!) / options.temperature)
  const total = order.reduce((sum, id) => sum + weight(id), 0)
  let mass = 0
  const kept: number[] = []
  for (const id of order) {
    kept.push(id)
    mass += weight(id)
    if (mass >= options.topP * total) break
  }
  const result = scores.map(() => 0)
  for (const id of kept) result[id] = weight(id) / mass
  return result
}

const logitsArbitrary = fc.array(fc.double({ min: -8, max: 8, noNaN: true }), { minLength: 2, maxLength: 60 })
const optionsArbitrary = fc.record({
  temperature: fc.constantFrom(0, 0.3, 0.7, 1, 1.5),
  topP: fc.constantFrom(0.1, 0.5, 0.95, 1),
  topK: fc.constantFrom(0, 0, 1, 5, 40),
  repetitionPenalty: fc.constantFrom(1, 1, 1.1, 1.5, 8, 0.8),
  seed: fc.nat(),
})

describe('random numbers', () => {
  test('Philox gives the published vectors', () => {
    const hex = (words: number[]): string[] => words.map((word) => word.toString(16).padStart(8, '0'))
    expect(hex(philox([0, 0, 0, 0], [0, 0]))).toEqual(['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8'])
    const ones = 0xffffffff
    expect(hex(philox([ones, ones, ones, ones], [ones, ones]))).toEqual([
      '408f276d',
      '41c83b0e',
      'a20bc7c6',
      '6d5451fd',
    ])
    expect(hex(philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]))).toEqual([
      'd16cfe09',
      '94fdcceb',
      '5001e420',
      '24126ea1',
    ])
  })

  test('are in [0, 1), keyed by seed and index, and even', () => {
    let sum = 0
    const buckets = Array.from({ length: 10 }, () => 0)
    for (let index = 0; index < 20_000; index += 1) {
      const value = uniform(42, index)
      expect(value >= 0 && value < 1).toBe(true)
      sum += value
      buckets[Math.floor(value * 10)]! += 1
    }
    expect(sum / 20_000).toBeCloseTo(0.5, 2)
    for (const count of buckets) expect(Math.abs(count - 2000)).toBeLessThan(200)
    expect(uniform(42, 5)).toBe(uniform(42, 5))
    expect(uniform(42, 5)).not.toBe(uniform(43, 5))
    expect(uniform(2 ** 40 + 1, 0)).not.toBe(uniform(1, 0))
  })
})

describe('sampler', () => {
  test('greedy takes the best logit, ties to the lower id, from one logit alone', () => {
    expect(firstTopK({ ...PLAIN, temperature: 0 })).toBe(1)
    expect(sampleToken(rowOf([1, 3, 3, 2], 1), new Set(), { ...PLAIN, temperature: 0 }, 0)).toEqual({ id: 1 })
  })

  test('temperature towards 0 equals greedy', () => {
    fc.assert(
      fc.property(logitsArbitrary, fc.nat(), (logits, seed) => {
        const sorted = [...new Set(Float32Array.from(logits))].sort((a, b) => b - a)
        fc.pre(sorted.length < 2 || sorted[0]! - sorted[1]! > 1e-3)
        fc.pre(logits.filter((value) => Math.fround(value) === sorted[0]).length === 1)
        const greedy = sampleThrough(logits, 1, new Set(), { ...PLAIN, temperature: 0 }, 3).id
        expect(sampleThrough(logits, 4, new Set(), { ...PLAIN, temperature: 1e-5, seed }, 3).id).toBe(greedy)
      }),
    )
  })

  test('a few logits give the token that the whole row gives', () => {
    fc.assert(
      fc.property(
        logitsArbitrary,
        optionsArbitrary,
        fc.integer({ min: 1, max: 16 }),
        fc.array(fc.nat(59), { maxLength: 60 }),
        fc.nat(1000),
        (logits, options, k, seenIds, index) => {
          const seen = new Set(seenIds)
          const whole = sampleToken(rowOf(logits, 0), seen, options, index)
          if (!('id' in whole)) throw new Error('the whole row must be enough')
          expect(sampleThrough(logits, Math.min(k, logits.length), seen, options, index).id).toBe(whole.id)
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('never a token outside top-k and nucleus', () => {
    fc.assert(
      fc.property(
        logitsArbitrary,
        optionsArbitrary.filter((options) => options.temperature > 0),
        fc.array(fc.nat(59), { maxLength: 8 }),
        fc.nat(1000),
        (logits, options, seenIds, index) => {
          const seen = new Set(seenIds)
          const { id } = sampleThrough(logits, 8, seen, options, index)
          expect(exactDistribution(logits, seen, options)[id]).toBeGreaterThan(0)
        },
      ),
      { numRuns: 1000 },
    )
  })

  test.each([
    { ...PLAIN },
    { ...PLAIN, temperature: 0.7 },
    { ...PLAIN, temperature: 1.6 },
    { ...PLAIN, temperature: 0.7, topP: 0.9 },
    { ...PLAIN, topK: 5 },
    { ...PLAIN, temperature: 0.9, topP: 0.95, repetitionPenalty: 1.2 },
  ])('draws from the exact distribution: %j', (options) => {
    const logits = Array.from({ length: 40 }, (_, id) => 3 * Math.sin(id * 1.7) + (id % 7) * 0.3)
    const seen = new Set([1, 4, 9])
    const expected = exactDistribution(logits, seen, options)
    const draws = 20_000
    const counts = expected.map(() => 0)
    for (let index = 0; index < draws; index += 1) counts[sampleThrough(logits, 10, seen, options, index).id]! += 1
    // Chi-squared over the kept tokens; 99.99 % of fair runs lie below df + 4·√(2·df) + 12.
    let chi = 0
    let df = -1
    expected.forEach((probability, id) => {
      if (probability === 0) return expect(counts[id]).toBe(0)
      chi += (counts[id]! - draws * probability) ** 2 / (draws * probability)
      df += 1
    })
    expect(chi).toBeLessThan(df + 4 * Math.sqrt(2 * df) + 12)
  })

  test('asks for more only when the answer hangs on it', () => {
    const peaked = Array.from({ length: 2000 }, (_, id) => (id === 5 ? 20 : -id / 100))
    expect(sampleThrough(peaked, 256, new Set(), PLAIN, 0)).toEqual({ id: 5, asked: 0 })
    const flat = Array.from({ length: 2000 }, () => 0)
    expect(sampleThrough(flat, 256, new Set(), { ...PLAIN, topP: 0.9, seed: 3 }, 1).asked).toBeGreaterThan(0)
    const allSeen = new Set(Array.from({ length: 300 }, (_, id) => id))
    const penalized = Array.from({ length: 2000 }, (_, id) => 10 - id / 1000)
    const greedy = { ...PLAIN, temperature: 0, repetitionPenalty: 2 }
    expect(sampleThrough(penalized, 256, allSeen, greedy, 0)).toEqual({ id: 300, asked: 1 })
  })

  test('a penalty on tokens beyond the row may shrink their mass: the nucleus is not cut as if they had kept it', () => {
    const logits = Array.from({ length: 60 }, (_, id) => (id < 10 ? 8 - id * 0.001 : 7.9))
    const seen = new Set(Array.from({ length: 50 }, (_, i) => i + 10))
    const options = { ...PLAIN, topP: 0.1, repetitionPenalty: 8 }
    for (let index = 0; index < 30; index += 1) {
      const whole = sampleToken(rowOf(logits, 0), seen, options, index)
      expect({ id: sampleThrough(logits, 16, seen, options, index).id }).toEqual(whole)
    }
  })

  test('asks in steps up to the whole row', () => {
    const flat = Array.from({ length: 3000 }, () => 0)
    const options = { ...PLAIN, topP: 0.99 }
    expect(sampleToken(rowOf(flat, 1), new Set(), options, 0)).toEqual({ moreLogits: 256 })
    expect(sampleToken(rowOf(flat, 256), new Set(), options, 0)).toEqual({ moreLogits: 1024 })
    expect(sampleToken(rowOf(flat, 1024), new Set(), options, 0)).toEqual({ moreLogits: 0 })
    expect(sampleToken(rowOf(flat, 0), new Set(), options, 0)).toHaveProperty('id')
  })
})
