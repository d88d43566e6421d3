/**
 * Chooses among kernels that give the same bits, by timing them. Knows no GPU: what is tried comes through `Trial`. One choice after
 * another is settled (what decode runs, then what prefill and batches run); whatever is chosen from is timed in turns, so that a
 * machine that becomes busy meanwhile is unfair to nobody.
 */
import { describeError } from '../../swarm/errors.ts'
import type { KernelChoice } from '../gpu/kernels/kernel-choice.ts'

/** What a choice is tried on. */
export interface Trial {
  /** Everything runs by this choice from then on. Rejects when its kernels do not compile. */
  use(choice: KernelChoice): Promise<void>
  /** What a known input comes out as, over rows and positions of every kind. */
  outcome(): Promise<Float32Array>
  /** Milliseconds that so many rows took. */
  time(rows: number): Promise<number>
}

/** What is settled in one go. */
export interface Stage {
  /** Rows of the work that is timed. */
  rows: number
  /** Others than the one that holds so far. */
  candidates: (holds: KernelChoice) => readonly KernelChoice[]
}

export interface TuneLimits {
  now: () => number
  /** Of all stages together: a candidate whose turn comes later is not tried. */
  budgetMs: number
}

export interface Tuned {
  choice: KernelChoice
  ms: number
  /** Candidates that were timed, the first choice not among them. */
  timed: number
  /** What was left out, and why: other bits, or a kernel that did not compile. */
  refused: readonly string[]
  /** Whether time was left for all. */
  isComplete: boolean
}

/** Of each candidate; the median counts. */
const ROUNDS = 5
/** A median of fewer is chance. */
const LEAST_ROUNDS = 3
/** What is faster by less stays out: the same machine would choose differently at each start. */
const WORTHWHILE = 0.97

/** Leaves the trial with the choice that is returned. @throws what the trial does of the first choice */
export async function tune(
  trial: Trial,
  first: KernelChoice,
  stages: readonly Stage[],
  { now, budgetMs }: TuneLimits,
): Promise<Tuned> {
  const started = now()
  await trial.use(first)
  const expected = await trial.outcome()
  const refused: string[] = []
  let choice = first
  let timed = 0
  let isComplete = true
  for (const [i, { rows, candidates }] of stages.entries()) {
    const isOver = (): boolean => now() - started >= (budgetMs * (i + 1)) / stages.length
    const contenders = [{ choice, times: [] as number[] }]
    for (const candidate of candidates(choice)) {
      if (isOver()) {
        isComplete = false
        break
      }
      const fault = await faultOf(trial, candidate, expected)
      if (fault === null) contenders.push({ choice: candidate, times: [] })
      else refused.push(fault)
    }
    for (let round = 0; round < ROUNDS && contenders.length > 1; round += 1) {
      if (isOver()) {
        isComplete = false
        break
      }
      for (const contender of contenders) {
        await trial.use(contender.choice)
        contender.times.push(await trial.time(rows))
      }
    }
    const [holds] = contenders
    if (holds === undefined || holds.times.length < LEAST_ROUNDS) continue
    timed += contenders.length - 1
    const best = contenders.toSorted((a, b) => median(a.times) - median(b.times))[0] ?? holds
    if (median(best.times) < WORTHWHILE * median(holds.times)) choice = best.choice
  }
  await trial.use(choice)
  return { choice, ms: now() - started, timed, refused, isComplete }
}

/** Null: it may be chosen. Running it once is what warms it up, too. */
async function faultOf(trial: Trial, choice: KernelChoice, expected: Float32Array): Promise<string | null> {
  try {
    await trial.use(choice)
    const found = await trial.outcome()
    const isSame = found.length === expected.length && found.every((value, at) => Object.is(value, expected[at]))
    return isSame ? null : `${choiceText(choice)}: its results differ in their bits`
  } catch (error) {
    return `${choiceText(choice)}: ${describeError(error)}`
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Infinity
}

/** One line for the donor's log. */
export function choiceText({ matMul, blockKernels, matVecWorkgroup, matMulWorkgroup }: KernelChoice): string {
  return `${matMul}, ${blockKernels}, workgroups of ${matVecWorkgroup} for one row and ${matMulWorkgroup} for many`
}
