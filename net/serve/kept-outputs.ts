/**
 * The hidden states that a hop has sent on, so that a next hop that takes the place of a lost one gets them again: the hops that are
 * left then run nothing twice. A session that would go beyond the tab's limit, or that began with rows of a shared prefix, keeps none, and its
 * tokens run again through all hops.
 */
import { hiddenPayload } from '../../swarm/codec.ts'

/** Of all sessions of a tab. */
export class OutputBudget {
  bytesLeft: number

  constructor(bytes: number) {
    this.bytesLeft = bytes
  }
}

interface Piece {
  position: number
  rows: number
  /** `[rows, columns]` f32. */
  hidden: Float32Array
}

export class KeptOutputs {
  readonly #budget: OutputBudget
  #pieces: Piece[] = []
  #length = 0
  #isComplete: boolean

  /** `from`: where the session began; rows before it are not here. */
  constructor(budget: OutputBudget, from: number) {
    this.#budget = budget
    this.#isComplete = from === 0
  }

  /** So many of the session's first rows can be had; 0 where some are missing. */
  get length(): number {
    return this.#isComplete ? this.#length : 0
  }

  /** Rows from `position` on, in place of what was there. Keeps the array. */
  put(position: number, rows: number, hidden: Float32Array): void {
    if (!this.#isComplete) return
    this.cut(position)
    if (position !== this.#length || hidden.byteLength > this.#budget.bytesLeft) {
      this.drop()
      return
    }
    this.#budget.bytesLeft -= hidden.byteLength
    this.#pieces.push({ position, rows, hidden })
    this.#length = position + rows
  }

  /** Forgets rows from `length` on. */
  cut(length: number): void {
    for (let last = this.#pieces.at(-1); last !== undefined; last = this.#pieces.at(-1)) {
      if (last.position + last.rows <= length) break
      this.#pieces.pop()
      this.#budget.bytesLeft += last.hidden.byteLength
      if (last.position >= length) continue
      const rows = length - last.position
      const hidden = last.hidden.slice(0, (last.hidden.length / last.rows) * rows)
      this.#budget.bytesLeft -= hidden.byteLength
      this.#pieces.push({ position: last.position, rows, hidden })
    }
    this.#length = Math.min(this.#length, length)
  }

  /** `[rows, columns]` f32, row-major; null where they are not all here. */
  rows(position: number, rows: number): { columns: number; payload: Uint8Array } | null {
    if (position + rows > this.length) return null
    const parts = this.#pieces.flatMap((piece) => {
      const from = Math.max(position, piece.position) - piece.position
      const to = Math.min(position + rows, piece.position + piece.rows) - piece.position
      const columns = piece.hidden.length / piece.rows
      return from < to ? [hiddenPayload(piece.hidden.subarray(from * columns, to * columns))] : []
    })
    const payload = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0))
    let at = 0
    for (const part of parts) {
      payload.set(part, at)
      at += part.byteLength
    }
    return { columns: payload.byteLength / rows / Float32Array.BYTES_PER_ELEMENT, payload }
  }

  /** Keeps nothing from here on. */
  drop(): void {
    this.cut(0)
    this.#isComplete = false
  }
}
