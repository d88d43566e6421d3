/**
 * Decides after how many blocks a step is cut into another submit. A long submit freezes the machine's screen and, on some
 * systems, gets the GPU process killed; after two such kills Chromium bans a page from WebGPU. So: near 100 ms, learned from
 * what was measured on this adapter.
 */

/** One submit of prefill should take about this long. */
const PREFILL_SUBMIT_MS = 100
/** A decode step is cut only past this: every cut costs a round trip to the GPU process. */
const DECODE_SUBMIT_MS = 250
/** Before anything was measured, on a software adapter and on a GPU. */
const FIRST_BLOCK_ROW_MS = { software: 20, gpu: 0.5 }
/** Matrices take so many rows at the price of little more than one: two sessions cost what eight do. */
const TILE_ROWS = 8
/** Weight of the newest measurement: follows a machine that becomes busy within a few submits. */
const NEWEST_SHARE = 0.3

export class SubmitPacer {
  #decodeBlockMs: number
  #blockTileMs: number

  constructor(software: boolean) {
    const first = software ? FIRST_BLOCK_ROW_MS.software : FIRST_BLOCK_ROW_MS.gpu
    this.#decodeBlockMs = first
    this.#blockTileMs = 2 * first
  }

  /** At least one: a block is never cut. */
  blocksPerSubmit(rows: number): number {
    const blocks =
      rows === 1 ? DECODE_SUBMIT_MS / this.#decodeBlockMs : PREFILL_SUBMIT_MS / (this.#blockTileMs * tilesOf(rows))
    return Math.max(1, Math.floor(blocks))
  }

  /** Rows of a chunk, whole tiles where possible, so that one block of it stays within a submit. */
  rowsPerChunk(maxRows: number): number {
    const tiles = Math.max(1, Math.floor(PREFILL_SUBMIT_MS / this.#blockTileMs))
    return Math.min(maxRows, tiles * TILE_ROWS)
  }

  record(rows: number, blocks: number, ms: number): void {
    if (rows === 1) this.#decodeBlockMs = blend(this.#decodeBlockMs, ms / blocks)
    else this.#blockTileMs = blend(this.#blockTileMs, ms / blocks / tilesOf(rows))
  }
}

function tilesOf(rows: number): number {
  return Math.ceil(rows / TILE_ROWS)
}

function blend(before: number, measured: number): number {
  return (1 - NEWEST_SHARE) * before + NEWEST_SHARE * Math.max(measured, 1e-4)
}
