/**
 * One session at this hop: takes steps from the one peer that may send them, in order, gives them to the runner's queue
 * and sends what comes out to the next hop or back to the requesting peer. It ends once, for one reason, and frees the KV
 * cache then, unless a hop beside it was lost or the session goes on under a new epoch: what it holds is handed on. What is
 * wrong with a frame is thrown to the caller, who tells the requesting peer.
 */
import {
  assertFinite,
  emptyFrame,
  failureFrame,
  FLAG_ALL_ROWS,
  FLAG_CUT,
  FLAG_REPLAY,
  FLAG_TOP_K_MASK,
  FLAG_WANTS_LOGITS,
  hiddenPayload,
  jsonFrame,
  logitsRowsPayload,
  readHidden,
  readTokens,
  type Frame,
} from '../../swarm/codec.ts'
import { fromPlainError, SwarmError, toPlainError, type PlainError } from '../../swarm/errors.ts'
import { MAX_CHUNK_BYTES, MAX_QUEUED_STEPS, MAX_STEP_ROWS } from '../../swarm/limits.ts'
import { spanLength, type Span } from '../../swarm/span.ts'
import type { LogitsRow, SpanRunner, StepFailure, StepInput, StepOutput } from '../../swarm/span-runner.ts'
import type { FrameStream } from '../types.ts'
import type { Batcher, Job } from './batcher.ts'
import type { KeptOutputs } from './kept-outputs.ts'
import type { OpenRequest } from './open-message.ts'

/** What is left of a session at this hop when its streams have ended, for the one that goes on with it. */
export interface HeldSession {
  id: string
  requesterId: string
  span: Span
  maxTokens: number
  runner: SpanRunner
  /** Tokens whose keys and values the runner holds. */
  length: number
  outputs: KeptOutputs
}

export interface HopSessionOptions {
  request: OpenRequest
  /** Tokens that the runner began it with, or holds of it. */
  kept: number
  outputs: KeptOutputs
  /** Sessions that were at this hop before it. */
  openedAfter: number
  requester: FrameStream
  runner: SpanRunner
  batcher: Batcher
  selfId: string
  /** Columns of hidden states; null when unknown: the runner checks. */
  hiddenSize: number | null
  onServed: (output: StepOutput) => void
  /** The session is over here; called once. `held` settles with what is to be kept of it, or with null when its cache is freed. */
  onEnd: (session: HopSession, held: Promise<HeldSession | null>) => void
}

export class HopSession {
  readonly id: string
  readonly span: Span
  readonly previous: string
  readonly next: string | null
  readonly requesterId: string
  readonly runner: SpanRunner
  readonly openedAfter: number
  readonly kept: number
  readonly openedAt = performance.now()
  readonly #options: HopSessionOptions
  readonly maxTokens: number
  epoch: number
  lastActivityAt = performance.now()
  isEnded = false
  #expectedPosition: number
  /** Tokens that the runner has run. */
  #length: number
  #lastStep = -1
  #underWay = 0
  #pushIn: FrameStream | null = null
  #pushOut: FrameStream | null = null
  #sending: Promise<void> = Promise.resolve()
  #control: Promise<void> = Promise.resolve()
  #controls = 0

  constructor(options: HopSessionOptions) {
    const { request } = options
    this.#options = options
    this.id = request.session
    this.epoch = request.epoch
    this.span = request.span
    this.previous = request.previous
    this.next = request.next
    this.maxTokens = request.maxTokens
    this.requesterId = options.requester.peerId
    this.runner = options.runner
    this.openedAfter = options.openedAfter
    this.kept = options.kept
    this.#expectedPosition = options.kept
    this.#length = options.kept
  }

  /** The requesting peer itself sends the steps: it is the first hop, or stands between two that cannot connect. */
  get takesFromRequester(): boolean {
    return this.previous === this.requesterId
  }

  /** Whether the requesting peer asked for a session that goes on. */
  get goesOn(): boolean {
    return this.#options.request.resume
  }

  /** So many of its first tokens can be sent on again. */
  get outputsKept(): number {
    return this.#options.outputs.length
  }

