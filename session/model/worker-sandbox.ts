/**
 * A `TextSandbox` over a worker that is ended when a call takes too long, and started again, with the same model, for the
 * next call. It knows the worker only as a port, so that the page's Worker and Node's worker thread share it and tests
 * put a fake behind it. Calls run one after another: a deadline then measures one call only.
 */
import { SwarmError, describeError, fromPlainError } from '../../swarm/errors.ts'
import { TEMPLATE_TIMEOUT_MS } from '../../swarm/limits.ts'
import type {
  TextAnswerMessage,
  TextCallMessage,
  TextCalls,
  TextMethod,
  TextRequest,
  TextSandbox,
  TextSource,
} from './text-sandbox.ts'

/** A started worker that runs `createTextHandler` on each message and posts the answer. */
export interface TextWorkerPort {
  post(message: TextCallMessage): void
  onMessage(listener: (message: TextAnswerMessage) => void): void
  /** The worker could not start, or died. */
  onError(listener: (error: unknown) => void): void
  terminate(): void
}

/** Starting a worker and building a 64 MB tokenizer takes seconds on a phone; it runs no pattern and no template. */
const LOAD_TIMEOUT_MS = 30_000
/** Long prompts take longer than TEMPLATE_TIMEOUT_MS on a slow machine: so many characters more a second. */
const CHARS_PER_EXTRA_SECOND = 50_000

export function createWorkerSandbox(
  spawn: () => TextWorkerPort,
  timeouts: { callMs?: number; loadMs?: number } = {},
): TextSandbox {
  return new WorkerSandbox(spawn, timeouts.callMs ?? TEMPLATE_TIMEOUT_MS, timeouts.loadMs ?? LOAD_TIMEOUT_MS)
}

interface PendingCall {
  id: number
  resolve: (result: TextCalls[TextMethod]['result']) => void
  reject: (error: SwarmError) => void
}

class WorkerSandbox implements TextSandbox {
  readonly #spawn: () => TextWorkerPort
  readonly #callMs: number
  readonly #loadMs: number
  #worker: TextWorkerPort | null = null
  #source: TextSource | null = null
  #pending: PendingCall | null = null
  #queue: Promise<unknown> = Promise.resolve()
  #nextId = 1
  #ended = false

  constructor(spawn: () => TextWorkerPort, callMs: number, loadMs: number) {
    this.#spawn = spawn
    this.#callMs = callMs
    this.#loadMs = loadMs
  }

  call<M extends TextMethod>(method: M, args: TextCalls[M]['args']): Promise<TextCalls[M]['result']> {
    const run = this.#queue.then(() => this.#run({ method, args } as TextRequest))
    // The queue goes on after a call that failed; its caller has the rejection.
    this.#queue = run.catch(() => null)
    return run as Promise<TextCalls[M]['result']>
  }

  terminate(): void {
    this.#ended = true
    this.#stopWorker(new SwarmError('CANCELLED', 'the tokenizer was closed'))
  }

  async #run(request: TextRequest): Promise<TextCalls[TextMethod]['result']> {
    if (this.#ended) throw new SwarmError('CANCELLED', 'the tokenizer was closed')
    if (request.method === 'load') {
      this.#source = request.args
      return this.#send(request)
    }
    if (this.#worker === null && this.#source !== null) await this.#send({ method: 'load', args: this.#source })
    return this.#send(request)
  }

  #send(request: TextRequest): Promise<TextCalls[TextMethod]['result']> {
    const worker = (this.#worker ??= this.#start())
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      const timeoutMs = this.#timeoutMs(request)
      const timer = setTimeout(() => this.#stopWorker(tooSlow(request, timeoutMs)), timeoutMs)
      this.#pending = {
        id,
        resolve: (result) => {
          clearTimeout(timer)
          resolve(result)
        },
        reject: (error) => {
          clearTimeout(timer)
          reject(error)
        },
      }
      worker.post({ id, request })
    })
  }

  #start(): TextWorkerPort {
    const worker = this.#spawn()
    worker.onMessage((message) => {
      const pending = this.#pending
      if (pending === null || pending.id !== message.id || worker !== this.#worker) return
      this.#pending = null
      if ('error' in message) pending.reject(fromPlainError(message.error))
      else pending.resolve(message.result)
    })
    worker.onError((error) => {
      if (worker !== this.#worker) return
      this.#stopWorker(
        new SwarmError('BAD_TOKENIZER', `the tokenizer's worker failed: ${describeError(error)}`, {
          retryable: true,
          cause: error,
        }),
      )
    })
    return worker
  }

  #stopWorker(error: SwarmError): void {
    this.#worker?.terminate()
    this.#worker = null
    const pending = this.#pending
    this.#pending = null
    pending?.reject(error)
  }

  #timeoutMs(request: TextRequest): number {
    if (request.method === 'load') return this.#loadMs
    const chars =
      request.method === 'encode'
        ? request.args.text.length
        : request.args.messages.reduce((sum, message) => sum + message.content.length, 0)
    return this.#callMs + Math.floor(chars / CHARS_PER_EXTRA_SECOND) * 1_000
  }
}

function tooSlow(request: TextRequest, timeoutMs: number): SwarmError {
  if (request.method === 'render') {
    return new SwarmError('BAD_TEMPLATE', `the model's chat template ran for ${timeoutMs} ms and was stopped`, {
      action: 'Prompt without the template (raw), or choose another model.',
      details: { timeoutMs },
    })
  }
  const what = request.method === 'load' ? 'loading the tokenizer' : 'tokenizing the prompt'
  return new SwarmError('BAD_TOKENIZER', `${what} took more than ${timeoutMs} ms and was stopped`, {
    action: 'Choose another model.',
    details: { timeoutMs },
  })
}
