/** Time as the donor uses it, so that tests run hours of a swarm in a moment. */
export interface Clock {
  /** ms since epoch, uncorrected: for showing and for measuring. */
  now(): number
  /** Calls `run` once after `ms`; returns a function that cancels it. */
  after(ms: number, run: () => void): () => void
}

export const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}

/** Resolves after `ms`, or rejects with the signal's reason. */
export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return waitFor(clock, ms, signal, () => () => undefined)
}

/** The same, and earlier when `listen` calls `wake`; `listen` returns what ends its listening. */
export function waitFor(
  clock: Clock,
  ms: number,
  signal: AbortSignal,
  listen: (wake: () => void) => () => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason as Error)
      return
    }
    const finish = (settle: () => void): void => {
      cancel()
      unlisten()
      signal.removeEventListener('abort', stop)
      settle()
    }
    const stop = (): void => finish(() => reject(signal.reason as Error))
    const cancel = clock.after(ms, () => finish(resolve))
    const unlisten = listen(() => finish(resolve))
    signal.addEventListener('abort', stop, { once: true })
  })
}
