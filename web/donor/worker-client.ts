/**
 * The page's side of the donor's Worker: an `Engine` whose runners are `SpanRunner`s over messages. Array buffers are handed
 * over, not copied. A runner's status is the one of its last answer, so that asking costs no message.
 */
import { assert, fromPlainError, SwarmError } from '../../swarm/errors.ts'
import type {
  LogitsRequest,
  LogitsRow,
  RunnerStatus,
  SessionRequest,
  SpanRunner,
  StepFailure,
  StepInput,
  StepOutput,
} from '../../swarm/span-runner.ts'
import type { Span } from '../../swarm/span.ts'
import type { SpanProgress } from '../weights/progress.ts'
import type { Engine, EngineLoad } from './engine.ts'
import {
  transfersOf,
  type AdapterInfo,
  type EngineChoice,
  type FromWorker,
  type ToWorker,
  type WorkerCalls,
  type WorkerMethod,
} from './worker-messages.ts'

/** A started worker; `workerPort` makes one of a `Worker`, tests connect a handler directly. */
export interface WorkerPort {
  post(message: ToWorker, transfers: ArrayBuffer[]): void
  onMessage(listener: (message: FromWorker) => void): void
  /** The worker could not start, or died. */
  onError(listener: (reason: string) => void): void
  terminate(): void
}

export function workerPort(worker: Worker): WorkerPort {
  return {
    post: (message, transfers) => worker.postMessage(message, transfers),
    onMessage: (listener) =>
      worker.addEventListener('message', (event: MessageEvent<FromWorker>) => listener(event.data)),
    onError: (listener) => {
      worker.addEventListener('error', (event) => listener(event.message || 'its script could not be loaded'))
      worker.addEventListener('messageerror', () => listener('a message could not be read'))
    },
    terminate: () => worker.terminate(),
  }
}

/** @throws SwarmError NO_WEBGPU, NO_ADAPTER, INSECURE_CONTEXT, GPU_LOST (the worker does not start) */
export async function openWorkerEngine(port: WorkerPort, choice: EngineChoice): Promise<Engine> {
  const calls = new WorkerCallsClient(port)
  try {
    const { result: adapter } = await calls.call('open', choice)
    return new WorkerEngine(calls, adapter)
  } catch (error) {
    calls.close()
    throw error
  }
}

interface PendingCall {
  resolve(answer: { result: WorkerCalls[WorkerMethod]['result']; status: RunnerStatus | null }): void
  reject(error: SwarmError): void
  onProgress?: (progress: SpanProgress) => void
  onStatus?: (status: RunnerStatus) => void
}

/** Numbered calls over a port. After the worker is lost or closed every call rejects with GPU_LOST. */
class WorkerCallsClient {
  readonly #port: WorkerPort
  readonly #pending = new Map<number, PendingCall>()
  #nextCall = 1
  #nextRunner = 1
  #end: string | null = null
  #closed = false
  bytesFetched = 0
  onLost: (reason: string) => void = () => undefined
  onWarning: (text: string) => void = () => undefined
  onNote: (text: string) => void = () => undefined

  constructor(port: WorkerPort) {
    this.#port = port
    port.onMessage((message) => this.#onMessage(message))
    port.onError((reason) => this.#lose(`the tab's worker stopped: ${reason}`))
  }

  get lostBecause(): string | null {
    return this.#closed ? null : this.#end
  }

  get isOver(): boolean {
    return this.#end !== null
  }

  nextRunner(): number {
    return this.#nextRunner++
  }

  async call<M extends WorkerMethod>(
    method: M,
    input: WorkerCalls[M]['input'],
    options: {
      transfers?: ArrayBuffer[]
      onProgress?: (progress: SpanProgress) => void
      onStatus?: (status: RunnerStatus) => void
      signal?: AbortSignal
    } = {},
  ): Promise<{ result: WorkerCalls[M]['result']; status: RunnerStatus | null }> {
    if (this.#end !== null) throw gpuLost(this.#end)
    const call = this.#nextCall++
    const { signal, onProgress, onStatus } = options
    const cancel = (): void => this.#port.post({ type: 'cancel', call }, [])
    signal?.addEventListener('abort', cancel, { once: true })
    try {
      const answer = await new Promise<Parameters<PendingCall['resolve']>[0]>((resolve, reject) => {
        this.#pending.set(call, {
          resolve,
          reject,
          ...(onProgress === undefined ? {} : { onProgress }),
          ...(onStatus === undefined ? {} : { onStatus }),
        })
        // The pair of method and input is right by this function's own type; a union cannot say so.
        this.#port.post({ type: 'call', call, method, input } as ToWorker, options.transfers ?? [])
        if (signal?.aborted === true) cancel()
      })
      return answer as { result: WorkerCalls[M]['result']; status: RunnerStatus | null }
    } finally {
      this.#pending.delete(call)
      signal?.removeEventListener('abort', cancel)
    }
  }

  close(): void {
    this.#closed = true
    this.#port.terminate()
    this.#fail('the tab stopped donating')
  }

  #onMessage(message: FromWorker): void {
    switch (message.type) {
      case 'answer':
      case 'failed': {
        const pending = this.#pending.get(message.call)
        if (message.status !== null) pending?.onStatus?.(message.status)
        if (message.type === 'answer') pending?.resolve(message)
        else pending?.reject(fromPlainError(message.error))
        return
      }
      case 'progress':
        this.#pending.get(message.call)?.onProgress?.(message.progress)
        return
      case 'fetched':
        this.bytesFetched = message.bytes
        return
      case 'warning':
        this.onWarning(message.text)
        return
      case 'note':
        this.onNote(message.text)
        return
      case 'lost':
        this.#lose(message.reason)
    }
  }

