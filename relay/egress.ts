/** Bytes sent to peers since midnight UTC: what the day's budget is counted by. */
export class Egress {
  readonly #now: () => number
  #day = -1
  #bytes = 0

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  add(bytes: number): void {
    this.#turn()
    this.#bytes += bytes
  }

  today(): number {
    this.#turn()
    return this.#bytes
  }

  #turn(): void {
    const day = Math.floor(this.#now() / 86_400_000)
    if (day !== this.#day) this.#bytes = 0
    this.#day = day
  }
}
