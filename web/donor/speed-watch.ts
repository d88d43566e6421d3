/**
 * Measures again how fast a serving donor is, now and then while nobody waits for it: a laptop that grows warm or goes on battery, or
 * a GPU that something else uses as well, is not what it was when its blocks were loaded, and both placement and routes go by what it
 * says. Only what is more than noise is said (`announced-speed.ts`).
 */
import { describeError } from '../../swarm/errors.ts'
import type { DonorLog } from './donor-log.ts'
import type { DonorEnvironment } from './environment.ts'

export interface SpeedWatchOptions {
  environment: DonorEnvironment
  log: DonorLog
  /** Block-steps a second, as said so far. */
  said: () => number
  /** Serves, and nothing waits for it: what is measured beside somebody's tokens is not its speed. */
  isIdle: () => boolean
  /** What is to be said from now on. */
  measure: () => Promise<number>
  onChange: (blockStepsPerSecond: number) => void
}

/** In the mean. It takes half a second of a device that does nothing else. */
const PERIOD_MS = 20 * 60_000

export class SpeedWatch {
  readonly #options: SpeedWatchOptions
  #cancel: () => void = () => undefined
  #isStopped = false

  constructor(options: SpeedWatchOptions) {
    this.#options = options
  }

  start(): void {
    const { environment } = this.#options
    this.#cancel = environment.clock.after(PERIOD_MS * (0.5 + environment.random()), () => void this.#run())
  }

  stop(): void {
    this.#isStopped = true
    this.#cancel()
  }

  async #run(): Promise<void> {
    await this.#measure()
    if (!this.#isStopped) this.start()
  }

  async #measure(): Promise<void> {
    const { log, said, isIdle, measure, onChange } = this.#options
    if (!isIdle()) return
    try {
      const [before, speed] = [said(), await measure()]
      // Somebody came meanwhile, and had a part of it.
      if (this.#isStopped || !isIdle() || speed === before) return
      log.info(`Measured again: ${speed.toFixed(1)} block-steps a second in place of ${before.toFixed(1)}.`)
      onChange(speed)
    } catch (error) {
      if (!this.#isStopped) log.info(`The speed could not be measured again (${describeError(error)}).`)
    }
  }
}
