import { expect, test } from 'vitest'
import { Random } from '../../../../swarm/simulator/random.ts'

const draws = (seed: number, label: string): number[] => {
  const random = new Random(seed, label)
  return Array.from({ length: 5 }, () => random.next())
}

test('the same seed and label give the same numbers, any other different ones', () => {
  expect(draws(7, 'checks')).toEqual(draws(7, 'checks'))
  const streams = [draws(7, 'checks'), draws(8, 'checks'), draws(7, 'routes')].map(([first]) => first)
  expect(new Set(streams).size).toBe(3)
})

test('numbers are in [0, 1) and even', () => {
  const random = new Random(1, 'even')
  const counts = [0, 0, 0, 0]
  for (let i = 0; i < 40_000; i += 1) {
    const quarter = Math.floor(random.next() * 4)
    counts[quarter] = (counts[quarter] ?? NaN) + 1
  }
  expect(counts).toHaveLength(4)
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(300)
})

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

test('distributions have the moments that their arguments name', () => {
  const random = new Random(3, 'moments')
  const many = (draw: () => number): number[] => Array.from({ length: 50_000 }, draw)
  const logs = many(() => Math.log(random.logNormal(100, 0.8)))
  const middle = mean(logs)
  expect(middle).toBeCloseTo(Math.log(100), 1)
  expect(Math.sqrt(mean(logs.map((value) => (value - middle) ** 2)))).toBeCloseTo(0.8, 1)
  expect(Math.abs(mean(many(() => random.exponential(20))) - 20)).toBeLessThan(0.5)
  expect(Math.abs(mean(many(() => random.lomax(20, 3))) - 20)).toBeLessThan(1.5)
  expect(new Set(many(() => random.integer(4, 8)))).toEqual(new Set([4, 5, 6, 7, 8]))
})

test('a lower shape has the heavier tail', () => {
  const longest = (shape: number): number => {
    const random = new Random(5, 'tail')
    return Math.max(...Array.from({ length: 10_000 }, () => random.lomax(1, shape)))
  }
  expect(longest(1.5)).toBeGreaterThan(3 * longest(5))
})
