/** A `logits` frame → rows the sampler may rely on: right vocabulary, as many as asked for, best first, no id twice. */
import { readLogits, type Frame } from '../swarm/codec.ts'
import { SwarmError } from '../swarm/errors.ts'
import type { LogitsRow } from '../swarm/span-runner.ts'

/** f32 rounding of a log-sum-exp over half a million values, relative to its size. */
const LOG_SUM_SLACK = 1e-3

export interface AskedLogits {
  vocabSize: number
  /** 0: the whole row. */
  topK: number
  /** How many rows. */
  rows: number
}

/** @throws SwarmError BAD_FRAME, NOT_FINITE */
export function readLogitsRows(frame: Frame, asked: AskedLogits): LogitsRow[] {
  const rows = readLogits(frame)
  if (rows.length !== asked.rows) throw bad(`logits of ${rows.length} rows, ${asked.rows} were asked for`)
  for (const row of rows) checkRow(row, asked)
  return rows
}

function checkRow(row: LogitsRow, { vocabSize, topK }: AskedLogits): void {
  if (row.vocabSize !== vocabSize) throw bad(`logits of ${row.vocabSize} tokens, the model has ${vocabSize}`)
  const expected = topK === 0 ? vocabSize : Math.min(topK, vocabSize)
  if (row.ids.length !== expected) throw bad(`${row.ids.length} logits, ${expected} were asked for`)
  for (let i = 1; i < row.ids.length; i += 1) {
    const [before, value] = [row.values[i - 1] as number, row.values[i] as number]
    if (value > before || (value === before && (row.ids[i] as number) <= (row.ids[i - 1] as number))) {
      throw bad(`logits are not in order at place ${i}`)
    }
  }
  if (new Set(row.ids).size !== row.ids.length) throw bad('a token id comes twice among the logits')
  const best = row.values[0] as number
  if (row.logSumExp < best - LOG_SUM_SLACK * Math.max(1, Math.abs(best))) {
    throw bad(`log-sum-exp ${row.logSumExp} is below the best logit ${best}`)
  }
}

function bad(message: string): SwarmError {
  return new SwarmError('BAD_FRAME', message)
}
