/** Options of `tabswarm simulate`, and what of them makes sense together. */
import {
  DEFAULT_BALANCE_QUALITY,
  DEFAULT_MEAN_CHECK_SECONDS,
  DEFAULT_NOTICE_SECONDS,
} from '../../swarm/simulator/churn.ts'
import { RULE_NAMES } from '../../swarm/planner/rule-names.ts'
import { SCENARIOS } from '../../swarm/simulator/scenarios.ts'
import { above, atLeast, between, flag, integer, number, text, type ValuesOf } from '../options/schema.ts'
import type { Parsed } from '../options/parse.ts'
import { SwarmError } from '../../swarm/errors.ts'

const SWARM = 'Swarm (one of these)'
const RULE = 'Rule'
const STATIC = 'Planned once (without a trace)'
const CHURN = 'Over time (with a trace or a scenario)'
const OUTPUT = 'Output'

const scenarioHelp = Object.entries(SCENARIOS)
  .map(([name, { summary }]) => `${name}: ${summary}`)
  .join('. ')

export const simulateOptions = {
  cluster: text('JSON file with units, types, peers', { group: SWARM, placeholder: 'FILE' }),
  scenario: text(`a swarm and a trace of the project. ${scenarioHelp}`, {
    group: SWARM,
    choices: Object.keys(SCENARIOS),
    placeholder: 'NAME',
  }),
  random: text('a random swarm of P peers and U units (log-normal speeds, spans of 4 to 8), drawn from the seed', {
    group: SWARM,
    placeholder: 'PxU',
    check: (given) => (readSize(given) === null ? 'must be peers x units, as in 24x32' : null),
  }),
  trace: text('JSON lines of joins, losses, speeds and sessions, on top of --cluster', {
    group: CHURN,
    placeholder: 'FILE',
  }),
  rule: text('placement rule; over time both are run where none is named', {
    group: RULE,
    choices: [...RULE_NAMES],
  }),
  objective: text('flow: capacity with the chance that peers leave (expected), or as long as all stay', {
    group: RULE,
    choices: ['expected', 'capacity'],
    default: 'expected',
  }),
  maxHops: number('flow, --mode global: most hops of a token, in the mean', {
    group: RULE,
    placeholder: 'X',
    check: atLeast(1),
  }),
  balanceQuality: number('how much better a move must make the swarm: by 1 ÷ this; lower is calmer', {
    group: RULE,
    default: DEFAULT_BALANCE_QUALITY,
    check: between(0, 1),
  }),
  seed: integer('the same seed gives the same output, to the byte', { group: RULE, default: 1 }),
  mode: text('plan for all at once, or as peers arrive in file order', {
    group: STATIC,
    choices: ['global', 'joins'],
    default: 'joins',
  }),
  time: flag('adds how long planning took: planMs', { group: STATIC }),
  untilSeconds: number('where the trace ends (default: at its last event)', {
    group: CHURN,
    placeholder: 'SECONDS',
    check: above(0),
  }),
  meanBalanceCheckPeriod: number('seconds between balance checks, random with this mean', {
    group: CHURN,
    placeholder: 'SECONDS',
    default: DEFAULT_MEAN_CHECK_SECONDS,
    check: above(0),
  }),
  noticeSeconds: number('until others have understood that a peer crashed', {
    group: CHURN,
    placeholder: 'SECONDS',
    default: DEFAULT_NOTICE_SECONDS,
    check: atLeast(0),
  }),
  sampleSeconds: number('capacity is measured at most this often (default: at each change, above 200 peers 30 s)', {
    group: CHURN,
    placeholder: 'SECONDS',
    check: atLeast(0),
  }),
  timeline: text('writes every change of who serves what, as JSON lines', { group: CHURN, placeholder: 'OUT.jsonl' }),
  report: text('writes one page with plots and what they mean', { group: CHURN, placeholder: 'OUT.html' }),
  json: flag('one JSON object in place of the table', { group: OUTPUT }),
  saveCluster: text('writes the swarm as a cluster file', { group: OUTPUT, placeholder: 'FILE' }),
  saveTrace: text('writes the trace of a scenario', { group: OUTPUT, placeholder: 'FILE' }),
}

export type SimulateValues = ValuesOf<typeof simulateOptions>

/** `24x32` → 24 peers, 32 units. */
export function readSize(given: string): { peers: number; units: number } | null {
  const match = /^([1-9]\d{0,4})x([1-9]\d{0,3})$/.exec(given)
  return match === null ? null : { peers: Number(match[1]), units: Number(match[2]) }
}

/** @throws SwarmError BAD_OPTION for options that exclude each other or would do nothing */
export function checkTogether({ values, given }: Parsed<typeof simulateOptions>): void {
  const sources = (['cluster', 'scenario', 'random'] as const).filter((name) => values[name] !== undefined)
  if (sources.length !== 1) {
    const what =
      sources.length === 0
        ? 'no swarm was named'
        : `${sources.map((name) => `--${name}`).join(' and ')} exclude each other`
    throw new SwarmError('BAD_OPTION', `simulate takes one swarm, and ${what}`, {
      action: 'Write --cluster FILE, --scenario NAME or --random PxU; tabswarm simulate --help lists the scenarios.',
    })
  }
  if (values.trace !== undefined && values.cluster === undefined) {
    throw new SwarmError('BAD_OPTION', `--trace goes with --cluster, and ${`--${sources[0]}`} was given`, {
      action: 'Save the swarm with --save-cluster FILE first, and name that file.',
    })
  }
  const rule: string = values.rule ?? RULE_NAMES[0]
  if (values.maxHops !== undefined && rule !== FLOW) {
    throw new SwarmError('BAD_OPTION', `--max-hops is for the rule ${FLOW}, and this run is of ${rule}`, {
      action: 'Leave it out, or name that rule.',
    })
  }
  const isChurn = values.trace !== undefined || values.scenario !== undefined
  if (values.maxHops !== undefined && (isChurn || values.mode !== 'global')) {
    throw new SwarmError(
      'BAD_OPTION',
      '--max-hops is for a plan for all at once, and here peers choose for themselves',
      {
        action: 'Leave it out, or plan once with --mode global.',
      },
    )
  }
  const useless = (isChurn ? STATIC_ONLY : CHURN_ONLY).filter((name) => given.has(name))
  if (useless.length === 0) return
  throw new SwarmError(
    'BAD_OPTION',
    isChurn
      ? `--${useless[0]} is for a swarm that is planned once, and this one runs over time`
      : `${flagOf(useless[0] as string)} is for a swarm over time, and this one is planned once`,
    { action: isChurn ? 'Leave it out, or leave the trace out.' : 'Add --trace FILE, or take --scenario NAME.' },
  )
}

/** The one rule that looks at hops. */
const FLOW = 'flow'

const STATIC_ONLY = ['mode', 'time'] as const
const CHURN_ONLY = [
  'untilSeconds',
  'meanBalanceCheckPeriod',
  'noticeSeconds',
  'sampleSeconds',
  'timeline',
  'report',
  'saveTrace',
] as const

function flagOf(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}
