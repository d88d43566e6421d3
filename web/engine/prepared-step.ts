/**
 * The commands of a step that is likely to come: the same sessions, each a token on. They are encoded while the step before runs, so that
 * the next one is submitted as soon as its inputs are written. Whatever comes instead throws them away; no result depends on them.
 */
import type { Span } from '../../swarm/span.ts'
import type { StepShape } from '../gpu/kernel.ts'

/** All that the commands of one submit depend on but what is in the buffers. */
export interface Submit<Plan> {
  span: Span
  /** Blocks of the weights, from `start` up to `end`. */
  start: number
  end: number
  rows: number
  parts: readonly { plan: Plan; step: StepShape }[]
  readHidden: boolean
}

export class PreparedStep<Plan, Commands> {
  #last: Submit<Plan> | null = null
  #next: { submit: Submit<Plan>; commands: Commands } | null = null

  /** Commands that were prepared for exactly this; once. */
  take(submit: Submit<Plan>): Commands | null {
    const next = this.#next
    this.#next = null
    return next !== null && isSame(next.submit, submit) ? next.commands : null
  }

  /**
   * After `submit` of a whole step. Prepares only what follows twice in a row: where sessions come and go, what is encoded ahead would be
   * for nothing. `splitsAt`: of attention for one row.
   */
  prepare(
    submit: Submit<Plan>,
    splitsAt: (position: number) => number,
    encode: (submit: Submit<Plan>) => Commands,
  ): void {
    const last = this.#last
    const isToken = submit.rows === submit.parts.length
    this.#last = isToken ? submit : null
    this.#next = null
    if (!isToken || last === null || !isSame(oneOn(last, splitsAt), submit)) return
    const next = oneOn(submit, splitsAt)
    this.#next = { submit: next, commands: encode(next) }
  }

  /** What commands are made of changes. */
  forget(): void {
    this.#last = null
    this.#next = null
  }
}

function oneOn<Plan>(submit: Submit<Plan>, splitsAt: (position: number) => number): Submit<Plan> {
  const parts = submit.parts.map(({ plan, step }) => {
    const position = step.position + 1
    return { plan, step: { ...step, position, splits: splitsAt(position) } }
  })
  return { ...submit, parts }
}

function isSame<Plan>(a: Submit<Plan>, b: Submit<Plan>): boolean {
  return (
    a.span.start === b.span.start &&
    a.span.end === b.span.end &&
    a.start === b.start &&
    a.end === b.end &&
    a.rows === b.rows &&
    a.readHidden === b.readHidden &&
    a.parts.length === b.parts.length &&
    a.parts.every((part, i) => {
      const other = b.parts[i]
      return other !== undefined && part.plan === other.plan && isSameStep(part.step, other.step)
    })
  )
}

function isSameStep(a: StepShape, b: StepShape): boolean {
  return a.rows === b.rows && a.position === b.position && a.splits === b.splits && a.first === b.first
}
