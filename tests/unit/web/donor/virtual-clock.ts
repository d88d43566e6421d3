/** Time that passes only when a test says so. */
import type { Clock } from '../../../../web/donor/clock.ts'

export class VirtualClock implements Clock {
  #now = 1_700_000_000_000
  #timers: { at: number; order: number; run: () => void }[] = []
  #order = 0

  now(): number {
    return this.#now
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), order: this.#order++, run }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve))
  }

  /** Lets `ms` pass, timer by timer; what each timer sets going is finished before the next. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await settleMicrotasks()
    for (;;) {
      const next = this.#timers.toSorted((a, b) => a.at - b.at || a.order - b.order)[0]
      if (next === undefined || next.at > end) break
      this.#timers = this.#timers.filter((timer) => timer !== next)
      this.#now = next.at
      next.run()
      await settleMicrotasks()
    }
    this.#now = end
  }

  /** Lets time pass until the condition holds. */
  async until(condition: () => boolean, limitMs: number): Promise<void> {
    const end = this.#now + limitMs
    while (!condition()) {
      if (this.#now >= end) throw new Error(`not within ${limitMs} ms`)
      await this.advance(20)
    }
  }
}

function settleMicrotasks(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
