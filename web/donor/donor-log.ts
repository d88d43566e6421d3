/** The donor's log: kept for the page's panel, printed word for word for the command line that reads the tab's console. */
import { describeError, errorSentence, SwarmError } from '../../swarm/errors.ts'
import type { DonorLogLine } from './state.ts'

/** A tab may run for weeks; the panel shows the end. */
const MAX_LINES = 1_000

export class DonorLog {
  readonly #print: (text: string) => void
  readonly #now: () => number
  readonly #onChange: () => void
  #lines: readonly DonorLogLine[] = []

  constructor(options: { print: (text: string) => void; now: () => number; onChange: () => void }) {
    this.#print = options.print
    this.#now = options.now
    this.#onChange = options.onChange
  }

  /** A new array after every line, so that a view sees the change. */
  lines(): readonly DonorLogLine[] {
    return this.#lines
  }

  info(text: string): void {
    this.#add('info', text)
  }

  warn(text: string): void {
    this.#add('warn', text)
  }

  error(error: unknown): void {
    this.#add('error', error instanceof SwarmError ? errorSentence(error) : describeError(error))
  }

  #add(level: DonorLogLine['level'], text: string): void {
    this.#lines = [...this.#lines.slice(-(MAX_LINES - 1)), { at: this.#now(), level, text }]
    this.#print(text)
    this.#onChange()
  }
}
