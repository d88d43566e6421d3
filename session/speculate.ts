/**
 * Speculative decoding of one answer: guesses at the next tokens go through the swarm with the token before them, and each is kept
 * while it is what sampling comes to by itself. So the text is that of plain decoding, whatever is guessed; only the number of laps
 * differs.
 */
import { SwarmError } from '../swarm/errors.ts'
import { MAX_LOGITS_ROWS } from '../swarm/limits.ts'
import { DraftPace, type LapCost } from './draft-pace.ts'
import { draftTokens } from './draft.ts'

/** `auto`: as many as pay by the clock, perhaps none. A number: always so many, if there is anything to guess from. */
export type Speculate = 'off' | 'auto' | number

/** At most `count` tokens that may follow `ids`, all within the vocabulary. */
export type DraftTokens = (ids: readonly number[], count: number) => readonly number[]

export interface SpeculationReport {
  /** Passes through the swarm, that of the prompt's end included: each brought a token, and what was guessed right. */
  laps: number
  drafted: number
  accepted: number
}

/** Where nobody has said anything: it pauses by itself where it does not pay (measured: `docs/engine.md`). */
export const DEFAULT_SPECULATE = 'auto'
/** Tokens guessed at a time, at most. */
export const MAX_DRAFT_TOKENS = MAX_LOGITS_ROWS - 1

export class Speculation {
  readonly #mode: Speculate
  readonly #draft: DraftTokens
  readonly #pace = new DraftPace()
  #report: SpeculationReport = { laps: 0, drafted: 0, accepted: 0 }

  constructor(mode: Speculate, draft: DraftTokens = draftTokens) {
    this.#mode = mode
    this.#draft = draft
  }

  /** null where it is off. */
  get report(): SpeculationReport | null {
    return this.#mode === 'off' ? null : this.#report
  }

  /** Guesses for the next lap, at most `room`. */
  next(ids: readonly number[], room: number): readonly number[] {
    const wanted = this.#mode === 'off' ? 0 : this.#mode === 'auto' ? this.#pace.count : this.#mode
    const count = Math.min(wanted, room)
    return count < 1 ? [] : this.#draft(ids, count)
  }

  /** `isDecode` false: it ran a part of the prompt too, and says nothing of what laps cost. */
  add(lap: LapCost, isDecode: boolean): void {
    const { laps, drafted, accepted } = this.#report
    this.#report = { laps: laps + 1, drafted: drafted + lap.drafted, accepted: accepted + lap.accepted }
    if (isDecode) this.#pace.add(lap)
  }

  /** The answer goes on over another route. */
  onNewRoute(): void {
    this.#pace.restart()
  }
}

/** As written in an option: `off`, `auto` or a number of tokens; null for anything else. */
export function readSpeculate(text: string): Speculate | null {
  if (text === 'off' || text === 'auto') return text
  const count = /^\d{1,2}$/u.test(text) ? Number(text) : 0
  return count >= 1 && count <= MAX_DRAFT_TOKENS ? count : null
}

/** @throws SwarmError BAD_OPTION */
export function checkSpeculate(mode: Speculate): void {
  if (typeof mode === 'string' || (Number.isInteger(mode) && mode >= 1 && mode <= MAX_DRAFT_TOKENS)) return
  throw new SwarmError('BAD_OPTION', `speculate is ${mode}; it must be off, auto or 1 to ${MAX_DRAFT_TOKENS}`, {
    action: 'Change how many tokens are guessed.',
  })
}
