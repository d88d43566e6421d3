/** Serving to an end: when nothing is left that a stop would interrupt, and how long that is waited for. */
import type { InferenceServer } from '../../net/types.ts'
import type { Clock } from './clock.ts'
import type { DonorLog } from './donor-log.ts'

/** A requesting peer that waits for an answer pings every second, a hidden one may be slower; a chat that rests is silent. */
const IDLE_MS = 10_000
/** An answer of a thousand tokens at two a second; what is not done by then goes on elsewhere, and loses nothing. */
export const FINISH_LIMIT_MS = 10 * 60_000
const LIMIT = `${FINISH_LIMIT_MS / 60_000} minutes`

export interface FinishingOptions {
  clock: Clock
  server: InferenceServer
  log: DonorLog
  onFinished: () => void
}

export class Finishing {
  readonly #options: FinishingOptions
  #until: number | null = null

  constructor(options: FinishingOptions) {
    this.#options = options
  }

  begin(): void {
    const { clock, log } = this.#options
    this.#until = clock.now() + FINISH_LIMIT_MS
    log.info(`Finishing: no new sessions, and a stop when those that run have ended, after ${LIMIT} at the latest.`)
  }

  cancel(): void {
    this.#until = null
  }

  /** Calls `onFinished` once when the time has come. */
  check(): void {
    const { clock, server, log, onFinished } = this.#options
    if (this.#until === null) return
    const running = server.activeSessions(IDLE_MS)
    if (running > 0 && clock.now() < this.#until) return
    this.#until = null
    const rest =
      running === 0 ? '' : `: ${running} still running after ${LIMIT} go on in other tabs, where there are any`
    log.info(`Finished${rest}.`)
    onFinished()
  }
}
