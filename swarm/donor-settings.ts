/**
 * What a donor tab is asked to do: defaults of `/config.json` and a link's query parameters become checked
 * `DonorSettings`, with one sentence for each thing that cannot be. Shared by the page and the command line; what needs
 * the model's config (`checkForModel`) is asked once it has been read.
 */
import type { DonorDefaults } from './app-config.ts'
import { AUTOTUNE_MODES, BACKEND_CHOICES, type AutotuneMode, type BackendChoice } from './backend.ts'
import { SwarmError } from './errors.ts'
import { KV_FORMATS, WEIGHT_CHOICES, type KvFormat, type WeightChoice } from './model/config.ts'
import { DEFAULT_RULE, RULE_NAMES, type RuleName } from './planner/rule-names.ts'
import type { Span } from './span.ts'

export const DEFAULT_BALANCE_QUALITY = 0.75
export const DEFAULT_BALANCE_PERIOD_SECONDS = 120
/** A number with more digits than this is no number of blocks or seconds that anybody meant. */
const MAX_PERIOD_SECONDS = 30 * 24 * 3600

export interface DonorSettings {
  /** null: the first model on offer. */
  model: string | null
  revision: string | null
  placement: { mode: 'load-balancing' } | { mode: 'fixed'; splits: readonly number[]; stage: number }
  /** null: what fits the memory budget. Not used in fixed mode. */
  numBlocks: number | null
  /** What the model must have; null: whatever its config says. */
  totalBlocks: number | null
  /** How the tab picks its blocks under load balancing. */
  rule: RuleName
  balanceQuality: number
  meanBalanceCheckPeriodMs: number
  weights: WeightChoice
  /** What keys and values are kept as, on a GPU; null: f32, and f16 where only so anything fits and `weights` is auto. */
  kv: KvFormat | null
  backend: BackendChoice
  autotune: AutotuneMode
  /** Threads that WebAssembly computes with; null: as many as the machine has for each of its tabs. */
  threads: number | null
  /** null: from the adapter and the device. */
  memoryBytes: number | null
  simulateSpeed: number | null
  initialPeers: readonly string[]
  /** Lines for the log: what was given and does not count. */
  notes: readonly string[]
}

/** Names that a donor link may have. */
export const DONOR_QUERY_NAMES = [
  'model',
  'revision',
  'num_blocks',
  'total_blocks',
  'splits',
  'stage',
  'use_load_balancing',
  'rule',
  'balance_quality',
  'mean_balance_check_period',
  'weights',
  'kv',
  'backend',
  'autotune',
  'threads',
  'memory_gb',
  'simulate_speed',
  'dht_initial_peers',
] as const
type QueryName = (typeof DONOR_QUERY_NAMES)[number]

/** The query parameters of a donor link; those that are absent are left out. @throws SwarmError BAD_OPTION */
export function readDonorQuery(query: { get(name: string): string | null }): DonorDefaults {
  const defaults: DonorDefaults = {}
  const text = (name: QueryName): string | undefined => {
    const value = query.get(name)?.trim()
    return value === undefined || value === '' ? undefined : value
  }
  const numberOf = (name: QueryName): number | undefined => {
    const value = text(name)
    if (value === undefined) return undefined
    const parsed = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value) ? Number(value) : Number.NaN
    if (Number.isFinite(parsed)) return parsed
    throw badOption(`${name} is "${clip(value)}", which is not a number.`, `Give ${name} a number, or leave it out.`)
  }
  const assign = <K extends keyof DonorDefaults>(key: K, value: DonorDefaults[K] | undefined): void => {
    if (value !== undefined) defaults[key] = value
  }
  assign('model', text('model'))
  assign('revision', text('revision'))
  assign('numBlocks', numberOf('num_blocks'))
  assign('totalBlocks', numberOf('total_blocks'))
  assign('splits', text('splits'))
  assign('stage', numberOf('stage'))
  assign('useLoadBalancing', readFlag(query.get('use_load_balancing' satisfies QueryName)))
  assign('rule', oneOf('rule', text('rule'), RULE_NAMES))
  assign('balanceQuality', numberOf('balance_quality'))
  assign('meanBalanceCheckPeriod', numberOf('mean_balance_check_period'))
  assign('weights', oneOf('weights', text('weights'), WEIGHT_CHOICES))
  assign('kv', oneOf('kv', text('kv'), KV_FORMATS))
  assign('backend', oneOf('backend', text('backend'), BACKEND_CHOICES))
  assign('autotune', oneOf('autotune', text('autotune'), AUTOTUNE_MODES))
  assign('threads', numberOf('threads'))
  assign('memoryGb', numberOf('memory_gb'))
  assign('simulateSpeed', numberOf('simulate_speed'))
  const peers = text('dht_initial_peers')
  assign(
    'initialPeers',
    peers
      ?.split(',')
      .map((address) => address.trim())
      .filter((address) => address !== ''),
  )
  return defaults
}

