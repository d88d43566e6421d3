/**
 * Whether guesses pay on this route, and how many tokens to guess at a time: laps with guesses are held against laps without, by the
 * clock. Where they cost more than they bring they pause, longer each time. Decides about speed only; the text is the same.
 */

export interface LapCost {
  /** Tokens that were guessed. */
  drafted: number
  /** Of them right. */
  accepted: number
  /** From the step to its logits. */
  ms: number
}

/** Where guesses turn out wrong, few were paid for; where they are right, there are soon more. */
const SHORTEST_COUNT = 2
/** With the token before them as many rows as a head takes at once. */
const LONGEST_COUNT = 7
/** Laps with guesses before they are judged. */
const TRIAL_LAPS = 3
const SHORTEST_PAUSE = 16
const LONGEST_PAUSE = 256
/** A lap without guesses after so many with them: what it costs grows with the text. */
const REFRESH_LAPS = 32
/** What the newest lap weighs in the cost of one without guesses. */
const NEWEST_WEIGHT = 0.25

export class DraftPace {
  /** Of a lap without guesses; null before the first. */
  #plainMs: number | null = null
  #count = SHORTEST_COUNT
  /** Laps left without guesses. */
  #pause = 0
  #nextPause = SHORTEST_PAUSE
  #sincePlain = 0
  #trial = { laps: 0, tokens: 0, ms: 0 }

  /** How many tokens to guess in the next lap; 0: none. */
  get count(): number {
    return this.#plainMs === null || this.#pause > 0 || this.#sincePlain >= REFRESH_LAPS ? 0 : this.#count
  }

  add(lap: LapCost): void {
    if (lap.drafted === 0) this.#addPlain(lap.ms)
    else this.#addTry(lap)
  }

  /** The route is another: so is what laps cost. */
  restart(): void {
    this.#plainMs = null
    this.#trial = { laps: 0, tokens: 0, ms: 0 }
  }

  #addPlain(ms: number): void {
    this.#plainMs ??= ms
    this.#plainMs += (ms - this.#plainMs) * NEWEST_WEIGHT
    this.#pause = Math.max(0, this.#pause - 1)
    this.#sincePlain = 0
  }

  #addTry({ drafted, accepted, ms }: LapCost): void {
    const { laps, tokens, ms: before } = this.#trial
    this.#trial = { laps: laps + 1, tokens: tokens + accepted + 1, ms: before + ms }
    this.#sincePlain += 1
    this.#count =
      accepted === drafted ? Math.min(LONGEST_COUNT, this.#count + 2) : Math.max(SHORTEST_COUNT, accepted + 1)
    if (this.#trial.laps < TRIAL_LAPS) return
    const pays = this.#trial.tokens * (this.#plainMs ?? 0) > this.#trial.ms
    this.#pause = pays ? 0 : this.#nextPause
    this.#nextPause = pays ? SHORTEST_PAUSE : Math.min(LONGEST_PAUSE, 2 * this.#nextPause)
    this.#trial = { laps: 0, tokens: 0, ms: 0 }
  }
}
