/**
 * Llama-3.1-8B in ordinary tabs: three spans of a checkpoint in its exact layout, int4, under WebGPU's default limits, each loaded
 * through the product's loader and cache and run through its own `SpanRunner`, against plain f64 on the same rounded weights.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BrowserContext, Page } from 'playwright'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { spanTensors, tensorElements } from '../../swarm/model/tensors.ts'
import type { Span } from '../../swarm/span.ts'
import { serveWorkerPage, type WorkerPage } from '../integration/model-files/page-server.ts'
import { asStored } from '../reference/fixtures.ts'
import { launchChromiumProfile } from '../support/browser.ts'
import { HeapWatch, type HeapSample } from '../support/heap-watch.ts'
import { hiddenRow, llama8b, llama8bShards, PUBLISHED_BYTES, tokenAt } from '../support/llama-8b/checkpoint.ts'
import { REPO, startSyntheticHub, type SyntheticHub } from '../support/llama-8b/hub.ts'
import { block, elements, embedding, int4Row, logits, matrix } from '../support/llama-8b/reference.ts'
import type { TabAnswer, TabCall, TabReply } from './llama-8b/worker.ts'

const PREFILL_ROWS = 8
const { hiddenSize, vocabSize, numHiddenLayers } = llama8b
const OUTPUTS = Array.from({ length: 64 }, (_, i) => (i * 67) % hiddenSize)
const LOGITS = Array.from({ length: 64 }, (_, i) => (i * 2_011) % vocabSize)
/** Of the largest value of a row; f32 sums of 14,336 products lose some 1e-6. */
const TOLERANCE = 1e-4
/** What may be live beyond the weights, which are on the GPU: a few pieces of 8 MiB, as bytes and as f32. Measured: 45 to 90 MB. */
const MOST_LIVE_BYTES = 128 * 2 ** 20

let hub: SyntheticHub
let server: WorkerPage

beforeAll(async () => {
  hub = await startSyntheticHub()
  server = await serveWorkerPage(fileURLToPath(new URL('llama-8b/worker.ts', import.meta.url)))
})
afterAll(async () => {
  await server?.close()
  await hub?.close()
})

test('the stand-in has the layout of the published checkpoint, and its reference the rounding of int4', () => {
  expect(llama8bShards().map((shard) => shard.bytes)).toEqual(PUBLISHED_BYTES)
  const down = matrix('model.layers.15.mlp.down_proj.weight', hiddenSize, llama8b.intermediateSize)
  const [width] = down.shape.slice(1) as [number]
  const stored = asStored(Float32Array.from(elements(down, 3 * width, width)), width, 'int4')
  expect(Float32Array.from(int4Row(down, 3))).toEqual(stored)
})

describe.each([
  { span: { start: 0, end: 2 }, again: false },
  { span: { start: 15, end: 17 }, again: true },
  { span: { start: 30, end: 32 }, again: false },
])('blocks $span.start:$span.end', ({ span, again }) => {
  let answer: TabAnswer
  let samples: HeapSample[]
  let sent: number

  beforeAll(async () => {
    const before = hub.tensorBytes()
    const result = await runTab({
      hubUrl: hub.url,
      repo: REPO,
      span,
      prefillRows: PREFILL_ROWS,
      outputs: OUTPUTS,
      logits: LOGITS,
      again,
    })
    answer = result.answer
    samples = result.samples
    sent = hub.tensorBytes() - before
    const most = (of: keyof HeapSample): string => (Math.max(...samples.map((s) => s[of])) / 1e6).toFixed(1)
    console.log(
      `blocks ${span.start}:${span.end}: ${(sent / 1e6).toFixed(0)} MB sent, ${(answer.takenBytes / 1e6).toFixed(1)} of ` +
        `${(answer.plannedBytes / 1e6).toFixed(1)} MB on the GPU, ${answer.mostMatrixParts} parts, ${answer.blockMs.toFixed(0)} ms a ` +
        `block, ${answer.decodeSubmits} submits a token; most live while loading: page ${most('page')}, worker ${most('workers')} MB`,
    )
  }, 1_500_000)

  test('its own tensors are downloaded, once, and it fits the default limits and the computed memory', () => {
    expect(answer.warnings).toEqual([])
    expect(answer.limits).toEqual({
      maxStorageBufferBindingSize: 128 * 2 ** 20,
      maxBufferSize: 256 * 2 ** 20,
      maxStorageBuffersPerShaderStage: 8,
      maxComputeWorkgroupStorageSize: 16 * 2 ** 10,
      maxComputeInvocationsPerWorkgroup: 256,
      maxComputeWorkgroupsPerDimension: 65_535,
    })
    const specs = spanTensors(llama8b, span)
    const bytes = specs.reduce((sum, spec) => sum + 2 * tensorElements(spec), 0)
    expect([answer.fetchedBytes, sent]).toEqual([bytes, bytes])
    const rows = specs.reduce((sum, { kind, shape }) => sum + (kind === 'matrix' ? shape[0]! : 0), 0)
    expect(answer.convertedRows).toBe(rows)
    expect(answer.takenBytes).toBeLessThanOrEqual(answer.plannedBytes)
    expect(answer.takenBytes).toBeGreaterThan(0.9 * answer.plannedBytes)
    // A table is larger than any binding here.
    const isEnd = span.start === 0 || span.end === numHiddenLayers
    if (isEnd) expect(answer.mostMatrixParts).toBeGreaterThanOrEqual(3)
    if (again) expect(answer.again).toEqual({ fetchedBytes: 0, convertedRows: 0 })
  })

  test('page and worker stay as small as they were while it loads', () => {
    expect(samples.length).toBeGreaterThanOrEqual(5)
    for (const { page, workers } of samples) {
      expect(page).toBeLessThan(MOST_LIVE_BYTES)
      expect(workers).toBeGreaterThan(0)
      expect(workers).toBeLessThan(MOST_LIVE_BYTES)
    }
  })

  test('a step of blocks that take long is cut between them', () => {
    if (answer.blockMs > 125) expect(answer.decodeSubmits).toBeGreaterThanOrEqual(2)
    else expect(answer.decodeSubmits).toBeGreaterThanOrEqual(1)
  })

  test('prefill and decode agree with f64', () => {
    const expected = reference(span)
    const hiddenError = relativeError(answer.hidden, expected.hidden)
    expect(answer.hidden).toHaveLength(2 * OUTPUTS.length)
    expect(hiddenError).toBeLessThan(TOLERANCE)
    expect(answer.logitValues).toHaveLength(expected.logits.length)
    const logitError = expected.logits.length === 0 ? 0 : relativeError(answer.logitValues, expected.logits)
    expect(logitError).toBeLessThan(TOLERANCE)
    console.log(
      `blocks ${span.start}:${span.end}: off by ${hiddenError.toExponential(1)} of the largest, logits ${logitError.toExponential(1)}`,
    )
  })
})

