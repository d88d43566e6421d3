/** Both ends of the Worker's messages, joined by a real MessageChannel: buffers are handed over, errors keep their code. */
import { afterEach, describe, expect, it } from 'vitest'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { SwarmError } from '../../../../swarm/errors.ts'
import { parseLlamaConfig } from '../../../../swarm/model/parse-config.ts'
import type { SpanRunner, StepInput } from '../../../../swarm/span-runner.ts'
import { CANARY } from '../../../../web/engine/canary.ts'
import type { EngineLoad } from '../../../../web/donor/engine.ts'
import { openWorkerEngine, type WorkerPort } from '../../../../web/donor/worker-client.ts'
import { WorkerHandler, type WorkerParts, type WorkerSpan } from '../../../../web/donor/worker-handler.ts'
import type { FromWorker, ToWorker } from '../../../../web/donor/worker-messages.ts'

const SESSION = 'ab'.repeat(16)
const config = parseLlamaConfig({
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_act: 'silu',
  hidden_size: 64,
  intermediate_size: 128,
  num_attention_heads: 4,
  num_hidden_layers: 4,
  num_key_value_heads: 2,
  vocab_size: 512,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-5,
})

interface FakeSpan extends WorkerSpan {
  destroyed: boolean
}

function fakeRunner(load: { span: EngineLoad['span'] }, disposed: string[]): SpanRunner {
  let sessions = 0
  return {
    span: load.span,
    hasHead: load.span.end === 4,
    openSession: ({ maxTokens }) => {
      if (maxTokens > 100)
        return Promise.reject(new SwarmError('CACHE_FULL', 'no room', { retryable: true, action: 'Wait.' }))
      sessions += 1
      return Promise.resolve(0)
    },
    closeSession: () => {
      sessions -= 1
      return Promise.resolve()
    },
    truncateSession: () => Promise.resolve(),
    step: (batch) =>
      Promise.resolve(
        batch.map(({ session, position, rows, hidden }) => ({
          session,
          position,
          rows,
          hidden: (hidden ?? new Float32Array(0)).map((value) => value * 2),
          computeMs: 1,
        })),
      ),
    lastLogits: () =>
      Promise.resolve({ ids: Uint32Array.of(7, 3), values: Float32Array.of(2, 1), logSumExp: 3, vocabSize: 512 }),
    status: () => ({ span: load.span, sessions, cacheTokensLeft: 100 - sessions }),
    dispose: () => {
      disposed.push(`${load.span.start}:${load.span.end}`)
      return Promise.resolve()
    },
  }
}

