/** One piece of work after another, until it is stopped: everything that touches a runner's device or its sessions goes through here. */
import type { SwarmError } from '../../swarm/errors.ts'

export class SerialWork {
  /** The end of what is queued. */
  #tail: Promise<unknown> = Promise.resolve()
  /** Why nothing more can be run, once that is so. */
  #stopped: SwarmError | null = null
  readonly #whenStopped: Promise<never>
  #reject: (error: SwarmError) => void = () => undefined

  constructor() {
    this.#whenStopped = new Promise<never>((_, reject) => {
      this.#reject = reject
    })
    // Heard through the race in `run`; without work under way nobody listens.
    this.#whenStopped.catch(() => undefined)
  }

  /** Runs after everything queued before, unless stopped first. @throws SwarmError what `stop` was given */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(() => {
      this.check()
      return work()
    })
    this.#tail = result.catch(() => undefined)
    return this.orStopped(result)
  }

  /** What comes first: `result`, or that everything is stopped. @throws SwarmError what `stop` was given */
  orStopped<T>(result: Promise<T>): Promise<T> {
    return Promise.race([result, this.#whenStopped])
  }

  /** To be called between the parts of long work. @throws SwarmError what `stop` was given */
  check(): void {
    if (this.#stopped !== null) throw this.#stopped
  }

  /** Callers are told at once; work under way ends at its next check. Only the first reason counts. */
  stop(error: SwarmError): void {
    this.#stopped ??= error
    this.#reject(this.#stopped)
  }

  /** When nothing is under way any more. */
  async idle(): Promise<void> {
    await this.#tail
  }
}