  #lose(reason: string): void {
    if (this.#end !== null) return
    this.#fail(reason)
    this.onLost(reason)
  }

  #fail(reason: string): void {
    this.#end ??= reason
    for (const pending of this.#pending.values()) pending.reject(gpuLost(reason))
    this.#pending.clear()
  }
}

class WorkerEngine implements Engine {
  readonly adapter: AdapterInfo
  readonly #calls: WorkerCallsClient

  constructor(calls: WorkerCallsClient, adapter: AdapterInfo) {
    this.#calls = calls
    this.adapter = adapter
  }

  get bytesFetched(): number {
    return this.#calls.bytesFetched
  }

  async load({ onProgress, onTuned, signal, ...input }: EngineLoad): Promise<SpanRunner> {
    const runner = this.#calls.nextRunner()
    const { result, status } = await this.#calls.call('load', { ...input, runner }, { onProgress, signal })
    if (result.isTuned) onTuned()
    return new WorkerRunner(this.#calls, runner, input.span, result.hasHead, status)
  }

  async check(runner: SpanRunner): Promise<boolean> {
    assert(runner instanceof WorkerRunner, 'a runner of another engine')
    const { result } = await this.#calls.call('check', { runner: runner.id })
    return result.exact
  }

  async measure(runner: SpanRunner): Promise<number> {
    assert(runner instanceof WorkerRunner, 'a runner of another engine')
    const { result } = await this.#calls.call('measure', { runner: runner.id })
    return result.blockStepsPerSecond
  }

  onLost(listener: (reason: string) => void): void {
    this.#calls.onLost = listener
    // Lost between opening and listening: said once all the same.
    const reason = this.#calls.lostBecause
    if (reason !== null) queueMicrotask(() => listener(reason))
  }

  onWarning(listener: (text: string) => void): void {
    this.#calls.onWarning = listener
  }

  onNote(listener: (text: string) => void): void {
    this.#calls.onNote = listener
  }

  close(): void {
    this.#calls.close()
  }
}

class WorkerRunner implements SpanRunner {
  readonly id: number
  readonly span: Span
  readonly hasHead: boolean
  readonly #calls: WorkerCallsClient
  #status: RunnerStatus

  constructor(calls: WorkerCallsClient, id: number, span: Span, hasHead: boolean, status: RunnerStatus | null) {
    this.#calls = calls
    this.id = id
    this.span = span
    this.hasHead = hasHead
    this.#status = status ?? { span, sessions: 0, cacheTokensLeft: 0 }
  }

  async openSession(request: SessionRequest): Promise<number> {
    return await this.#call('openSession', { runner: this.id, request })
  }

  async closeSession(session: string): Promise<void> {
    await this.#call('closeSession', { runner: this.id, session })
  }

  async truncateSession(session: string, length: number): Promise<void> {
    await this.#call('truncateSession', { runner: this.id, session, length })
  }

  async step(batch: StepInput[]): Promise<(StepOutput | StepFailure)[]> {
    return await this.#call('step', { runner: this.id, batch }, transfersOf(batch))
  }

  async lastLogits(session: string, request: LogitsRequest): Promise<LogitsRow> {
    return await this.#call('lastLogits', { runner: this.id, session, request })
  }

  status(): RunnerStatus {
    return this.#status
  }

  async dispose(): Promise<void> {
    // A worker that is gone has freed everything already.
    if (!this.#calls.isOver) await this.#call('dispose', { runner: this.id })
  }

  async #call<M extends WorkerMethod>(
    method: M,
    input: WorkerCalls[M]['input'],
    transfers: ArrayBuffer[] = [],
  ): Promise<WorkerCalls[M]['result']> {
    const { result } = await this.#calls.call(method, input, {
      transfers,
      onStatus: (status) => {
        this.#status = status
      },
    })
    return result
  }
}

function gpuLost(reason: string): SwarmError {
  return new SwarmError('GPU_LOST', `the GPU is not there any more: ${reason}`, { retryable: true })
}
