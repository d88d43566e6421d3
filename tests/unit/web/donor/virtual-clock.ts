/** Time that passes only when a test says so. */
import type { Clock } from '../../../../web/donor/clock.ts'

export class VirtualClock implements Clock {
  #now = 1_700_000_000_000
  /** A heap: the next is first. */
  readonly #timers: Timer[] = []
  #order = 0

  now(): number {
    return this.#now
  }

  after(ms: number, run: () => void): () => void {
    const timer: Timer = { at: this.#now + Math.max(0, ms), order: this.#order++, run }
    const heap = this.#timers
    let at = heap.length
    for (; at > 0; at = (at - 1) >> 1) {
      const above = heap[(at - 1) >> 1] as Timer
      if (isBefore(above, timer)) break
      heap[at] = above
    }
    heap[at] = timer
    return () => {
      timer.run = null
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
      const next = this.#timers[0]
      if (next === undefined || next.at > end) break
      this.#removeFirst()
      if (next.run === null) continue
      this.#now = next.at
      next.run()
      await settleMicrotasks()
    }
    this.#now = end
  }

  #removeFirst(): void {
    const heap = this.#timers
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      const [left, right] = [heap[2 * at + 1], heap[2 * at + 2]]
      if (left === undefined) break
      const [child, next] = right !== undefined && isBefore(right, left) ? [right, 2 * at + 2] : [left, 2 * at + 1]
      if (isBefore(last, child)) break
      heap[at] = child
      at = next
    }
    heap[at] = last
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

interface Timer {
  at: number
  order: number
  /** null: cancelled. */
  run: (() => void) | null
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

function settleMicrotasks(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