/** Checks everything that needs no model. @throws SwarmError BAD_OPTION with a sentence a person can act on */
export function makeDonorSettings(defaults: DonorDefaults): DonorSettings {
  const notes: string[] = []
  const placement = choosePlacement(defaults, notes)
  return {
    model: defaults.model ?? null,
    revision: defaults.revision ?? null,
    placement,
    numBlocks: wholeNumber('num_blocks', defaults.numBlocks),
    totalBlocks: wholeNumber('total_blocks', defaults.totalBlocks),
    rule: oneOf('rule', defaults.rule, RULE_NAMES) ?? DEFAULT_RULE,
    balanceQuality: checkQuality(defaults.balanceQuality ?? DEFAULT_BALANCE_QUALITY),
    meanBalanceCheckPeriodMs: checkPeriod(defaults.meanBalanceCheckPeriod ?? DEFAULT_BALANCE_PERIOD_SECONDS) * 1000,
    weights: oneOf('weights', defaults.weights, WEIGHT_CHOICES) ?? 'auto',
    kv: oneOf('kv', defaults.kv, KV_FORMATS) ?? null,
    backend: oneOf('backend', defaults.backend, BACKEND_CHOICES) ?? 'auto',
    // Whoever names the software adapter tries something out, and wants to wait for nothing else.
    autotune: oneOf('autotune', defaults.autotune, AUTOTUNE_MODES) ?? (defaults.backend === 'software' ? 'off' : 'on'),
    threads: wholeNumber('threads', defaults.threads),
    memoryBytes: defaults.memoryGb === undefined ? null : positive('memory_gb', defaults.memoryGb) * 1e9,
    simulateSpeed: defaults.simulateSpeed === undefined ? null : positive('simulate_speed', defaults.simulateSpeed),
    initialPeers: defaults.initialPeers ?? [],
    notes,
  }
}

/** Checks the settings against a model of `blocks` blocks. @throws SwarmError BAD_OPTION */
export function checkForModel(settings: DonorSettings, blocks: number): void {
  const { totalBlocks, numBlocks, placement } = settings
  if (totalBlocks !== null && totalBlocks !== blocks) {
    throw badOption(
      `total_blocks is ${totalBlocks}, but the model's config says ${blocks}.`,
      `Give total_blocks ${blocks}, or leave it out.`,
    )
  }
  if (placement.mode === 'load-balancing' && numBlocks !== null && numBlocks > blocks) {
    throw badOption(
      `num_blocks is ${numBlocks}, but the model has only ${blocks} ${blocks === 1 ? 'block' : 'blocks'}.`,
      `Give num_blocks a number from 1 to ${blocks}, or leave it out.`,
    )
  }
  if (placement.mode === 'fixed') {
    const outside = placement.splits.find((split) => split >= blocks)
    if (outside !== undefined) {
      throw badOption(
        `splits has ${outside}, but the model has only ${blocks} blocks, so a cut must lie from 1 to ${blocks - 1}.`,
        'Give splits that lie inside the model.',
      )
    }
  }
}

/** What a stage of fixed mode serves: stage 0 up to the first split, the last stage to the model's end. */
export function fixedSpan(placement: { splits: readonly number[]; stage: number }, blocks: number): Span {
  const { splits, stage } = placement
  return { start: stage === 0 ? 0 : (splits[stage - 1] ?? 0), end: splits[stage] ?? blocks }
}

