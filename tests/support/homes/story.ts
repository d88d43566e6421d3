/** What happened to one answer, as a row of the table that the tests print and `docs/homes.md` keeps. */
import type { StartedProcess } from '../processes.ts'
import type { PromptAnswer } from '../swarm.ts'

export interface HomesRow {
  what: string
  /** Of each hop. */
  paths: string
  /** Seconds until the prompting side said that something is wrong; null where it never had to. */
  noticedAfterS: number | null
  /** Seconds from the mend (or from the cut, where nothing was mended) until it had a route again. */
  recoveredAfterS: number | null
}

export function pathsOf(answer: PromptAnswer): string {
  return answer.route.map((hop) => hop.path).join(', ')
}

/** When the first line that matches came after `since` (ms of `performance.now`), in seconds after it; null: never. */
export function secondsUntil(process: StartedProcess, pattern: RegExp, since: number): number | null {
  const index = process.both.findIndex((line, at) => pattern.test(line) && (process.times[at] ?? 0) >= since)
  return index === -1 ? null : Math.round(((process.times[index] as number) - since) / 100) / 10
}

export function printTable(rows: readonly HomesRow[]): void {
  const cell = (value: number | null): string => (value === null ? '–' : `${value} s`)
  const lines = rows.map(
    ({ what, paths, noticedAfterS, recoveredAfterS }) =>
      `| ${what} | ${paths} | ${cell(noticedAfterS)} | ${cell(recoveredAfterS)} |`,
  )
  console.log(['| case | hops | noticed after | route again after |', '| --- | --- | --- | --- |', ...lines].join('\n'))
}
