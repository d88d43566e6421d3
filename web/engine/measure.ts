/** How fast this adapter runs the span, really measured: the throughput that a tab announces and the planner uses. */
import { SwarmError, fromPlainError } from '../../swarm/errors.ts'
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { unitWeightsOf, weightOfSpan } from '../../swarm/model/unit-weights.ts'
import type { SpanRunner, StepInput } from '../../swarm/span-runner.ts'

export interface Throughput {
  /** One-token steps through one block in a second, steps following each other without a pause. The head counts as so many blocks as it costs. */
  blockStepsPerSecond: number
}

/** Steps before the clock starts: the first ones pay for lazily compiled pipelines. */
const WARM_UP_STEPS = 2
/** Long enough for a steady figure on a GPU, short enough for a software adapter (a step takes 10–20 ms a block there). */
const MEASURE_MS = 500
const MAX_MEASURED_STEPS = 48
/** Not a session id that a peer could draw: those are random. */
const SESSION = '0'.repeat(32)

/** Runs one-token steps through the whole span in a session of its own, about half a second. @throws SwarmError as the runner does */
export async function measureThroughput(runner: SpanRunner, config: LlamaConfig): Promise<Throughput> {
  const steps = Math.min(
    WARM_UP_STEPS + MAX_MEASURED_STEPS,
    runner.status().cacheTokensLeft,
    config.maxPositionEmbeddings,
  )
  if (steps <= WARM_UP_STEPS) {
    throw new SwarmError('CACHE_FULL', `measuring takes ${WARM_UP_STEPS + 1} cached tokens, ${steps} are free`)
  }
  await runner.openSession({ session: SESSION, span: runner.span, maxTokens: steps })
  try {
    let position = 0
    for (; position < WARM_UP_STEPS; position += 1) await runOne(runner, config, position)
    const started = performance.now()
    let elapsedMs = 0
    while (position < steps && elapsedMs < MEASURE_MS) {
      await runOne(runner, config, position)
      position += 1
      elapsedMs = performance.now() - started
    }
    const measured = position - WARM_UP_STEPS
    return {
      blockStepsPerSecond:
        (measured * weightOfSpan(runner.span, unitWeightsOf(config)) * 1000) / Math.max(elapsedMs, 0.001),
    }
  } finally {
    await runner.closeSession(SESSION)
  }
}

async function runOne(runner: SpanRunner, config: LlamaConfig, position: number): Promise<void> {
  const base = { session: SESSION, position, rows: 1 }
  const input: StepInput =
    runner.span.start === 0
      ? { ...base, tokens: Uint32Array.of(position % config.vocabSize) }
      : { ...base, hidden: Float32Array.from({ length: config.hiddenSize }, (_, i) => Math.sin(i + position)) }
  // The head belongs to a step of the span that has it.
  if (runner.hasHead) input.logits = { topK: 1 }
  const [output] = await runner.step([input])
  if (output !== undefined && 'error' in output) throw fromPlainError(output.error)
}
