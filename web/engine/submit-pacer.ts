/**
 * Decides after how many blocks a step is cut into another submit, and how many rows a chunk has. A long submit freezes the machine's
 * screen and, on some systems, gets the GPU process killed; after two such kills Chromium bans a page from WebGPU. So: below 100 ms,
 * by what was measured on this adapter, first when a span is loaded (`Forward.calibrate`) and then with every submit.
 */

/** One submit of prefill takes at most about this long. */
const PREFILL_SUBMIT_MS = 100
/** A decode step is cut only past this: every cut costs a round trip to the GPU process. */
const DECODE_SUBMIT_MS = 250
/** A chunk through the whole span while others have sessions here: so long a token of theirs may wait for its turn. */
const SHARED_CHUNK_MS = 300
/** Before anything was measured, on a software adapter and on a GPU. */
const FIRST_BLOCK_ROW_MS = { software: 20, gpu: 0.5 }
/** Matrices take so many rows at the price of little more than one: two sessions cost what eight do. */
export const TILE_ROWS = 8
/** Weight of the newest measurement: follows a machine that becomes busy within a few submits. */
const NEWEST_SHARE = 0.3

/** Milliseconds of one block, by how many tokens attention looks back at. */
interface Cost {
  base: number
  perToken: number
}

/** So long one block took, for one row or one tile of them, at two places of a context. */
export interface CostSample {
  near: { context: number; ms: number }
  far: { context: number; ms: number }
}

export class SubmitPacer {
  readonly #row: Cost
  readonly #tile: Cost

  constructor(software: boolean) {
    const first = software ? FIRST_BLOCK_ROW_MS.software : FIRST_BLOCK_ROW_MS.gpu
    this.#row = { base: first, perToken: 0 }
    this.#tile = { base: 2 * first, perToken: 0 }
  }

  /** What was measured in place of the guesses. */
  calibrate(row: CostSample, tile: CostSample): void {
    for (const [cost, { near, far }] of [[this.#row, row] as const, [this.#tile, tile] as const]) {
      const apart = Math.max(1, far.context - near.context)
      cost.perToken = Math.max(0, (far.ms - near.ms) / apart)
      cost.base = Math.max(1e-4, near.ms - cost.perToken * near.context)
    }
  }

  /** At least one: a block is never cut. `context`: tokens that the rows look back at. */
  blocksPerSubmit(rows: number, context: number): number {
    const blocks =
      rows === 1
        ? DECODE_SUBMIT_MS / costAt(this.#row, context)
        : PREFILL_SUBMIT_MS / (costAt(this.#tile, context) * tilesOf(rows))
    return Math.max(1, Math.floor(blocks))
  }

  /**
   * Rows of a chunk, whole tiles where possible, so that one block of it stays within a submit; and where others wait for their turn
   * (`sharedBlocks`: of the span that they wait for), so that all of it is soon through.
   */
  rowsPerChunk(maxRows: number, context: number, sharedBlocks: number | null): number {
    const tileMs = costAt(this.#tile, context)
    const inSubmit = PREFILL_SUBMIT_MS / tileMs
    const inTurn = sharedBlocks === null ? Infinity : SHARED_CHUNK_MS / (tileMs * sharedBlocks)
    const tiles = Math.max(1, Math.floor(Math.min(inSubmit, inTurn)))
    return Math.min(maxRows, tiles * TILE_ROWS)
  }

  record({ rows, context, blocks, ms }: { rows: number; context: number; blocks: number; ms: number }): void {
    const [cost, measured] = rows === 1 ? [this.#row, ms / blocks] : [this.#tile, ms / blocks / tilesOf(rows)]
    const expected = costAt(cost, context)
    const factor = 1 - NEWEST_SHARE + (NEWEST_SHARE * Math.max(measured, 1e-4)) / expected
    cost.base *= factor
    cost.perToken *= factor
  }
}

function costAt({ base, perToken }: Cost, context: number): number {
  return base + perToken * context
}

function tilesOf(rows: number): number {
  return Math.ceil(rows / TILE_ROWS)
}
