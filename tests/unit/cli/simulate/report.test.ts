import { expect, test } from 'vitest'
import { countByBin, fewestHolders, meanInBins } from '../../../../cli/simulate/report/bins.ts'
import { coverageMap, linePlot } from '../../../../cli/simulate/report/plot.ts'
import type { Reading } from '../../../../swarm/simulator/capacity-meter.ts'

const reading = (t: number, capacity: number, holders: number[]): Reading => ({
  t,
  capacity,
  holders,
  flowCapacity: capacity,
  bound: 100,
  present: 1,
  loaded: 1,
})
const bins = { seconds: 40, count: 4 }

test('a reading holds until the next: means are weighted by time', () => {
  const readings = [reading(0, 10, [1]), reading(15, 20, [1])]
  expect(meanInBins(readings, bins, ({ capacity }) => capacity)).toEqual([10, 15, 20, 20])
})

test('a hole of a moment shows in its bin', () => {
  const readings = [reading(0, 1, [2, 1]), reading(22, 0, [2, 0]), reading(23, 1, [1, 3])]
  expect(fewestHolders(readings, bins, 2)).toEqual([
    [2, 1],
    [2, 1],
    [1, 0],
    [1, 3],
  ])
})

test('events add up', () => {
  expect(countByBin([0, 9.9, 10, 40], bins)).toEqual([2, 3, 3, 4])
})

test('the map joins neighbours of one colour, and keeps others apart', () => {
  const svg = coverageMap({ label: 'x', seconds: 40, holders: [[1], [1], [0], [9]] })
  expect([...svg.matchAll(/class="(h\d)"/g)].map(([, look]) => look)).toEqual(['h1', 'h0', 'h4'])
})

test('a plot of nothing is a plot', () => {
  const svg = linePlot({
    label: 'x',
    seconds: 0.5,
    unit: 'moves',
    lines: [{ name: 'flow', look: 'flow', values: [0, 0] }],
  })
  expect(svg).not.toMatch(/NaN|Infinity/)
})