  get isAttached(): boolean {
    return this.takesFromRequester || this.#pushIn !== null
  }

  attachIncoming(stream: FrameStream): void {
    this.#pushIn?.abort(new Error('attached again'))
    this.#pushIn = stream
    this.touch()
  }

  attachOutgoing(stream: FrameStream): void {
    this.#pushOut = stream
  }

  isAttachedBy(stream: FrameStream): boolean {
    return this.#pushIn === stream
  }

  touch(): void {
    this.lastActivityAt = performance.now()
  }

  /**
   * Late and repeated steps are dropped without a word; anything else that does not fit is refused.
   * @throws SwarmError BAD_FRAME, WRONG_POSITION, CACHE_FULL, BUSY, NOT_FINITE
   */
  acceptStep(frame: Frame): void {
    if (this.isEnded || frame.epoch < this.epoch || (frame.epoch === this.epoch && frame.step <= this.#lastStep)) return
    this.touch()
    if (frame.epoch > this.epoch) throw bad(`a step of epoch ${frame.epoch} in epoch ${this.epoch}`)
    const cuts = (frame.flags & FLAG_CUT) !== 0 && frame.position < this.#expectedPosition
    if (frame.position !== this.#expectedPosition && !cuts) {
      throw new SwarmError(
        'WRONG_POSITION',
        `a step at position ${frame.position}; this hop has ${this.#expectedPosition} tokens`,
        { details: { position: frame.position, expected: this.#expectedPosition } },
      )
    }
    if (frame.position + frame.rows > this.maxTokens) {
      throw new SwarmError(
        'CACHE_FULL',
        `${frame.position + frame.rows} tokens do not fit the KV cache of ${this.maxTokens} set aside for this session`,
      )
    }
    if (this.#underWay >= MAX_QUEUED_STEPS) {
      throw new SwarmError('BUSY', `${this.#underWay} steps of this session wait already`, { retryable: true })
    }
    const input = this.#inputOf(frame)
    if (cuts) input.cut = true
    this.#lastStep = frame.step
    this.#expectedPosition = frame.position + frame.rows
    this.#underWay += 1
    const job: Job = {
      input,
      blocks: spanLength(this.span),
      arrivedAtMs: performance.now(),
      done: (result) => this.#finish(frame, result),
    }
    if (this.#controls === 0) this.#options.batcher.enqueue(job)
    else this.#control = this.#control.then(() => this.#enqueueLater(job))
  }

  /** Forgets tokens from `frame.position` on; a higher epoch makes everything sent before it late. */
  truncate(frame: Frame): void {
    if (frame.epoch < this.epoch) return
    this.touch()
    this.epoch = frame.epoch
    this.#underWay -= this.#options.batcher.drop(this.id)
    const length = frame.position
    this.#expectedPosition = length
    this.#then(async () => {
      await this.runner.truncateSession(this.id, length)
      this.#length = length
      this.#options.outputs.cut(length)
      this.#send({ ...emptyFrame('truncated', this.id, this.epoch), step: frame.step, position: length })
    })
  }

  /** The logits of the session's last step again, with `frame.columns` of them (0: all). */
  moreLogits(frame: Frame): void {
    this.touch()
    if (this.next !== null) throw bad('more logits are asked of a hop that has none')
    this.#then(async () => {
      const row = await this.runner.lastLogits(this.id, { topK: frame.columns })
      this.#send(this.#logitsFrame(frame, [row], 0))
    })
  }

  /** Sends on once more what came out for `frame.rows` tokens from `frame.position` on: the next hop is a new one. */
  resend(frame: Frame): void {
    this.touch()
    if (this.next === null) throw bad('the last hop has nothing to send on')
    if (frame.rows < 1 || frame.rows > MAX_STEP_ROWS) throw bad(`${frame.rows} rows to send again`)
    const { step, position, rows } = frame
    this.#then(() => {
      const found = this.#options.outputs.rows(position, rows)
      if (found === null) throw new SwarmError('NO_SESSION', 'what was sent on before is not kept here')
      if (found.payload.byteLength > Math.max(MAX_CHUNK_BYTES, found.columns * 4)) throw bad(`${rows} rows in one step`)
      const base = { ...emptyFrame('step', this.id, this.epoch), flags: FLAG_REPLAY, step, position, rows }
      this.#send({ ...base, columns: found.columns, dtype: 'f32', payload: found.payload })
      return Promise.resolve()
    })
  }

  pong(frame: Frame, stream: FrameStream): void {
    const answer = { ...emptyFrame('pong', this.id, this.epoch), step: frame.step }
    stream.send(answer).catch(() => undefined)
  }

  /** Tells the requesting peer why this hop cannot go on, and ends. When a hop beside it was lost, what it holds is kept for a while. */
  async fail(error: SwarmError): Promise<void> {
    if (this.isEnded) return
    const frame = failureFrame(this.id, this.epoch, withPeer(toPlainError(error), this.#options.selfId))
    const { peerId = this.#options.selfId } = error
    const isLoss = error.code === 'PEER_LOST' || error.code === 'PEER_TIMEOUT'
    const isBeside = peerId !== this.requesterId && (peerId === this.previous || peerId === this.next)
    await this.#end(frame, isLoss && isBeside)?.streams
  }

  /** The same once the step under way, if there is one, is done and answered. */
  async failBetweenSteps(error: SwarmError): Promise<void> {
    await this.#options.batcher.idle(this.id)
    await this.fail(error)
  }

  /** Ends both streams and frees the cache. */
  async end(): Promise<void> {
    await this.#end(null, false)?.streams
  }

  /** Ends both streams, and resolves when the step under way, if there is one, is done and `onEnd` has what is held here. */
  async handOn(): Promise<void> {
    await this.#end(null, true)?.held
  }

  /** `last` is the frame that the requesting peer still gets. */
  #end(last: Frame | null, isKept: boolean): { held: Promise<HeldSession | null>; streams: Promise<void> } | null {
    if (this.isEnded) return null
    this.isEnded = true
    this.#options.batcher.drop(this.id)
    const held = this.#options.batcher
      .idle(this.id)
      .then(() => (isKept && this.#length > 0 ? this.#held() : this.#free()))
    this.#options.onEnd(this, held)
    return { held, streams: this.#endStreams(last, isKept) }
  }

  #held(): HeldSession {
    const { id, requesterId, span, maxTokens, runner } = this
    return { id, requesterId, span, maxTokens, runner, length: this.#length, outputs: this.#options.outputs }
  }

  async #free(): Promise<null> {
    this.#options.outputs.drop()
    await this.runner.closeSession(this.id)
    return null
  }

  async #endStreams(last: Frame | null, isKept: boolean): Promise<void> {
    const { requester } = this.#options
    const told = last === null ? Promise.resolve() : requester.send(last).catch(() => undefined)
    if (this.#pushOut !== null) void closePush(this.#pushOut, this.id, this.epoch)
    // The hop before this one goes on as well, then.
    if (this.#pushIn !== null && isKept) void closePush(this.#pushIn, this.id, this.epoch)
    else this.#pushIn?.close().catch(() => undefined)
    await told
    await requester.close().catch(() => undefined)
  }

  #inputOf(frame: Frame): StepInput {
    const input: StepInput = { session: this.id, position: frame.position, rows: frame.rows }
    if (this.span.start === 0) {
      input.tokens = readTokens(frame)
    } else {
      const { hiddenSize } = this.#options
      if (hiddenSize !== null && frame.columns !== hiddenSize) {
        throw bad(`hidden states of ${frame.columns} columns for a model of ${hiddenSize}`)
      }
      input.hidden = readHidden(frame)
      assertFinite(input.hidden)
    }
    if (this.next === null && (frame.flags & FLAG_WANTS_LOGITS) !== 0) {
      const topK = frame.flags & FLAG_TOP_K_MASK
      input.logits = wantsAllRows(frame) ? { topK, rows: frame.rows } : { topK }
    }
    return input
  }

  #finish(frame: Frame, result: StepOutput | StepFailure): void {
    this.#underWay -= 1
    if (!('error' in result)) {
      this.#length = frame.position + frame.rows
      if (result.hidden !== undefined) this.#options.outputs.put(frame.position, frame.rows, result.hidden)
    }
    if (this.isEnded) return
    if ('error' in result) {
      void this.fail(fromPlainError(result.error))
      return
    }
    this.#options.onServed(result)
    // A truncation came while the step ran: nobody waits for its outcome.
    if (frame.epoch < this.epoch) return
    try {
      this.#send(this.#answerOf(frame, result))
    } catch (error) {
      void this.fail(error as SwarmError)
    }
  }

  #answerOf(frame: Frame, output: StepOutput): Frame {
    const { epoch, step, position, rows, flags } = frame
    if (this.next === null) {
      if (output.logits !== undefined) {
        const found = [...(output.earlierLogits ?? []), output.logits]
        return this.#logitsFrame(frame, found, wantsAllRows(frame) ? FLAG_ALL_ROWS : 0)
      }
      return { ...emptyFrame('done', this.id, epoch), step, position, rows }
    }
    const { hidden } = output
    if (hidden === undefined) throw new SwarmError('GPU_LOST', 'the runner returned no hidden states')
    assertFinite(hidden)
    if ((flags & FLAG_REPLAY) !== 0 && this.#options.request.endsReplay) {
      return { ...emptyFrame('done', this.id, epoch), step, position, rows }
    }
    const columns = hidden.length / rows
    const base = { ...emptyFrame('step', this.id, epoch), flags, step, position, rows, columns }
    return { ...base, dtype: 'f32', payload: hiddenPayload(hidden) }
  }

  #logitsFrame({ epoch, step, position, rows }: Frame, found: readonly LogitsRow[], flags: number): Frame {
    const base = { ...emptyFrame('logits', this.id, epoch), flags, step, position, rows }
    const columns = found[0]?.ids.length ?? 0
    return { ...base, columns, dtype: 'logits', payload: logitsRowsPayload(found) }
  }

  /** In the order of the calls, without holding up the runner: it computes while the last result is on its way. */
  #send(frame: Frame): void {
    this.#sending = this.#sending.then(async () => {
      if (this.isEnded) return
      const isForNext = frame.type === 'step' && this.next !== this.requesterId
      const stream = isForNext ? this.#pushOut : this.#options.requester
      if (stream === null) throw new SwarmError('NO_SESSION', 'the next hop is not connected', { retryable: true })
      await stream.send(frame)
    })
    this.#sending = this.#sending.catch((error: unknown) => void this.fail(asSwarmError(error)))
  }

  /** A step that came behind a control must not overtake it. */
  #enqueueLater(job: Job): void {
    if (this.isEnded) this.#underWay -= 1
    else this.#options.batcher.enqueue(job)
  }

  /** After the steps before it: controls keep their place in the session's order. */
  #then(action: () => Promise<void>): void {
    this.#controls += 1
    this.#control = this.#control
      .then(() => this.#options.batcher.idle(this.id))
      .then(async () => {
        if (!this.isEnded) await action()
      })
      .catch((error: unknown) => void this.fail(asSwarmError(error)))
      .then(() => {
        this.#controls -= 1
      })
  }
}

function wantsAllRows({ flags }: Frame): boolean {
  return (flags & FLAG_ALL_ROWS) !== 0
}

export function openedFrame(session: HopSession, message: object): Frame {
  return jsonFrame('opened', session.id, session.epoch, message)
}

async function closePush(stream: FrameStream, session: string, epoch: number): Promise<void> {
  try {
    await stream.send(emptyFrame('close', session, epoch))
    await stream.close()
  } catch {
    // It is closing; that it broke on the way changes nothing.
  }
}

export function asSwarmError(error: unknown): SwarmError {
  return error instanceof SwarmError ? error : fromPlainError(toPlainError(error))
}

/** Whoever reads the failure learns whose it is: the peer it names, or this hop. */
function withPeer(error: PlainError, selfId: string): PlainError {
  return error.peerId === undefined ? { ...error, peerId: selfId } : error
}

function bad(message: string): SwarmError {
  return new SwarmError('BAD_FRAME', message)
}
