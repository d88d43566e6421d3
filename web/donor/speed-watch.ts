/**
 * Measures again how fast a serving donor is, now and then while nobody waits for it: a laptop that grows warm or goes on battery, or
 * a GPU that something else uses as well, is not what it was when its blocks were loaded, and both placement and routes go by what it
 * says. Only what is more than noise is said (`announced-speed.ts`), and only when it is still so minutes later.
 */
import { describeError } from '../../swarm/errors.ts'
import { announcedSpeed } from '../../swarm/planner/announced-speed.ts'
import type { DonorLog } from './donor-log.ts'
import type { DonorEnvironment } from './environment.ts'

export interface SpeedWatchOptions {
  environment: DonorEnvironment
  log: DonorLog
  /** Block-steps a second, as said so far. */
  said: () => number
  /** Serves, and nothing waits for it: what is measured beside somebody's tokens is not its speed. */
  isIdle: () => boolean
  /** Block-steps a second, as it is now; null where that says nothing. @throws SwarmError as steps do */
  measure: () => Promise<number | null>
  /** To be said from now on. */
  onChange: (blockStepsPerSecond: number) => void
}

/** In the mean. It takes half a second of a device that does nothing else. */
const PERIOD_MS = 20 * 60_000
/** Until a measurement that is off is made again: a moment's other work has passed by then. */
const AGAIN_MS = 90_000
/** So many in a row, all slower or all faster, are no chance. */
const IN_A_ROW = 3

export class SpeedWatch {
  readonly #options: SpeedWatchOptions
  /** Measured one after another, all off from what was said and to one side. */
  #off: number[] = []
  #cancel: () => void = () => undefined
  #isStopped = false

  constructor(options: SpeedWatchOptions) {
    this.#options = options
  }

  start(): void {
    const { environment } = this.#options
    const period = this.#off.length > 0 ? AGAIN_MS : PERIOD_MS
    this.#cancel = environment.clock.after(period * (0.5 + environment.random()), () => void this.#run())
  }

  stop(): void {
    this.#isStopped = true
    this.#cancel()
  }

  async #run(): Promise<void> {
    if (this.#options.isIdle()) await this.#measure()
    if (!this.#isStopped) this.start()
  }

  async #measure(): Promise<void> {
    const { log, isIdle, measure } = this.#options
    try {
      const measured = await measure()
      // Somebody who came meanwhile had a part of it.
      if (measured !== null && !this.#isStopped && isIdle()) this.#learn(measured)
    } catch (error) {
      if (!this.#isStopped) log.info(`The speed could not be measured again (${describeError(error)}).`)
    }
  }

  #learn(measured: number): void {
    const { log, said, onChange } = this.#options
    const before = said()
    const isOff = announcedSpeed(before, measured) !== before
    const isSameSide = this.#off.every((other) => other < before === measured < before)
    this.#off = isOff ? [...(isSameSide ? this.#off : []), measured] : []
    if (this.#off.length < IN_A_ROW) return
    const speed = this.#off.toSorted((a, b) => a - b)[this.#off.length >> 1] as number
    this.#off = []
    log.info(`Measured again: ${speed.toFixed(1)} block-steps a second in place of ${before.toFixed(1)}.`)
    onChange(speed)
  }
}
