/**
 * One span of the synthetic Llama-3.1-8B in a Worker of a real tab: the product's loader, cache and runner on a device with WebGPU's
 * default limits. What is asked for is the test's.
 */
import { openModel } from '../../../hub/source.ts'
import { toPlainError, type PlainError } from '../../../swarm/errors.ts'
import { ENGINE_MAX_ROWS, spanBytes } from '../../../swarm/model/span-bytes.ts'
import type { Span } from '../../../swarm/span.ts'
import type { SpanRunner, StepInput, StepOutput } from '../../../swarm/span-runner.ts'
import { measureThroughput } from '../../../web/engine/measure.ts'
import { createSpanRunner } from '../../../web/engine/span-runner.ts'
import { SpanWeights } from '../../../web/engine/weights.ts'
import { loadSpan } from '../../../web/weights/load-span.ts'
import { openWeightCache } from '../../../web/weights/opfs-cache.ts'
import { BufferCount } from '../../gpu/lab/counted-gpu.ts'
import { hiddenRow, llama8b, tokenAt } from '../../support/llama-8b/checkpoint.ts'
import { openPlainGpu } from '../../support/plain-gpu.ts'
import { ok } from '../../support/span-chain.ts'

export interface TabCall {
  hubUrl: string
  repo: string
  span: Span
  prefillRows: number
  /** Of the last prefilled row and of the decoded one. */
  outputs: number[]
  logits: number[]
  /** Loads again from what was kept, and computes nothing. */
  again: boolean
}

export interface TabAnswer {
  limits: Record<string, number>
  fetchedBytes: number
  convertedRows: number
  /** Rows after the last block that gives hidden states, at `outputs`: of the last prefilled row, then of the decoded one. */
  hidden: number[]
  /** Where the span has the head, at `logits`: the same two rows. */
  logitValues: number[]
  plannedBytes: number
  takenBytes: number
  mostMatrixParts: number
  blockMs: number
  decodeSubmits: number
  again: { fetchedBytes: number; convertedRows: number } | null
  warnings: string[]
}

export type TabReply = { loaded: true } | { answer: TabAnswer } | { error: PlainError }

const CACHE_TOKENS = 24
const LIMITS = [
  'maxStorageBufferBindingSize',
  'maxBufferSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupsPerDimension',
] as const

async function run(call: TabCall): Promise<TabAnswer> {
  const { span } = call
  const warnings: string[] = []
  const gpu = await openPlainGpu()
  gpu.device.addEventListener('uncapturederror', ({ error }) => warnings.push(error.message))
  const count = new BufferCount(gpu)
  let submits = 0
  const { queue } = gpu.device
  const submit = queue.submit.bind(queue)
  queue.submit = (buffers) => {
    submits += 1
    return submit(buffers)
  }
  const source = await openModel({ repo: call.repo, hubUrl: call.hubUrl })
  const cache = await openWeightCache({ onWarning: ({ message }) => warnings.push(message) })
  const load = async (): Promise<{ weights: SpanWeights; fetchedBytes: number; convertedRows: number }> => {
    const weights = SpanWeights.create(gpu, llama8b, span, 'int4')
    const result = await loadSpan({ source, config: llama8b, span, sink: weights, cache, onProgress: () => undefined })
    return { weights, ...result }
  }
  const { weights, fetchedBytes, convertedRows } = await load()
  postMessage({ loaded: true } satisfies TabReply)
  const matrices = [weights.embedding, weights.head, ...weights.blocks.map(({ gateUp }) => gateUp)]
  const mostMatrixParts = Math.max(...matrices.map((matrix) => matrix?.parts.length ?? 0))
  const runner = await createSpanRunner(gpu, llama8b, weights, { cacheTokens: CACHE_TOKENS })
  // As a donor does before it serves; the pacing of submits learns from it.
  const { blockStepsPerSecond } = await measureThroughput(runner, llama8b)

  const hasHead = runner.hasHead
  const inner = hasHead ? { start: span.start, end: span.end - 1 } : span
  const results = { hidden: [] as number[], logitValues: [] as number[], decodeSubmits: 0 }
  for (const part of hasHead ? [inner, span] : [span]) {
    await runSession(runner, part, call, results, () => submits)
  }
  const takenBytes = count.takeMost()
  await runner.dispose()
  const second = call.again ? await load() : null
  second?.weights.destroy()
  const limits = Object.fromEntries(LIMITS.map((name) => [name, gpu.device.limits[name]]))
  return {
    ...results,
    limits,
    fetchedBytes,
    convertedRows,
    plannedBytes: spanBytes(llama8b, span, 'int4', { cacheTokens: CACHE_TOKENS, maxRows: ENGINE_MAX_ROWS }).total,
    takenBytes,
    mostMatrixParts,
    blockMs: 1000 / blockStepsPerSecond,
    again: second === null ? null : { fetchedBytes: second.fetchedBytes, convertedRows: second.convertedRows },
    warnings,
  }
}

/** Prefills, then decodes one row, over that part of the runner's span. */
async function runSession(
  runner: SpanRunner,
  span: Span,
  { prefillRows, outputs, logits }: TabCall,
  results: { hidden: number[]; logitValues: number[]; decodeSubmits: number },
  submits: () => number,
): Promise<void> {
  const id = `${span.start}${span.end}`.padStart(32, '0')
  await runner.openSession({ session: id, span, maxTokens: prefillRows + 1 })
  const endsWithHead = span.end === llama8b.numHiddenLayers
  for (const [position, rows] of [
    [0, prefillRows],
    [prefillRows, 1],
  ] as const) {
    const before = submits()
    const output = ok((await runner.step([input(id, span, position, rows, endsWithHead)]))[0])
    if (rows === 1) results.decodeSubmits = submits() - before
    if (endsWithHead) results.logitValues.push(...logitsAt(output, logits))
    else results.hidden.push(...outputs.map((i) => output.hidden![(rows - 1) * llama8b.hiddenSize + i]!))
  }
  await runner.closeSession(id)
}

function input(session: string, span: Span, position: number, rows: number, wantsLogits: boolean): StepInput {
  const step: StepInput = { session, position, rows, ...(wantsLogits ? { logits: { topK: 0 } } : {}) }
  const positions = Array.from({ length: rows }, (_, i) => position + i)
  if (span.start === 0) return { ...step, tokens: Uint32Array.from(positions, tokenAt) }
  const hidden = new Float32Array(rows * llama8b.hiddenSize)
  positions.forEach((at, t) => hidden.set(hiddenRow(at), t * llama8b.hiddenSize))
  return { ...step, hidden }
}

function logitsAt({ logits }: StepOutput, ids: readonly number[]): number[] {
  const places = new Map(Array.from(logits!.ids, (id, i) => [id, i]))
  return ids.map((id) => logits!.values[places.get(id)!]!)
}

addEventListener('message', ({ data }: MessageEvent<TabCall>) => {
  run(data).then(
    (answer) => postMessage({ answer } satisfies TabReply),
    (error: unknown) => postMessage({ error: toPlainError(error) } satisfies TabReply),
  )
})
