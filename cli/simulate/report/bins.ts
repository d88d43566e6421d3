/** Readings, which come whenever something changes, in equal steps of time: what a plot of fixed width can show. */
import type { Reading } from '../../../swarm/simulator/capacity-meter.ts'

export interface Bins {
  seconds: number
  count: number
}

/** Time-weighted mean of a figure in each bin; a reading holds until the next one. */
export function meanInBins(readings: readonly Reading[], bins: Bins, of: (reading: Reading) => number): number[] {
  const sums = Array.from({ length: bins.count }, () => 0)
  eachPiece(readings, bins, (reading, bin, seconds) => {
    sums[bin] = (sums[bin] as number) + of(reading) * seconds
  })
  const width = bins.seconds / bins.count
  return sums.map((sum) => sum / width)
}

/** Fewest holders of each unit in each bin: [bin][unit]. A hole of a moment shows. */
export function fewestHolders(readings: readonly Reading[], bins: Bins, units: number): number[][] {
  const fewest = Array.from({ length: bins.count }, () => Array.from({ length: units }, () => Infinity))
  eachPiece(readings, bins, (reading, bin) => {
    const column = fewest[bin] as number[]
    for (let unit = 0; unit < units; unit += 1) {
      column[unit] = Math.min(column[unit] as number, reading.holders[unit] as number)
    }
  })
  return fewest.map((column) => column.map((held) => (held === Infinity ? 0 : held)))
}

/** Cumulative count of events at the end of each bin. */
export function countByBin(times: readonly number[], bins: Bins): number[] {
  const counts = Array.from({ length: bins.count }, () => 0)
  for (const t of times) {
    const bin = Math.min(bins.count - 1, Math.floor((t / bins.seconds) * bins.count))
    counts[bin] = (counts[bin] as number) + 1
  }
  let sum = 0
  return counts.map((count) => (sum += count))
}

function eachPiece(
  readings: readonly Reading[],
  { seconds, count }: Bins,
  visit: (reading: Reading, bin: number, seconds: number) => void,
): void {
  const width = seconds / count
  for (const [index, reading] of readings.entries()) {
    const until = readings[index + 1]?.t ?? seconds
    const last = Math.min(count - 1, Math.floor(until / width))
    for (let bin = Math.floor(reading.t / width); bin <= last; bin += 1) {
      const piece = Math.min(until, (bin + 1) * width) - Math.max(reading.t, bin * width)
      if (piece > 0) visit(reading, bin, piece)
    }
  }
}
