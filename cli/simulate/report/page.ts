/**
 * One page about a simulated stretch of time, for somebody who has never seen the project: what was simulated, what came
 * out, and how to read each plot. Self-contained: no script, nothing from elsewhere.
 */
import type { Reading } from '../../../swarm/simulator/capacity-meter.ts'
import type { ChurnResult } from '../../../swarm/simulator/churn.ts'
import type { Cluster } from '../../../swarm/simulator/cluster.ts'
import type { TimelineEntry } from '../../../swarm/simulator/timeline.ts'
import { countByBin, fewestHolders, meanInBins, type Bins } from './bins.ts'
import { coverageMap, LEVELS, linePlot, type Line } from './plot.ts'
import { STYLE } from './style.ts'

export interface RuleRun {
  result: ChurnResult
  timeline: readonly TimelineEntry[]
  readings: readonly Reading[]
}

export interface ReportOptions {
  cluster: Cluster
  seed: number
  runs: readonly RuleRun[]
}

const LINE_BINS = 360
const MAP_BINS = 240

export function formatReport({ cluster, seed, runs }: ReportOptions): string {
  const seconds = runs[0]?.result.seconds ?? 0
  const title = `Who serves what, over ${duration(seconds)}: ${escapeHtml(cluster.name)}`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${title}</h1>
${introduction(cluster, runs, seed)}
<h2>In figures</h2>
${figures(runs)}
<h2>What the swarm could carry</h2>
${capacitySection(runs, seconds)}
<h2>Who held what</h2>
${coverageSection(cluster, runs, seconds)}
<h2>Moves and losses</h2>
${movesSection(runs, seconds)}
<h2>Words</h2>
${glossary()}
</main>
</body>
</html>
`
}

function introduction(cluster: Cluster, runs: readonly RuleRun[], seed: number): string {
  const units = cluster.unitWeights.length
  const joins = runs[0]?.timeline.filter(({ event }) => event === 'claim' || event === 'serve') ?? []
  const peers = new Set(joins.map(({ peer }) => peer)).size
  const losses = runs[0]?.result.recovery.losses ?? 0
  return `<p>A language model is cut into ${units} pieces, called units. Browser tabs lend their graphics cards: each tab holds a few
pieces in a row, and a token (a piece of a word) goes from tab to tab until it has passed all of them. Tabs come and go as
people open and close them. Which pieces a tab takes, and when it takes others, is decided by a rule.</p>
<p>This page shows a simulation of ${plural(peers, 'tab')} that came and of ${plural(losses, 'loss', 'losses')} of a tab${
    runs.length > 1 ? ', run once under each of two rules with exactly the same arrivals and losses' : ''
  }. ${runs.map(({ result }) => RULES[result.rule] ?? '').join('')}No real tab was involved; the rules are the real ones. Seed ${seed}: the same seed gives the same page.</p>`
}

const RULES: Readonly<Record<string, string>> = {
  flow: '<b>flow</b> is the rule of this project. ',
  petals: '<b>petals</b> is the published rule of Petals, a swarm of servers. ',
}

const ROWS: readonly (readonly [string, string, (result: ChurnResult) => string])[] = [
  [
    'Capacity, share of the best possible',
    'mean over time, each rule in its own measure; 100 % cannot be beaten',
    ({ capacityShare }) => percent(capacityShare.mean),
  ],
  [
    '… in its bad moments',
    'it was better than this 95 % of the time',
    ({ capacityShare }) => percent(capacityShare.p5),
  ],
  [
    'Capacity if all rules routed alike',
    'the same placements, measured by the most that any routing can carry',
    ({ flowShare }) => percent(flowShare.mean),
  ],
  [
    'Time in which the model was whole',
    'every unit was held by somebody, while the tabs that had loaded could hold them all',
    ({ coveredShareOfLoaded }) => percent(coveredShareOfLoaded, 2),
  ],
  [
    'Recovery from a loss',
    'median, and 95th percentile: until capacity was back at 95 % of its share',
    ({ recovery }) => `${secondsText(recovery.medianSeconds)}, ${secondsText(recovery.p95Seconds)}`,
  ],
  [
    'Downloaded in a tab’s hour',
    'weights, in the mean',
    ({ bytesPerPeerHour }) => (bytesPerPeerHour === null ? '–' : `${(bytesPerPeerHour / 1e6).toFixed(0)} MB`),
  ],
  [
    '… of which for moves',
    'beyond what each tab loads first',
    ({ bytesBeyondFirstLoad }) => percent(bytesBeyondFirstLoad),
  ],
  ['Moves', 'a tab changed its place', ({ moves }) => String(moves)],
  [
    'Chats finished',
    'of those begun; some may have been running at the end',
    ({ sessions }) => `${sessions.finished} of ${sessions.started}`,
  ],
  [
    '… sent another way',
    'a tab on their way was lost or moved, and they went on',
    ({ sessions }) => String(sessions.rerouted),
  ],
  ['… failed', 'waited a minute for a unit that nobody held', ({ sessions }) => String(sessions.failed)],
  ['Time for a token', 'median, and 95th percentile', ({ tokenMs }) => `${ms(tokenMs.p50)}, ${ms(tokenMs.p95)}`],
]

function figures(runs: readonly RuleRun[]): string {
  const head = runs.map(({ result }) => `<th scope="col">${result.rule}</th>`).join('')
  const rows = ROWS.map(
    ([name, about, of]) =>
      `<tr><td>${name}<small>${about}</small></td>${runs.map(({ result }) => `<td>${of(result)}</td>`).join('')}</tr>`,
  )
  return `<div class="card"><table><thead><tr><th scope="col">Figure</th>${head}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`
}

function capacitySection(runs: readonly RuleRun[], seconds: number): string {
  const bins: Bins = { seconds, count: LINE_BINS }
  const bound = meanInBins(runs[0]?.readings ?? [], bins, (reading) => reading.bound)
  const lines: Line[] = [
    { name: 'best possible', values: bound, look: 'bound' },
    ...runs.map(({ result, readings }) => ({
      name: result.rule,
      values: meanInBins(readings, bins, (reading) => reading.capacity),
      look: result.rule,
    })),
  ]
  return `<p>Tokens a second that all chats together could get. The grey area is the best possible: the tabs’ speeds added up, over the
work of one token. The closer a line is to the top of the grey area, the less of what people lend is wasted.</p>
${legend([['area bound', 'best possible'], ...runs.map(({ result }) => [`line ${result.rule}`, result.rule] as const)])}
<div class="card">${linePlot({ label: 'Capacity over time against the best possible', seconds, lines, unit: 'tokens/s' })}</div>`
}

function coverageSection(cluster: Cluster, runs: readonly RuleRun[], seconds: number): string {
  const bins: Bins = { seconds, count: MAP_BINS }
  const maps = runs.map(
    ({ result, readings }) => `<h3>${result.rule}</h3>
<div class="card">${coverageMap({
      label: `Holders of each unit over time, rule ${result.rule}`,
      seconds,
      holders: fewestHolders(readings, bins, cluster.unitWeights.length),
    })}</div>`,
  )
  return `<p>Each row is a unit of the model, time goes to the right, and the colour says how many tabs held it. A red spot is a hole:
nobody held that unit, and no chat could go on until somebody did. An even picture is a good one.</p>
${legend(LEVELS.map((name, level) => [`h${level}`, name] as const))}
${maps.join('\n')}`
}

function movesSection(runs: readonly RuleRun[], seconds: number): string {
  const bins: Bins = { seconds, count: LINE_BINS }
  const lines: Line[] = runs.map(({ result, timeline }) => ({
    name: result.rule,
    look: result.rule,
    values: countByBin(
      timeline.filter((entry) => entry.event === 'serve' && entry.from !== undefined).map(({ t }) => t),
      bins,
    ),
  }))
  const losses = runs[0]?.timeline.filter(({ event }) => event === 'leave' || event === 'crash') ?? []
  const crashes = losses.filter(({ event }) => event === 'crash').length
  return `<p>How often tabs had changed their place by then. A move costs a download, so a calm rule has a flat line. Meanwhile
${plural(losses.length, 'tab was', 'tabs were')} lost, ${crashes} of them without a word.</p>
${legend(runs.map(({ result }) => [`line ${result.rule}`, result.rule] as const))}
<div class="card">${linePlot({ label: 'Moves so far', seconds, lines, unit: 'moves', height: 180 })}</div>`
}

function glossary(): string {
  return `<dl>
<dt>unit</dt><dd>A block of the model, or its head (the last part, which makes words of numbers).</dd>
<dt>capacity</dt><dd>The most tokens a second that the placement can carry. <b>flow</b> counts what the best routing carries;
<b>petals</b> counts what its poorest unit gets when each tab gives every unit of its span the same.</dd>
<dt>best possible</dt><dd>The bound: no placement of these tabs, however clever, carries more.</dd>
<dt>loss</dt><dd>A tab is closed (it says goodbye) or crashes (the others notice after some seconds).</dd>
<dt>move</dt><dd>A tab loads other units beside its own, then lets the old ones go, if others hold them.</dd>
</dl>`
}

function legend(entries: readonly (readonly [string, string])[]): string {
  const items = entries.map(([look, name]) => {
    const mark = look.startsWith('line')
      ? `<path class="${look}" d="M0,6H26"/>`
      : `<rect class="${look}" width="26" height="12"/>`
    return `<li><svg viewBox="0 0 26 12" aria-hidden="true">${mark}</svg>${name}</li>`
  })
  return `<ul class="legend">${items.join('')}</ul>`
}

function duration(seconds: number): string {
  if (seconds >= 7200) return `${Math.round(seconds / 360) / 10} hours`
  return seconds >= 120 ? `${Math.round(seconds / 6) / 10} minutes` : `${Math.round(seconds)} seconds`
}

function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}

function percent(value: number | null, digits = 1): string {
  return value === null ? '–' : `${(value * 100).toFixed(digits)} %`
}

function secondsText(value: number | null): string {
  return value === null ? '–' : `${value.toFixed(1)} s`
}

function ms(value: number | null): string {
  return value === null ? '–' : `${value.toFixed(0)} ms`
}

function escapeHtml(raw: string): string {
  return raw.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
