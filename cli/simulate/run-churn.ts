/** A trace run under each rule, as lines; and the files that go with it. */
import { simulateChurn, type ChurnOptions, type ChurnResult } from '../../swarm/simulator/churn.ts'
import type { Reading } from '../../swarm/simulator/capacity-meter.ts'
import type { ChurnScenario } from '../../swarm/simulator/generate.ts'
import { RULE_NAMES } from '../../swarm/planner/rule-names.ts'
import { simulatedRule } from '../../swarm/simulator/rules.ts'
import type { RouteEntry, TimelineEntry } from '../../swarm/simulator/timeline.ts'
import { writeText } from './files.ts'
import type { SimulateValues } from './options.ts'
import { formatReport, type RuleRun } from './report/page.ts'
import { churnLines } from './table.ts'

/** From so many peers on, one measurement costs milliseconds, and a change of one peer says little. */
const MANY_PEERS = 200
const MANY_PEERS_SAMPLE_SECONDS = 30

/** `log`: the timeline with the routes of sessions between, in the order in which they came. */
interface LoggedRun extends RuleRun {
  log: (TimelineEntry | RouteEntry)[]
}

export function runChurn({ cluster, trace, seconds }: ChurnScenario, values: SimulateValues): string[] {
  const names = RULE_NAMES.filter((name) => values.rule === undefined || values.rule === name)
  const runs = names.map((name): LoggedRun => {
    const timeline: TimelineEntry[] = []
    const log: (TimelineEntry | RouteEntry)[] = []
    const readings: Reading[] = []
    const options: ChurnOptions = {
      cluster,
      trace,
      rule: simulatedRule(name, values.objective === 'capacity' ? 'capacity' : 'expected'),
      seed: values.seed,
      untilSeconds: values.untilSeconds ?? seconds,
      balanceQuality: values.balanceQuality,
      meanCheckSeconds: values.meanBalanceCheckPeriod,
      noticeSeconds: values.noticeSeconds,
      sampleSeconds:
        values.sampleSeconds ?? (mostPeers(trace, cluster.peers.length) > MANY_PEERS ? MANY_PEERS_SAMPLE_SECONDS : 0),
      onEntry: (entry) => {
        timeline.push(entry)
        log.push(entry)
      },
      onRoute: (entry) => log.push(entry),
      onReading: (reading) => readings.push(reading),
    }
    return { result: simulateChurn(options), timeline, readings, log }
  })
  if (values.timeline !== undefined) writeText('--timeline', values.timeline, formatTimelines(runs))
  if (values.report !== undefined)
    writeText('--report', values.report, formatReport({ cluster, runs, seed: values.seed }))
  const results = runs.map(({ result }) => result)
  return values.json ? [formatResults(cluster.name, values.seed, results)] : churnLines(results)
}

function formatResults(cluster: string, seed: number, rules: readonly ChurnResult[]): string {
  return JSON.stringify({ cluster, seed, rules })
}

function formatTimelines(runs: readonly LoggedRun[]): string {
  return runs
    .flatMap(({ result, log }) => log.map((entry) => `${JSON.stringify({ rule: result.rule, ...entry })}\n`))
    .join('')
}

/** The most that are there at once: those from the start, and arrivals less losses. */
function mostPeers(trace: ChurnScenario['trace'], all: number): number {
  let now = 0
  let most = 0
  for (const { kind } of trace) {
    if (kind === 'join') now += 1
    else if (kind === 'leave' || kind === 'crash') now -= 1
    most = Math.max(most, now)
  }
  const joins = trace.filter(({ kind }) => kind === 'join').length
  return Math.max(0, all - joins) + most
}