function choosePlacement(defaults: DonorDefaults, notes: string[]): DonorSettings['placement'] {
  const { splits, stage, useLoadBalancing } = defaults
  if (useLoadBalancing === true) {
    if (splits !== undefined || stage !== undefined) {
      notes.push('splits and stage are ignored: under load balancing each tab picks its own blocks.')
    }
    return { mode: 'load-balancing' }
  }
  if (splits === undefined && stage === undefined) return { mode: 'load-balancing' }
  if (splits === undefined || stage === undefined) {
    const [given, missing] = splits === undefined ? ['stage', 'splits'] : ['splits', 'stage']
    throw badOption(
      `${given} is given without ${missing}: fixed mode needs both.`,
      `Give ${missing} as well, or ask for load balancing (use_load_balancing), where each tab picks its own blocks.`,
    )
  }
  const cuts = parseSplits(splits)
  if (!Number.isInteger(stage) || stage < 0 || stage > cuts.length) {
    throw badOption(
      `stage is ${stage}, but splits "${clip(splits)}" make the stages 0 to ${cuts.length}.`,
      `Give stage a whole number from 0 to ${cuts.length}.`,
    )
  }
  if (defaults.numBlocks !== undefined)
    notes.push('num_blocks is ignored: in fixed mode splits and stage say which blocks.')
  return { mode: 'fixed', splits: cuts, stage }
}

function parseSplits(text: string): number[] {
  const hint = 'Give ascending block numbers at which the model is cut, as in "8,16,24".'
  const cuts = text.split(',').map((part) => {
    const trimmed = part.trim()
    if (!/^\d{1,6}$/.test(trimmed)) {
      throw badOption(`splits "${clip(text)}" has "${clip(trimmed)}", which is not a block number.`, hint)
    }
    return Number(trimmed)
  })
  cuts.forEach((cut, i) => {
    if (cut < 1)
      throw badOption(`splits "${clip(text)}" has ${cut}: a cut before block 1 leaves a stage without blocks.`, hint)
    const before = cuts[i - 1]
    if (before !== undefined && cut <= before) {
      throw badOption(`splits "${clip(text)}" is not ascending: ${cut} comes after ${before}.`, hint)
    }
  })
  return cuts
}

function checkQuality(quality: number): number {
  if (quality >= 0 && quality <= 1) return quality
  throw badOption(
    `balance_quality is ${quality}, but must lie from 0 to 1.`,
    'Give a number from 0 (never moves) to 1 (moves for any gain); 0.75 is the default.',
  )
}

function checkPeriod(seconds: number): number {
  if (seconds > 0 && seconds <= MAX_PERIOD_SECONDS) return seconds
  throw badOption(
    `mean_balance_check_period is ${seconds} seconds, but must be more than 0 and at most ${MAX_PERIOD_SECONDS}.`,
    'Give a number of seconds; 120 is the default.',
  )
}

function wholeNumber(name: string, value: number | undefined): number | null {
  if (value === undefined) return null
  if (Number.isSafeInteger(value) && value >= 1) return value
  throw badOption(`${name} is ${value}, but must be a whole number of at least 1.`, `Correct ${name}, or leave it out.`)
}

function positive(name: string, value: number): number {
  if (value > 0 && Number.isFinite(value)) return value
  throw badOption(`${name} is ${value}, but must be more than 0.`, `Correct ${name}, or leave it out.`)
}

function oneOf<T extends string>(name: string, value: string | undefined, choices: readonly T[]): T | undefined {
  if (value === undefined) return undefined
  const found = choices.find((choice) => choice === value)
  if (found !== undefined) return found
  throw badOption(
    `${name} is "${clip(value)}", but must be one of ${choices.join(', ')}.`,
    `Correct ${name}, or leave it out.`,
  )
}

/** `?use_load_balancing` and `=1`, `=true` ask for it; `=0` and `=false` do not. */
function readFlag(value: string | null): boolean | undefined {
  if (value === null) return undefined
  if (['', '1', 'true', 'yes', 'on'].includes(value.toLowerCase())) return true
  if (['0', 'false', 'no', 'off'].includes(value.toLowerCase())) return false
  throw badOption(
    `use_load_balancing is "${clip(value)}", but must be true or false.`,
    'Give true or false, or leave it out.',
  )
}

function clip(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text
}

function badOption(message: string, action: string): SwarmError {
  return new SwarmError('BAD_OPTION', message, { action })
}
