/**
 * Stop sequences over streamed text: text that may be the beginning of one is held back until it is known not to be, so
 * that no part of a stop sequence is ever shown.
 */
export class StopText {
  readonly #sequences: readonly string[]
  #held = ''
  #stopped = false

  /** Empty sequences are ignored. */
  constructor(sequences: readonly string[]) {
    this.#sequences = sequences.filter((sequence) => sequence !== '')
  }

  /** Whether a stop sequence was met; everything after it is gone. */
  get stopped(): boolean {
    return this.#stopped
  }

  /** Text that may be shown now. */
  push(text: string): string {
    if (this.#stopped) return ''
    const all = this.#held + text
    const cut = earliest(all, this.#sequences)
    if (cut !== -1) {
      this.#stopped = true
      this.#held = ''
      return all.slice(0, cut)
    }
    const keep = Math.max(0, ...this.#sequences.map((sequence) => openEnd(all, sequence)))
    this.#held = all.slice(all.length - keep)
    return all.slice(0, all.length - keep)
  }

  /** What was held back, at the end of the answer. */
  flush(): string {
    const rest = this.#held
    this.#held = ''
    return rest
  }
}

function earliest(text: string, sequences: readonly string[]): number {
  const places = sequences.map((sequence) => text.indexOf(sequence)).filter((place) => place !== -1)
  return places.length === 0 ? -1 : Math.min(...places)
}

/** Length of the longest end of `text` that is a proper beginning of `sequence`. */
function openEnd(text: string, sequence: string): number {
  for (let length = Math.min(text.length, sequence.length - 1); length > 0; length -= 1) {
    if (text.endsWith(sequence.slice(0, length))) return length
  }
  return 0
}
