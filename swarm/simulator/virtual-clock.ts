/**
 * A clock that stands still between events: a binary heap of (time, order of entry). Events of one instant run in the order
 * in which they were entered, so that a run repeats exactly.
 */
interface Entry {
  at: number
  order: number
  run: () => void
}

export class VirtualClock {
  readonly #heap: Entry[] = []
  #entered = 0
  #now = 0

  /** Seconds. */
  get now(): number {
    return this.#now
  }

  /** Runs `run` at `at`; what lies in the past runs next. Whoever is no longer wanted checks that itself. */
  at(at: number, run: () => void): void {
    const entry = { at: Math.max(at, this.#now), order: this.#entered, run }
    this.#entered += 1
    this.#heap.push(entry)
    this.#rise(this.#heap.length - 1)
  }

  after(seconds: number, run: () => void): void {
    this.at(this.#now + seconds, run)
  }

  /** Runs everything up to and including `until`, and ends there. */
  runUntil(until: number): void {
    for (let next = this.#heap[0]; next !== undefined && next.at <= until; next = this.#heap[0]) {
      this.#takeFirst()
      this.#now = next.at
      next.run()
    }
    this.#now = Math.max(this.#now, until)
  }

  #rise(from: number): void {
    let child = from
    while (child > 0) {
      const parent = (child - 1) >> 1
      if (!this.#isBefore(child, parent)) return
      this.#swap(child, parent)
      child = parent
    }
  }

  #takeFirst(): void {
    const last = this.#heap.pop() as Entry
    if (this.#heap.length === 0) return
    this.#heap[0] = last
    let parent = 0
    for (;;) {
      let least = parent
      for (const child of [2 * parent + 1, 2 * parent + 2]) {
        if (child < this.#heap.length && this.#isBefore(child, least)) least = child
      }
      if (least === parent) return
      this.#swap(parent, least)
      parent = least
    }
  }

  #isBefore(i: number, j: number): boolean {
    const a = this.#heap[i] as Entry
    const b = this.#heap[j] as Entry
    return a.at < b.at || (a.at === b.at && a.order < b.order)
  }

  #swap(i: number, j: number): void {
    const held = this.#heap[i] as Entry
    this.#heap[i] = this.#heap[j] as Entry
    this.#heap[j] = held
  }
}
