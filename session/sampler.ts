/**
 * One row of logits → the next token, exactly: the token is the one that the whole row would give, although the last hop
 * sends only its best k logits and the log-sum-exp of all. From these the mass of the unseen tail is known (temperature
 * 1) or bounded (any other); when the bounds leave the choice open, more logits are asked for, up to the whole row.
 *
 * Order of operations as in Transformers: repetition penalty, temperature, top-k, top-p, draw. Ties go to the lower id.
 * The draw is keyed by (seed, token index), so a token computed again is the same.
 */
import { assert } from '../swarm/errors.ts'
import { DEFAULT_TOP_K, MAX_TOP_K } from '../swarm/limits.ts'
import type { LogitsRow } from '../swarm/span-runner.ts'
import { uniform } from './random.ts'
import type { SamplingOptions } from './types.ts'

/** `moreLogits`: how many to ask for, 0 for the whole row. */
export type SampleResult = { id: number } | { moreLogits: number }

/** Log-sum-exp is computed in f32 on the GPU: choices closer than this to a boundary are decided by the whole row. */
const MASS_SLACK = 1e-5

interface Candidate {
  id: number
  /** After the penalty. */
  logit: number
}

/** How many logits to ask for with the step: enough in nearly every case, so that a second question is rare. */
export function firstTopK(options: SamplingOptions): number {
  if (options.temperature === 0) return options.repetitionPenalty === 1 ? 1 : DEFAULT_TOP_K
  if (options.topK > MAX_TOP_K) return 0
  return Math.max(options.topK, DEFAULT_TOP_K)
}

/** `seen`: ids of prompt and answer so far, for the penalty. `index`: of the token in the answer, from 0. */
export function sampleToken(
  row: LogitsRow,
  seen: ReadonlySet<number>,
  options: SamplingOptions,
  index: number,
): SampleResult {
  const whole = row.ids.length >= row.vocabSize
  const more: SampleResult = { moreLogits: nextTopK(row.ids.length) }
  const ranked = rank(row, seen, options.repetitionPenalty, whole)
  if (ranked === null) return more
  const best = ranked.known[0]
  if (best === undefined) return more
  if (options.temperature === 0) return { id: best.id }

  const { known } = ranked
  const limit = options.topK === 0 ? Infinity : options.topK
  const isCutByTopK = known.length >= limit
  if (!isCutByTopK && !whole && options.topK !== 0) return more
  const kept = isCutByTopK ? known.slice(0, limit) : known
  const weights = kept.map(({ logit }) => Math.exp((logit - best.logit) / options.temperature))
  const total = isCutByTopK || whole ? exactMass(weights) : massBounds(row, ranked, weights, options)
  const chosen = draw(weights, total, options.topP, uniform(options.seed, index))
  if (chosen === null) return more
  return { id: (kept[chosen] as Candidate).id }
}

function nextTopK(k: number): number {
  return k < DEFAULT_TOP_K ? DEFAULT_TOP_K : k < MAX_TOP_K ? MAX_TOP_K : 0
}

interface Ranked {
  /** Candidates whose place is known: nothing outside the row can come before any of them. */
  known: Candidate[]
  /** Candidates of the row that the penalty pushed below its end: their mass is known, their place is not. */
  pushed: Candidate[]
}

/** Sorts after the penalty; null when a token outside the row might come first (a penalty below 1 lifts seen tokens). */
function rank(row: LogitsRow, seen: ReadonlySet<number>, penalty: number, whole: boolean): Ranked | null {
  const candidates = Array.from(row.ids, (id, i) => ({ id, logit: row.values[i] as number }))
  if (penalty === 1) return { known: candidates, pushed: [] }
  if (penalty < 1 && !whole) {
    const inRow = new Set(row.ids)
    for (const id of seen) if (!inRow.has(id)) return null
  }
  const floor = row.values.at(-1) ?? -Infinity
  const lastId = row.ids.at(-1) ?? -1
  const known: Candidate[] = []
  const pushed: Candidate[] = []
  for (const { id, logit } of candidates) {
    if (!seen.has(id)) {
      known.push({ id, logit })
      continue
    }
    const penalized = { id, logit: logit > 0 ? logit / penalty : logit * penalty }
    // Tokens outside the row lie below the floor, or at it with a higher id than the row's last.
    const isPlaced = penalized.logit > floor || (penalized.logit === floor && id <= lastId)
    if (whole || isPlaced) known.push(penalized)
    else pushed.push(penalized)
  }
  known.sort((a, b) => b.logit - a.logit || a.id - b.id)
  return { known, pushed }
}

