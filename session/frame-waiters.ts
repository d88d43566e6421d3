/** The frames that a session waits for, each with its deadline. */
import type { Frame } from '../swarm/codec.ts'
import type { SwarmError } from '../swarm/errors.ts'

interface Awaited {
  hop: number
  type: Frame['type']
  /** null for opened and truncated, of which a hop owes one at a time. */
  step: number | null
}

interface Waiter extends Awaited {
  resolve: (frame: Frame) => void
  reject: (error: SwarmError) => void
  timer: ReturnType<typeof setTimeout>
}

export class FrameWaiters {
  readonly #waiters: Waiter[] = []

  get isEmpty(): boolean {
    return this.#waiters.length === 0
  }

  /** Whether any hop still owes an answer to this step. */
  awaitsStep(step: number): boolean {
    return this.#waiters.some((waiter) => waiter.step === step)
  }

  /** Rejected by `rejectAll` only: what a deadline that passes means is for `onDeadline` to say. */
  expect(awaited: Awaited, deadlineMs: number, onDeadline: () => void): Promise<Frame> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ ...awaited, resolve, reject, timer: setTimeout(onDeadline, deadlineMs) })
    })
  }

  /** Hands the frame to the first that waits for it; false when none does. */
  take(hop: number, frame: Frame): boolean {
    const index = this.#waiters.findIndex(
      (waiter) =>
        waiter.hop === hop && waiter.type === frame.type && (waiter.step === null || waiter.step === frame.step),
    )
    const waiter = this.#waiters[index]
    if (waiter === undefined) return false
    clearTimeout(waiter.timer)
    this.#waiters.splice(index, 1)
    waiter.resolve(frame)
    return true
  }

  rejectAll(error: SwarmError): void {
    for (const waiter of this.#waiters.splice(0)) {
      clearTimeout(waiter.timer)
      waiter.reject(error)
    }
  }
}
