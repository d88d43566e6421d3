/** Results of the simulator as tables for a person. */
import type { ChurnResult } from '../../swarm/simulator/churn.ts'
import type { StaticResult } from '../../swarm/simulator/plan-cluster.ts'

export function staticLines(result: StaticResult): string[] {
  const share = result.bound > 0 ? ` (${percent(result.flowCapacity / result.bound)} of the bound)` : ''
  const width = Math.max(4, ...result.placements.map(({ peer }) => peer.length))
  return [
    ...result.placements.map(({ peer, start, end }) => `  ${peer.padEnd(width)}  ${start}:${end}`),
    '',
    `rule ${result.rule}, mode ${result.mode}, objective ${result.objective}`,
    ...columns([
      ['capacity (own measure)', `${tokens(result.capacity)} tokens/s`],
      ['capacity (max flow)', `${tokens(result.flowCapacity)} tokens/s${share}`],
      ['bound', `${tokens(result.bound)} tokens/s`],
      ['hops of a token, mean', result.meanHops === null ? 'no route' : result.meanHops.toFixed(2)],
      ['holders of the rarest unit', String(result.leastReplicas)],
      ['moves after joining', String(result.moves)],
      ...(result.planMs === undefined ? [] : [['planned in', `${result.planMs.toFixed(1)} ms`] as const]),
    ]),
  ]
}

/** One column a rule. */
export function churnLines(results: readonly ChurnResult[]): string[] {
  const rows: [string, (result: ChurnResult) => string][] = [
    ['capacity ÷ bound, mean', ({ capacityShare }) => percent(capacityShare.mean)],
    ['capacity ÷ bound, 5th percentile', ({ capacityShare }) => percent(capacityShare.p5)],
    ['max flow ÷ bound, mean', ({ flowShare }) => percent(flowShare.mean)],
    ['time with every unit served', ({ coveredShare }) => percent(coveredShare, 3)],
    ['  while the loaded peers could', ({ coveredShareOfLoaded }) => percent(coveredShareOfLoaded, 3)],
    ['losses', ({ recovery }) => String(recovery.losses)],
    ['recovery, median', ({ recovery }) => seconds(recovery.medianSeconds)],
    ['recovery, 95th percentile', ({ recovery }) => seconds(recovery.p95Seconds)],
    ['recovery, longest', ({ recovery }) => seconds(recovery.longestSeconds)],
    ['not recovered at the end', ({ recovery }) => String(recovery.unfinished)],
    ['bytes moved a peer-hour', ({ bytesPerPeerHour }) => megabytes(bytesPerPeerHour)],
    ['  beyond the first loads', ({ bytesBeyondFirstLoad }) => percent(bytesBeyondFirstLoad)],
    ['moves', ({ moves }) => String(moves)],
    ['  to close a hole', ({ urgentMoves }) => String(urgentMoves)],
    ['  given up', ({ givenUpMoves }) => String(givenUpMoves)],
    ['sessions finished', ({ sessions }) => `${sessions.finished} of ${sessions.started}`],
    ['  rerouted', ({ sessions }) => String(sessions.rerouted)],
    ['  failed', ({ sessions }) => String(sessions.failed)],
    ['token latency, median', ({ tokenMs }) => milliseconds(tokenMs.p50)],
    ['token latency, 95th percentile', ({ tokenMs }) => milliseconds(tokenMs.p95)],
  ]
  const table = [['', ...results.map(({ rule }) => rule)], ...rows.map(([name, of]) => [name, ...results.map(of)])]
  const widths = results.map((_, column) => Math.max(...table.map((row) => (row[column + 1] as string).length)))
  return table.map(([name, ...cells]) =>
    `${(name as string).padEnd(34)}${cells.map((cell, column) => `  ${cell.padStart(widths[column] as number)}`).join('')}`.trimEnd(),
  )
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`)
}

function tokens(value: number): string {
  return value.toFixed(value < 100 ? 2 : 1)
}

function percent(value: number | null, digits = 1): string {
  return value === null ? '–' : `${(value * 100).toFixed(digits)} %`
}

function seconds(value: number | null): string {
  return value === null ? '–' : `${value.toFixed(1)} s`
}

function milliseconds(value: number | null): string {
  return value === null ? '–' : `${value.toFixed(0)} ms`
}

function megabytes(value: number | null): string {
  return value === null ? '–' : `${(value / 1e6).toFixed(0)} MB`
}