interface Mass {
  low: number
  high: number
}

function exactMass(weights: readonly number[]): Mass {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return { low: total, high: total }
}

/**
 * Bounds of Σ exp((logit − best) / temperature) over the whole vocabulary. The n tail tokens have logits ≤ m (the row's
 * last) and, at temperature 1, a known sum S. With β = 1 / temperature the tail's sum of β-th powers lies between its
 * value for one extreme and for equal shares (x ↦ x^β is convex for β ≥ 1, concave below).
 */
function massBounds(row: LogitsRow, ranked: Ranked, weights: readonly number[], options: SamplingOptions): Mass {
  const best = (ranked.known[0] as Candidate).logit
  const beta = 1 / options.temperature
  const tailTokens = row.vocabSize - row.ids.length
  // Unpenalized, relative to `best`; the penalty only lowers what is in the tail.
  const rowMass = row.values.reduce((sum, value) => sum + Math.exp(value - best), 0)
  const slack = MASS_SLACK * Math.exp(row.logSumExp - best)
  const tailMass = Math.exp(row.logSumExp - best) - rowMass
  const floor = Math.exp((row.values.at(-1) as number) - best)
  const tailHigh = Math.min(Math.max(0, tailMass + slack), tailTokens * floor)
  const tailLow = Math.min(Math.max(0, tailMass - slack), tailHigh)
  const equalShares = (mass: number): number => tailTokens * (mass / tailTokens) ** beta
  const atFloor = (mass: number): number => mass * floor ** (beta - 1)
  const known = exactMass([...weights, ...ranked.pushed.map(({ logit }) => Math.exp((logit - best) * beta))]).low
  const high = beta >= 1 ? atFloor(tailHigh) : equalShares(tailHigh)
  const low = beta >= 1 ? equalShares(tailLow) : atFloor(tailLow)
  // Seen tokens of the tail are lowered by an unknown amount.
  return { low: known + (options.repetitionPenalty === 1 ? low : 0), high: known + high }
}

/**
 * Index of the drawn weight; null when the bounds of the total leave it open. The nucleus is the shortest beginning that
 * holds `topP` of the total; within it the draw is proportional.
 */
function draw(weights: readonly number[], total: Mass, topP: number, random: number): number | null {
  const isExact = total.low === total.high
  let nucleus: Mass = total
  if (topP < 1) {
    const end = nucleusEnd(weights, topP * total.low, topP * total.high, isExact)
    if (end === null) return null
    const mass = exactMass(weights.slice(0, end)).low
    nucleus = { low: mass, high: mass }
  }
  const low = random * nucleus.low
  const high = random * nucleus.high
  let sum = 0
  for (let i = 0; i < weights.length; i += 1) {
    const before = sum
    sum += weights[i] as number
    if (low >= before && high < sum) return i
    if (low < sum && high >= sum) return null
  }
  // Rounding may leave the draw just above the exact sum; with bounds it lies in the unseen tail.
  if (nucleus.low === nucleus.high && (isExact || topP < 1)) return lastPositive(weights)
  return null
}

/** How many weights the nucleus has; null when the two targets disagree or lie beyond the weights. */
function nucleusEnd(weights: readonly number[], low: number, high: number, isExact: boolean): number | null {
  let sum = 0
  for (let i = 0; i < weights.length; i += 1) {
    const before = sum
    sum += weights[i] as number
    if (sum >= high) return before < low ? i + 1 : null
    if (sum >= low) return null
  }
  return isExact ? weights.length : null
}

function lastPositive(weights: readonly number[]): number {
  const last = weights.findLastIndex((weight) => weight > 0)
  assert(last >= 0, 'the best logit has weight 1')
  return last
}
