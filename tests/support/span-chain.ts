/** Whole models over one runner or a chain of them, whatever is behind, and comparisons with kept references. */
import { DEFAULT_TOP_K } from '../../swarm/limits.ts'
import type { LlamaConfig } from '../../swarm/model/config.ts'
import type { TensorSink } from '../../swarm/model/tensors.ts'
import { spanTensors } from '../../swarm/model/tensors.ts'
import type { Span } from '../../swarm/span.ts'
import type { LogitsRow, SpanRunner, StepFailure, StepInput, StepOutput } from '../../swarm/span-runner.ts'
import type { ModelFiles, RawTensor } from '../reference/model-files.ts'

/** Odd on purpose: pieces end in the middle of rows and of packed halves. */
const PIECE_ELEMENTS = 100_003

/** All tensors of the span, as a loader would hand them over. */
export async function putTensors(sink: TensorSink, model: ModelFiles, span: Span): Promise<void> {
  for (const spec of spanTensors(model.config, span)) {
    const { dtype, bytes } = model.tensors.get(spec.name) as RawTensor
    const size = dtype === 'F32' ? 4 : 2
    for (let at = 0; at < bytes.length; at += PIECE_ELEMENTS * size) {
      await sink.put(spec, dtype, bytes.subarray(at, at + PIECE_ELEMENTS * size), at / size)
    }
  }
}

/** The spans that cuts (first blocks of the second, third, … span) make of a model. */
export function spansBetween(cuts: readonly number[], blocks: number): Span[] {
  const edges = [0, ...cuts, blocks]
  return cuts.concat(blocks).map((end, i) => ({ start: edges[i]!, end }))
}

/** Spans one after another, as hops of a route. */
export class SpanChain {
  readonly config: LlamaConfig
  readonly runners: SpanRunner[]
  #sessions = 0

  constructor(config: LlamaConfig, runners: SpanRunner[]) {
    this.config = config
    this.runners = runners
  }

  async open(maxTokens: number): Promise<ChainSession> {
    this.#sessions += 1
    const id = this.#sessions.toString(16).padStart(32, '0')
    for (const runner of this.runners) await runner.openSession({ session: id, span: runner.span, maxTokens })
    return new ChainSession(this.runners, id)
  }

  async dispose(): Promise<void> {
    for (const runner of this.runners) await runner.dispose()
  }
}

export class ChainSession {
  readonly #runners: SpanRunner[]
  readonly #id: string
  position = 0

  constructor(runners: SpanRunner[], id: string) {
    this.#runners = runners
    this.#id = id
  }

  /** The step's last row of logits; `topK` 0 for all. */
  async step(tokens: readonly number[], topK = 0): Promise<LogitsRow> {
    let input: StepInput = {
      session: this.#id,
      position: this.position,
      rows: tokens.length,
      tokens: Uint32Array.from(tokens),
    }
    for (const runner of this.#runners) {
      if (runner.hasHead) input.logits = { topK }
      const output = ok((await runner.step([input]))[0])
      if (output.logits !== undefined) {
        this.position += tokens.length
        return output.logits
      }
      input = { session: this.#id, position: this.position, rows: tokens.length, hidden: output.hidden! }
    }
    throw new Error('bug: no runner has the head')
  }

  async close(): Promise<void> {
    for (const runner of this.#runners) await runner.closeSession(this.#id)
  }
}

export function ok(output: StepOutput | StepFailure | undefined): StepOutput {
  if (output === undefined) throw new Error('bug: no output')
  if ('error' in output) throw new Error(`step failed: ${output.error.code} ${output.error.message}`)
  return output
}

/** A row in the order of the vocabulary. */
export function byId(row: LogitsRow): Float32Array {
  const out = new Float32Array(row.vocabSize)
  row.ids.forEach((id, i) => (out[id] = row.values[i]!))
  return out
}

export function maxDelta(row: LogitsRow, expected: Float32Array): number {
  let worst = 0
  row.ids.forEach((id, i) => (worst = Math.max(worst, Math.abs(row.values[i]! - expected[id]!))))
  return worst
}

/** How many logits differ in a bit. */
export function bitsThatDiffer(a: LogitsRow, b: LogitsRow): number {
  const [x, y] = [byId(a), byId(b)]
  return x.filter((value, i) => !Object.is(value, y[i])).length
}

/** Greedy ids after `row`, the model continuing on its own. */
export async function greedy(session: ChainSession, row: LogitsRow, count: number): Promise<number[]> {
  const ids = [row.ids[0]!]
  while (ids.length < count) ids.push((await session.step([ids.at(-1)!], DEFAULT_TOP_K)).ids[0]!)
  return ids
}