/** Both rows at the picked places, as the tab gives them. */
function reference(span: Span): { hidden: number[]; logits: number[] } {
  const T = PREFILL_ROWS + 1
  const positions = Array.from({ length: T }, (_, t) => t)
  let hidden =
    span.start === 0
      ? embedding(positions.map(tokenAt))
      : Float64Array.from(positions.flatMap((position) => [...hiddenRow(position)]))
  const hasHead = span.end === numHiddenLayers
  const lastGiven = hasHead ? span.end - 2 : span.end - 1
  const given: number[] = []
  for (let number = span.start; number < span.end; number += 1) {
    hidden = block(number, hidden)
    if (number !== lastGiven) continue
    for (const t of [T - 2, T - 1]) given.push(...OUTPUTS.map((i) => hidden[t * hiddenSize + i]!))
  }
  const lastRows = hidden.slice((T - 2) * hiddenSize)
  return { hidden: given, logits: hasHead ? [...logits(lastRows, LOGITS)] : [] }
}

function relativeError(found: readonly number[], expected: readonly number[]): number {
  const largest = Math.max(...expected.map(Math.abs))
  return Math.max(...expected.map((value, i) => Math.abs(value - found[i]!))) / largest
}

/** Loads and runs in a fresh profile, whose storage is on disk, watching the heaps until everything is loaded. */
async function runTab(call: TabCall): Promise<{ answer: TabAnswer; samples: HeapSample[] }> {
  const profile = mkdtempSync(join(tmpdir(), 'tabswarm-8b-'))
  let context: BrowserContext | null = null
  try {
    context = await launchChromiumProfile(profile)
    const page = await context.newPage()
    await page.goto(server.url)
    const heap = await HeapWatch.of(page)
    const samples: HeapSample[] = []
    const state = { loaded: false }
    await start(page, call)
    const sampling = (async () => {
      while (!state.loaded) {
        if (heap.workerCount > 0) samples.push(await heap.sample())
        await new Promise((resolve) => setTimeout(resolve, 500))
      }
    })()
    try {
      const first = await nextReply(page)
      if (!('loaded' in first)) throw new Error(JSON.stringify(first))
    } finally {
      state.loaded = true
      await sampling
    }
    const last = await nextReply(page)
    if ('answer' in last) return { answer: last.answer, samples }
    throw new Error(JSON.stringify(last))
  } finally {
    await context?.close()
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}

interface WithReplies {
  nextReply: () => Promise<TabReply>
}

async function start(page: Page, call: TabCall): Promise<void> {
  await page.evaluate((message) => {
    const worker = new Worker('/worker.js', { type: 'module' })
    const replies: TabReply[] = []
    let wake: () => void = () => undefined
    worker.addEventListener('message', ({ data }: MessageEvent<TabReply>) => {
      replies.push(data)
      wake()
    })
    worker.addEventListener('error', ({ message: reason }) => {
      replies.push({ error: { code: 'GPU_LOST', message: reason, retryable: false } as never })
      wake()
    })
    Object.assign(globalThis, {
      nextReply: async () => {
        while (replies.length === 0) await new Promise<void>((resolve) => (wake = resolve))
        return replies.shift()
      },
    })
    worker.postMessage(message)
  }, call)
}

async function nextReply(page: Page): Promise<TabReply> {
  return await page.evaluate(() => (globalThis as unknown as WithReplies).nextReply())
}
