/** Bytes sent to peers since midnight UTC: what the day's budget is counted by. */
export class Egress {
  readonly #budget: number
  readonly #onSpent: () => void
  readonly #now: () => number
  #day = -1
  #bytes = 0

  /** `onSpent` is called once a day, when the budget is reached. */
  constructor(budget: number, onSpent: () => void, now: () => number = Date.now) {
    this.#budget = budget
    this.#onSpent = onSpent
    this.#now = now
  }

  add(bytes: number): void {
    this.#turn()
    const wasSpent = this.isSpent
    this.#bytes += bytes
    if (!wasSpent && this.isSpent) this.#onSpent()
  }

  today(): number {
    this.#turn()
    return this.#bytes
  }

  get isSpent(): boolean {
    return this.today() >= this.#budget
  }

  #turn(): void {
    const day = Math.floor(this.#now() / 86_400_000)
    if (day !== this.#day) this.#bytes = 0
    this.#day = day
  }
}