describe('the donor worker', () => {
  const open: MessagePort[] = []
  afterEach(() => open.splice(0).forEach((port) => port.close()))

  async function connected(
    overrides: Partial<WorkerParts<FakeSpan>> = {},
    onCreate: (given: { format: string; hiddenSize: number }) => void = () => undefined,
  ) {
    const channel = new MessageChannel()
    open.push(channel.port1, channel.port2)
    const spans: FakeSpan[] = []
    const disposed: string[] = []
    const posted: FromWorker[] = []
    let lose: (reason: string) => void = () => undefined
    const lost = new Promise<string>((resolve) => {
      lose = resolve
    })
    const parts: WorkerParts<FakeSpan> = {
      openGpu: () =>
        Promise.resolve({
          adapter: { description: 'fake', backend: 'software', reason: 'asked' },
          lost,
          createWeights: ({ hiddenSize }, _span, format) => {
            onCreate({ format, hiddenSize })
            const span: FakeSpan = {
              destroyed: false,
              format: 'f32',
              put: () => Promise.resolve(),
              storeRows: () => ({ weights: new Uint8Array(0), scales: new Uint8Array(0) }),
              putRows: () => Promise.resolve(),
              destroy: () => {
                span.destroyed = true
              },
            }
            spans.push(span)
            return span
          },
          createRunner: (_config, weights, _options, says) => {
            const span = spanOf.get(weights) ?? { start: 0, end: 2 }
            // As if the first span of a visit had its kernels chosen, and those after it the same ones.
            if (span.start === 0) says.tuned()
            return Promise.resolve(fakeRunner({ span }, disposed))
          },
          measure: () => Promise.resolve({ blockStepsPerSecond: 42 }),
        }),
      fill: ({ input, sink, onProgress, onFetched }) => {
        spanOf.set(sink, input.span)
        onProgress({
          phase: 'download',
          doneBytes: 1,
          totalBytes: 1,
          cachedBytes: 0,
          bytesPerSecond: 0,
          etaSeconds: null,
        })
        onFetched(10)
        return Promise.resolve(0)
      },
      ...overrides,
    }
    const spanOf = new Map<object, EngineLoad['span']>()
    const handler = new WorkerHandler(parts, (message, transfers) => {
      posted.push(message)
      channel.port2.postMessage(message, transfers)
    })
    channel.port2.on('message', (message: ToWorker) => void handler.handle(message))
    let terminated = false
    const port: WorkerPort = {
      post: (message, transfers) => channel.port1.postMessage(message, transfers),
      onMessage: (listener) => channel.port1.on('message', listener),
      onError: () => undefined,
      terminate: () => {
        terminated = true
      },
    }
    const engine = await openWorkerEngine(port, { backend: 'auto', threads: null })
    /** Where the spans begin whose kernels were chosen anew. */
    const tuned: number[] = []
    const load = (span: EngineLoad['span'], signal = new AbortController().signal): Promise<SpanRunner> =>
      engine.load({
        repo: 'm',
        revision: 'r',
        hubUrl: 'http://h',
        config,
        span,
        format: 'f32',
        cacheTokens: 100,
        kv: 'f32',
        autotune: 'off',
        onProgress: () => undefined,
        onTuned: () => void tuned.push(span.start),
        signal,
      })
    return { tuned, engine, load, spans, disposed, posted, lose, isTerminated: () => terminated }
  }

  it('holds two spans at once, each behind its own SpanRunner', async () => {
    const { engine, load, disposed, tuned } = await connected()
    const first = await load({ start: 0, end: 2 })
    const second = await load({ start: 2, end: 4 })
    expect(tuned).toEqual([0])
    expect([first.hasHead, second.hasHead]).toEqual([false, true])
    await first.openSession({ session: SESSION, span: first.span, maxTokens: 10 })
    expect([first.status().sessions, second.status().sessions]).toEqual([1, 0])
    expect(await engine.measure(second)).toBe(42)
    expect(engine.bytesFetched).toBe(20)
    await first.dispose()
    expect(disposed).toEqual(['0:2'])
    await expect(first.openSession({ session: SESSION, span: first.span, maxTokens: 10 })).rejects.toMatchObject({
      code: 'NO_SESSION',
    })
  })

  it('runs the canary beside a runner, in its format, and frees it; wrong results are an error', async () => {
    const created: { format: string; hiddenSize: number }[] = []
    const { engine, load, disposed, spans } = await connected({}, (given) => created.push(given))
    const runner = await load({ start: 0, end: 2 })
    // The fake runner gives no logits.
    await expect(engine.check(runner)).rejects.toMatchObject({
      code: 'WRONG_RESULTS',
      message: /in f32, run row by row/,
    })
    expect(created.map(({ hiddenSize }) => hiddenSize)).toEqual([config.hiddenSize, CANARY.hiddenSize])
    expect(spans).toHaveLength(2)
    expect(disposed).toEqual(['0:2'])
    expect((await load({ start: 2, end: 4 })).hasHead).toBe(true)
  })

  it('hands buffers over in both directions', async () => {
    const { load } = await connected()
    const runner = await load({ start: 0, end: 2 })
    const hidden = Float32Array.of(1, 2, 3)
    const [output] = await runner.step([{ session: SESSION, position: 0, rows: 1, hidden }])
    expect(output).toMatchObject({ hidden: Float32Array.of(2, 4, 6) })
    expect(hidden.byteLength).toBe(0)
    const shared = new Float32Array([1, 2])
    const batch: StepInput[] = [
      { session: SESSION, position: 0, rows: 1, hidden: shared.subarray(0, 1) },
      { session: SESSION, position: 1, rows: 1, hidden: shared.subarray(1, 2) },
    ]
    expect(await runner.step(batch)).toHaveLength(2)
    expect(await runner.lastLogits(SESSION, { topK: 2 })).toMatchObject({ ids: Uint32Array.of(7, 3), logSumExp: 3 })
  })

  it('errors keep code, sentence and advice', async () => {
    const { load } = await connected()
    const runner = await load({ start: 0, end: 2 })
    await expect(runner.openSession({ session: SESSION, span: runner.span, maxTokens: 101 })).rejects.toMatchObject({
      name: 'SwarmError',
      code: 'CACHE_FULL',
      message: 'no room',
      retryable: true,
      action: 'Wait.',
    })
  })

  it('a cancelled load frees its weights', async () => {
    const { load, spans } = await connected({
      fill: ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(new SwarmError('CANCELLED', 'stopped')))
        }),
    })
    const aborter = new AbortController()
    const loading = load({ start: 0, end: 2 }, aborter.signal)
    setImmediate(() => aborter.abort())
    await expect(loading).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(spans.map((span) => span.destroyed)).toEqual([true])
  })

  it('a lost GPU fails what is under way, once, and everything after', async () => {
    const { engine, load, lose } = await connected({ fill: () => new Promise(() => undefined) })
    const reasons: string[] = []
    engine.onLost((reason) => reasons.push(reason))
    const loading = load({ start: 0, end: 2 })
    lose('driver reset')
    await expect(loading).rejects.toMatchObject({ code: 'GPU_LOST', message: /driver reset/ })
    await expect(load({ start: 0, end: 2 })).rejects.toMatchObject({ code: 'GPU_LOST' })
    expect(reasons).toEqual(['driver reset'])
  })

  it('closing ends the worker; a runner may still be disposed of', async () => {
    const { engine, load, isTerminated } = await connected()
    const runner = await load({ start: 0, end: 2 })
    engine.close()
    expect(isTerminated()).toBe(true)
    await runner.dispose()
    await expect(runner.closeSession(SESSION)).rejects.toMatchObject({ code: 'GPU_LOST' })
  })

  it('a GPU that cannot be opened ends the worker and says why', async () => {
    await expect(
      connected({ openGpu: () => Promise.reject(new SwarmError('NO_ADAPTER', 'no adapter')) }),
    ).rejects.toMatchObject({ code: 'NO_ADAPTER' })
  })
})
