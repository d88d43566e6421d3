/**
 * The same bits alone or batched: texts are run token by token, each alone, then in random batches of random chunks, several of them
 * under way at once, with sessions that are cut and replayed or closed and opened again in between.
 */
import type { LogitsRow, SpanRunner, StepInput } from '../../swarm/span-runner.ts'
import { ENGINE_MAX_ROWS } from '../../swarm/model/span-bytes.ts'
import { bitsThatDiffer, ok } from './span-chain.ts'

export interface InterleavingOptions {
  sessions: number
  /** Tokens of each text. */
  tokens: number
  vocabSize: number
  /** Numbers in [0, 1), the same in every run. */
  random: () => number
}

export interface InterleavingResult {
  /** Rows of logits that were compared, and how many logits of them differ in a bit. */
  compared: number
  differ: number
  /** Batches with rows of more than one session. */
  shared: number
}

/** Of steps that ask for several rows. */
const BEST = 40

function best(row: LogitsRow, topK: number): LogitsRow {
  const count = topK === 0 ? row.vocabSize : topK
  return { ...row, ids: row.ids.slice(0, count), values: row.values.slice(0, count) }
}

/** The runner holds a whole model and at least `sessions · (tokens + sessions)` cached tokens. */
export async function randomInterleavings(
  runner: SpanRunner,
  { sessions, tokens, vocabSize, random }: InterleavingOptions,
): Promise<InterleavingResult> {
  const below = (limit: number): number => Math.floor(random() * limit)
  const texts = Array.from({ length: sessions }, () => Array.from({ length: tokens }, () => below(vocabSize)))
  const session = (i: number): string => i.toString(16).padStart(32, '0')
  const open = (i: number, maxTokens: number): Promise<number> =>
    runner.openSession({ session: session(i), span: runner.span, maxTokens })
  const stepOf = (i: number, position: number, rows: number): StepInput => ({
    session: session(i),
    position,
    rows,
    tokens: Uint32Array.from(texts[i]!.slice(position, position + rows)),
    logits: { topK: 0 },
  })

  const alone: LogitsRow[][] = []
  for (const [i, ids] of texts.entries()) {
    await open(i, ids.length)
    const rows: LogitsRow[] = []
    for (let position = 0; position < ids.length; position += 1) {
      rows.push(ok((await runner.step([stepOf(i, position, 1)]))[0]).logits!)
    }
    alone.push(rows)
    await runner.closeSession(session(i))
  }

  // Caches of other sizes, opened in another order: what lies where differs.
  for (let i = sessions - 1; i >= 0; i -= 1) await open(i, tokens + i)
  const lengths = texts.map(() => 0)
  const result: InterleavingResult = { compared: 0, differ: 0, shared: 0 }
  const given: Promise<unknown>[] = []
  const check = async (batch: readonly StepInput[], stepped: ReturnType<SpanRunner['step']>): Promise<void> => {
    const outputs = await stepped
    if (!('error' in outputs[0]!)) throw new Error('a step of an unknown session was run')
    for (const [at, output] of outputs.slice(1).map(ok).entries()) {
      const { position, rows, logits } = batch[at]!
      const expected = alone[Number.parseInt(output.session, 16)]!.slice(0, position + rows)
      const found = [...(output.earlierLogits ?? []), output.logits!]
      if (found.length !== (logits!.rows ?? 1)) throw new Error(`${found.length} rows of logits came`)
      for (const [back, row] of found.toReversed().entries()) {
        result.differ += bitsThatDiffer(row, best(expected.at(-1 - back)!, logits!.topK))
        result.compared += 1
      }
    }
  }
  while (lengths.some((length) => length < tokens)) {
    const batch: StepInput[] = []
    for (const i of texts.keys()) {
      // Sometimes two steps of one session in a batch.
      for (let again = 0; again < 2 && random() < 0.7; again += 1) {
        const rows = Math.min(1 + below(random() < 0.5 ? 1 : 30), tokens - lengths[i]!)
        if (rows === 0) break
        const step = stepOf(i, lengths[i]!, rows)
        // Half of them ask for the logits of several rows.
        if (rows > 1 && random() < 0.5) step.logits = { topK: BEST, rows: Math.min(rows, 1 + below(8)) }
        batch.push(step)
        lengths[i]! += rows
      }
    }
    if (batch.length === 0) continue
    if (new Set(batch.map((input) => input.session)).size > 1) result.shared += 1
    // One of no session among them: its failure is its own.
    const stray = { ...batch[0]!, session: 'f'.repeat(32), tokens: Uint32Array.of(0), rows: 1 }
    given.push(check(batch, runner.step([stray, ...batch])))
    // Sometimes the next ones come while it runs, at any point of it.
    if (random() < 0.4) await Promise.all(given.splice(0))
    else for (let turns = below(20); turns > 0; turns -= 1) await Promise.resolve()
    // Now and then a session forgets and is replayed, and another moves to other memory.
    const i = below(sessions)
    if (random() < 0.3) {
      lengths[i] = below(lengths[i]! + 1)
      given.push(runner.truncateSession(session(i), lengths[i]!))
    } else if (random() < 0.2) {
      given.push(runner.closeSession(session(i)), open(i, tokens + below(sessions)))
      lengths[i] = 0
    }
  }
  await Promise.all(given)
  return result
}

/**
 * What others ask for while a prefill of many chunks runs is answered before it: the order in which things came to an end, `x` being the
 * prefill, and how many logits differ in a bit from those of each session alone. The runner holds a whole model and 320 cached tokens.
 */
export async function duringAPrefill(runner: SpanRunner): Promise<{ order: string; differ: number }> {
  const rows = 4 * ENGINE_MAX_ROWS - 6
  const id = (name: string): string => name.charCodeAt(0).toString(16).padStart(32, '0')
  const ids = (name: string, count: number) => Array.from({ length: count }, (_, i) => (i * name.charCodeAt(0)) % 61)
  const open = (name: string, maxTokens: number): Promise<number> =>
    runner.openSession({ session: id(name), span: runner.span, maxTokens })
  const run = async (name: string, from: number, to: number): Promise<LogitsRow> => {
    const tokens = Uint32Array.from(ids(name, to).slice(from))
    const step = { session: id(name), position: from, rows: to - from, tokens, logits: { topK: 0 } }
    return ok((await runner.step([step]))[0]).logits!
  }
  const alone = new Map<string, LogitsRow[]>()
  for (const [name, ends] of [
    ['x', [rows]],
    ['a', [5, 6]],
  ] as const) {
    await open(name, rows)
    const logits: LogitsRow[] = []
    for (const [i, end] of ends.entries()) logits.push(await run(name, ends[i - 1] ?? 0, end))
    alone.set(name, logits)
    await runner.closeSession(id(name))
  }

  let order = ''
  let differ = 0
  const ended = async (name: string, work: Promise<unknown>): Promise<void> => {
    await work
    order += name
  }
  const same = async (name: string, index: number, logits: Promise<LogitsRow>): Promise<void> => {
    differ += bitsThatDiffer(await logits, alone.get(name)![index]!)
  }
  await open('x', rows)
  await open('a', 6)
  await run('a', 0, 5)
  const prefill = ended('x', same('x', 0, run('x', 0, rows)))
  // Its first chunk has begun, or is about to.
  for (let turns = 0; turns < 5; turns += 1) await Promise.resolve()
  await Promise.all([ended('a', same('a', 1, run('a', 5, 6))), ended('b', open('b', 1))])
  await prefill
  for (const name of ['x', 'a', 'b']) await runner.closeSession(id(name))
  return { order: order.replace('ba', 'ab'), differ }
}
