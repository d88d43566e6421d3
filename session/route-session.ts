/**
 * One session over one route: a stream to each hop, the KV cache they hold together, and the steps through them. Steps go
 * to the first hop, hidden states from hop to hop, and the last hop answers: `done` for a prefill chunk, logits where
 * they were asked for. Everything received is checked. The first loss or fault ends the whole session; going on is the
 * caller's concern (`recover.ts`).
 *
 * Longer than most files here: opening, steps, cuts and replays all change what is under way and what the hops hold, and keep it true together.
 */
import type { SwarmNode } from '../net/types.ts'
import {
  emptyFrame,
  FLAG_ALL_ROWS,
  FLAG_CUT,
  FLAG_REPLAY,
  FLAG_TOP_K_MASK,
  FLAG_WANTS_LOGITS,
  jsonFrame,
  tokensPayload,
  type Frame,
  type OpenMessage,
  type PrefixMessage,
} from '../swarm/codec.ts'
import { assert, SwarmError } from '../swarm/errors.ts'
import { DIAL_TOTAL_MS, MAX_CHUNK_BYTES, OPEN_TIMEOUT_MS } from '../swarm/limits.ts'
import type { RouteHop } from '../swarm/planner/types.ts'
import { PROTOCOL_VERSION } from '../swarm/protocol.ts'
import type { LogitsRow } from '../swarm/span-runner.ts'
import { FrameWaiters } from './frame-waiters.ts'
import { HopStream, asLoss } from './hop-stream.ts'
import { readLogitsRows } from './logits-row.ts'
import { readOpened, type Opened } from './opened.ts'
import type { PromptModel, ServedHop } from './types.ts'

export interface RouteSessionOptions {
  node: SwarmNode
  model: Pick<PromptModel, 'id' | 'vocabSize' | 'hiddenSize'>
  hops: readonly RouteHop[]
  /** 32 lower-case hex digits, random: nobody else may guess it. */
  session: string
  epoch: number
  /** KV cache to set aside at each hop, in tokens. */
  maxTokens: number
  /** Monotonic ms. */
  now: () => number
  signal: AbortSignal
  /** Pairs of hops that cannot connect to each other (`pairOf`): this peer carries the hidden states between them. */
  forwarded?: ReadonlySet<string>
  /** What will run first, and its names for each hop: the session begins with what all hops have kept of it. */
  prefix?: { ids: readonly number[]; messages: readonly PrefixMessage[] }
  /** The session goes on that a hop was lost of, under its id and a higher epoch. */
  resume?: Resume
}

export interface Resume {
  /** Hops that hold it, with the same spans as before; the others are new. */
  peers: ReadonlySet<string>
  /** What it has run and what begins the answer still: the first of these are not run again. */
  tokens: readonly number[]
  /** Where the chunks ended that they came in. */
  chunkEnds: readonly number[]
  /** A hop of this session failed: what the peers hold is open still, and is to be closed by the caller. */
  onFailedTry: (session: RouteSession) => void
}

export function pairOf(peerId: string, next: string): string {
  return `${peerId} ${next}`
}

/**
 * Rows of a prefill chunk where MAX_CHUNK_BYTES allows more: a chunk should take a hop some 100 ms, so that decode steps
 * of other sessions pass between two.
 */
const MAX_CHUNK_ROWS = 128
const MIN_CHUNK_ROWS = 16
const CHUNKS_IN_FLIGHT = 2
/** A hop dials its next hop before it answers. */
const OPEN_DEADLINE_MS = OPEN_TIMEOUT_MS + DIAL_TOTAL_MS
/**
 * Every hop answers pings and still no answer to a step: the step itself was lost between two of them. Far beyond what a
 * software adapter needs for a chunk, and beyond 20 × the slowest step seen.
 */
const STALL_MS = 120_000
const STALL_FACTOR = 20

export class RouteSession {
  readonly hops: readonly RouteHop[]
  readonly maxTokens: number
  /** Weight formats and adapter kinds of the hops, without repeats: `f32` or `f32+f16`. */
  weights = ''
  backend = ''
  /** The hops with what each said of itself. */
  servedHops: readonly ServedHop[] = []
  /** Rows of a `tryRows` step: 1 where a hop knows none of it. */
  maxTryRows = 1
  /** By hop: how many other sessions it had when it opened this one. A hop that does not say is left out. */
  readonly sessionsBefore = new Map<string, number>()
  readonly #options: RouteSessionOptions
  /** By hop; a hop that was never reached leaves a hole. */
  readonly #streams: (HopStream | undefined)[] = []
  readonly #tokens: number[] = []
  /** Where the chunks ended that `#tokens` came in. */
  readonly #chunkEnds: number[] = []
  readonly #waiters = new FrameWaiters()
  #step = 0
  /** The hops may hold more than `#tokens`: the next step says so. */
  #mustCut = false
  /** New hops that lack what runs no more at the others: first and last of each run of them. */
  #gaps: [first: number, last: number][] = []
  /** By hop: whether a session there can go on after the loss of another hop. */
  #resumable: readonly boolean[] = []
  #slowestStepMs = 0
  /** Hops that reach their next one through a relay. */
  readonly #relaysOn = new Set<number>()
  #error: SwarmError | null = null
  #unsubscribe: () => void = () => undefined

  private constructor(options: RouteSessionOptions) {
    this.#options = options
    this.hops = options.hops
    this.maxTokens = options.maxTokens
  }

  /** @throws SwarmError with the `peerId` at fault; CANCELLED when the signal aborts. Nothing is left open then. */
  static async open(options: RouteSessionOptions): Promise<RouteSession> {
    const session = new RouteSession(options)
    try {
      await session.#open()
      return session
    } catch (error) {
      const { resume } = options
      await session.#close((hop) => resume?.peers.has(hop.peerId) !== true)
      resume?.onFailedTry(session)
      throw error
    }
  }

  /** Tokens whose keys and values the hops hold. */
  get tokens(): readonly number[] {
    return this.#tokens
  }

  /** Positions at which its chunks ended, in order; of a truncated session those that are left. */
  get chunkEnds(): readonly number[] {
    return this.#chunkEnds
  }

  /** Why the session is over; null while it lives. */
  get error(): SwarmError | null {
    return this.#error
  }

  /** Whether nothing is under way: only then is it known what the hops hold. */
  get isIdle(): boolean {
    return this.#waiters.isEmpty
  }

  get id(): string {
    return this.#options.session
  }

  /** Tokens that some hops have not run and the others need not run again: `fillGaps` before anything else. */
  get gapTokens(): number {
    return this.#gaps.length * this.#tokens.length
  }

  /** Whether its session at the peer can go on after the loss of another hop. */
  canResume(peerId: string): boolean {
    return this.#resumable[this.hops.findIndex((hop) => hop.peerId === peerId)] === true
  }

  /** By hop: whether its own connection to this peer and the one to its next hop are both direct. */
  get direct(): boolean[] {
    return this.#streams.map(
      (stream, hop) => stream?.direct === true && !this.#isForwarded(hop) && !this.#relaysOn.has(hop),
    )
  }

  /** Since the peer was last heard, ms; 0 for a peer that is not on the route. */
  silenceMs(peerId: string): number {
    return this.#streams.find((stream) => stream?.hop.peerId === peerId)?.silenceMs ?? 0
  }

  /**
   * Runs all of `ids` that the hops do not hold yet and returns the logits after the last one. Yields after each prefill
   * chunk but the last. `ids` must begin with `tokens` and be longer. No chunk goes past one of `ends`: given those of a session
   * that was lost, the same chunks run again.
   */
  async *feed(
    ids: readonly number[],
    topK: number,
    ends: readonly number[] = [],
  ): AsyncGenerator<{ done: number; total: number }, LogitsRow> {
    assert(ids.length > this.#tokens.length, 'nothing to run')
    assert(ids.length <= this.maxTokens, `${ids.length} tokens in a session of ${this.maxTokens}`)
    const total = ids.length - this.#tokens.length
    const inFlight: { answer: Promise<Frame>; rows: number }[] = []
    let done = 0
    for (;;) {
      const begin = this.#tokens.length
      const end = ends.find((candidate) => candidate > begin) ?? Infinity
      const chunk = ids.slice(begin, Math.min(begin + this.#chunkRows(), end))
      const isLast = this.#tokens.length + chunk.length === ids.length
      const answer = this.#sendStep(chunk, isLast ? topK : null)
      if (isLast) {
        for (const earlier of inFlight) await earlier.answer
        return (await this.#readLogits(answer, topK, 1))[0] as LogitsRow
      }
      inFlight.push({ answer, rows: chunk.length })
      if (inFlight.length >= CHUNKS_IN_FLIGHT) {
        const first = inFlight.shift() as { answer: Promise<Frame>; rows: number }
        await first.answer
        done += first.rows
        yield { done, total }
      }
    }
  }

  /**
   * Runs at the new hops what the session had run: from the ids, or from what the hop before them sends on once more. Yields after each
   * chunk; `ends` as for `feed`.
   */
  async *fillGaps(ends: readonly number[] = []): AsyncGenerator<{ done: number; total: number }, void> {
    const total = this.gapTokens
    const length = this.#tokens.length
    let done = 0
    for (const [first, last] of this.#gaps) {
      const inFlight: { answer: Promise<Frame>; rows: number }[] = []
      for (let begin = 0; begin < length || inFlight.length > 0;) {
        if (begin < length && inFlight.length < CHUNKS_IN_FLIGHT) {
          const end = Math.min(
            begin + this.#chunkRows(),
            length,
            ends.find((candidate) => candidate > begin) ?? Infinity,
          )
          inFlight.push({ answer: this.#sendReplay(first, last, begin, end), rows: end - begin })
          begin = end
          continue
        }
        const { answer, rows } = inFlight.shift() as { answer: Promise<Frame>; rows: number }
        await answer
        done += rows
        yield { done, total }
      }
    }
    this.#gaps = []
  }

  /** The last step's logits again, more of them. `topK` 0: the whole row. */
  async moreLogits(topK: number): Promise<LogitsRow> {
    const { session, epoch } = this.#options
    const answer = this.#expect(this.hops.length - 1, 'logits', this.#step)
    this.#last.send({ ...emptyFrame('moreLogits', session, epoch), step: this.#step, columns: topK })
    return (await this.#readLogits(answer, topK, 1))[0] as LogitsRow
  }

  /**
   * Runs `tokens`, of which the later ones are guesses, in one step and returns the logits after each. At most `maxTryRows`; `topK` is
   * 1 to MAX_TOP_K.
   */
  async tryRows(tokens: readonly number[], topK: number): Promise<LogitsRow[]> {
    assert(tokens.length <= this.maxTryRows, `${tokens.length} rows to try, the hops take ${this.maxTryRows}`)
    assert(this.#tokens.length + tokens.length <= this.maxTokens, 'guesses past the end of the session')
    return await this.#readLogits(this.#sendStep(tokens, topK, true), topK, tokens.length)
  }

  /** Forgets tokens from `length` on with the next step, without a round trip of its own. Only where `maxTryRows` is above 1. */
  rewind(length: number): void {
    assert(this.isIdle && this.maxTryRows > 1, 'between steps, where every hop takes steps that cut')
    this.#forget(length)
    this.#mustCut = true
  }

  /** Forgets tokens from `length` on, at every hop. */
  async truncate(length: number): Promise<void> {
    assert(this.isIdle && length <= this.#tokens.length, 'truncate to what is held, between steps')
    await this.#cut([...this.hops.keys()], length)
    this.#forget(length)
  }

  /** Frees the cache at every hop; resolves within half a second and never rejects. */
  async close(): Promise<void> {
    await this.#close(() => true)
  }

  async #close(isMeant: (hop: RouteHop) => boolean): Promise<void> {
    this.#end(new SwarmError('CANCELLED', 'the session is over'))
    const streams = this.#streams.filter((stream) => stream !== undefined)
    await Promise.all(streams.filter(({ hop }) => isMeant(hop)).map((stream) => stream.close()))
  }

  #forget(length: number): void {
    this.#tokens.length = length
    while ((this.#chunkEnds.at(-1) ?? 0) > length) this.#chunkEnds.pop()
  }

  #hop(index: number): RouteHop {
    return this.hops[index] as RouteHop
  }

  get #last(): HopStream {
    return this.#streams.at(-1) as HopStream
  }

  async #cut(hops: readonly number[], length: number): Promise<void> {
    const { session, epoch } = this.#options
    const answers = hops.map((hop) => this.#expect(hop, 'truncated', null))
    for (const hop of hops) {
      this.#streams[hop]?.send({ ...emptyFrame('truncate', session, epoch), position: length })
    }
    for (const [i, { position }] of (await Promise.all(answers)).entries()) {
      if (position === length) continue
      const { peerId } = this.#hop(hops[i] as number)
      throw this.#fault(badFrame(`it forgot tokens from ${position} on, ${length} was asked`, peerId))
    }
  }

  /** All hops at once: each one waits for its previous hop as long as that one takes to dial it. */
  async #open(): Promise<void> {
    const { node, hops, signal } = this.#options
    this.#unsubscribe = node.onPeerLost((peerId, reason) => {
      const stream = this.#streams.find((candidate) => candidate?.hop.peerId === peerId)
      stream?.fail(new SwarmError('PEER_LOST', `the peer is gone (${reason})`, { peerId, retryable: true }))
    })
    const dialling = new AbortController()
    const cancel = (): void => this.#end(new SwarmError('CANCELLED', 'cancelled'))
    signal.addEventListener('abort', cancel, { once: true })
    if (signal.aborted) cancel()
    try {
      const opened = await Promise.all(hops.map((_, index) => this.#openHop(index, dialling.signal)))
      this.#learn(opened)
      const { resume } = this.#options
      if (resume === undefined) await this.#beginWith(opened.map((message, hop) => this.#keptAt(hop, message.kept)))
      else await this.#goOnWith(resume, opened)
    } catch (error) {
      this.#end(asLoss(error, ''))
      dialling.abort()
      throw this.#error ?? error
    } finally {
      signal.removeEventListener('abort', cancel)
    }
  }

  #learn(opened: readonly Opened[]): void {
    this.weights = distinct(opened.map(({ weights }) => weights))
    this.backend = distinct(opened.map(({ backend }) => backend))
    this.servedHops = opened.map(({ weights, backend }, index) => ({ ...this.#hop(index), weights, backend }))
    this.maxTryRows = Math.min(...opened.map(({ tryRows }) => tryRows))
    this.#resumable = opened.map(({ resumes }) => resumes)
    for (const [index, { isNextRelayed, sessions }] of opened.entries()) {
      if (isNextRelayed) this.#relaysOn.add(index)
      if (sessions !== null) this.sessionsBefore.set(this.#hop(index).peerId, sessions)
    }
  }

  async #openHop(index: number, signal: AbortSignal): Promise<Opened> {
    const { node, model, hops, session, epoch, maxTokens, prefix, now } = this.#options
    const hop = this.#hop(index)
    if (this.#error !== null) throw this.#error
    try {
      const opened = await node.openInference(hop.peerId, signal)
      const stream = new HopStream(opened, hop, { session, epoch }, now, {
        onFrame: (frame) => this.#take(index, frame),
        onLost: (error) => this.#end(this.#withCulprit(error, hop.peerId)),
        isWaiting: () => !this.isIdle,
      })
      this.#streams[index] = stream
      if (this.#error !== null) {
        // Another hop failed meanwhile: the session may have been closed before this stream came.
        await stream.close()
        throw this.#error
      }
      const message: OpenMessage = {
        version: PROTOCOL_VERSION,
        modelDigest: model.id.digest,
        start: hop.span.start,
        end: hop.span.end,
        previous: index === 0 || this.#isForwarded(index - 1) ? node.peerId : this.#hop(index - 1).peerId,
        next: this.#isForwarded(index) ? node.peerId : (hops[index + 1]?.peerId ?? null),
        maxTokens,
        dtype: 'f32',
        ...(prefix === undefined ? {} : { prefix: prefix.messages[index] as PrefixMessage }),
        ...(this.#holds(index) ? { resume: true } : {}),
        ...(!this.#holds(index) && this.#holds(index + 1) ? { endsReplay: true } : {}),
      }
      const answer = this.#expect(index, 'opened', null, OPEN_DEADLINE_MS)
      stream.send(jsonFrame('open', session, epoch, message))
      const reply = readOpened(await answer)
      stream.startPulse()
      return reply
    } catch (error) {
      throw asLoss(error, hop.peerId)
    }
  }

  /** Tokens that a hop says the session begins with there. @throws SwarmError BAD_FRAME for what it cannot have */
  #keptAt(hop: number, kept: unknown): number {
    if (kept === undefined) return 0
    const message = this.#options.prefix?.messages[hop]
    const { stride, names } = message ?? { stride: 1, names: [] }
    const isPossible = typeof kept === 'number' && kept >= 0 && kept % stride === 0 && kept / stride <= names.length
    if (isPossible) return kept
    throw badFrame(`it has kept ${JSON.stringify(kept)} tokens of a prefix`, this.#hop(hop).peerId)
  }

  /** What only some hops have kept is of no use: it would have to come from those before them. */
  async #beginWith(kept: readonly number[]): Promise<void> {
    const shared = Math.min(...kept)
    await this.#cut(
      [...kept.keys()].filter((hop) => kept[hop] !== shared),
      shared,
    )
    if (shared === 0) return
    this.#tokens.push(...(this.#options.prefix?.ids.slice(0, shared) ?? []))
    this.#chunkEnds.push(shared)
  }

  /** Whether the hop goes on with what it holds of the session. */
  #holds(index: number): boolean {
    const peerId = this.hops[index]?.peerId
    return peerId !== undefined && this.#options.resume?.peers.has(peerId) === true
  }

  /**
   * As far as all hops hold it that were there before. Where one before a new hop cannot send on again what it sent, or a new one would
   * send it on to one that has it, everything runs anew.
   */
  async #goOnWith({ tokens, chunkEnds }: Resume, opened: readonly Opened[]): Promise<void> {
    const heldAt = (hop: number): number => opened[hop]?.held ?? 0
    const holding = [...this.hops.keys()].filter((hop) => this.#holds(hop))
    const gaps: [number, number][] = []
    for (const hop of this.hops.keys()) {
      const gap = gaps.at(-1)
      if (this.#holds(hop)) continue
      if (gap !== undefined && gap[1] === hop - 1) gap[1] = hop
      else gaps.push([hop, hop])
    }
    const held = Math.min(tokens.length, ...holding.map(heldAt))
    const isSentOn = gaps.every(([first]) => first === 0 || (opened[first - 1]?.outputs ?? 0) >= held)
    const ends = gaps.every(([, last]) => last === this.hops.length - 1 || this.#resumable[last] === true)
    const length = isSentOn && ends ? held : 0
    await this.#cut(
      holding.filter((hop) => heldAt(hop) !== length),
      length,
    )
    if (length === 0) return
    this.#tokens.push(...tokens.slice(0, length))
    this.#chunkEnds.push(...chunkEnds.filter((end) => end < length), length)
    this.#gaps = gaps
  }

  /** Whether this peer carries the hidden states between hop `index` and the next one. */
  #isForwarded(index: number): boolean {
    const { hops, forwarded } = this.#options
    const next = hops[index + 1]
    return next !== undefined && forwarded?.has(pairOf(this.#hop(index).peerId, next.peerId)) === true
  }

  #chunkRows(): number {
    const { hiddenSize } = this.#options.model
    if (hiddenSize === undefined) return MIN_CHUNK_ROWS
    return Math.max(1, Math.min(MAX_CHUNK_ROWS, Math.floor(MAX_CHUNK_BYTES / (hiddenSize * 4))))
  }

  /** `topK` null: no logits wanted. */
  #sendStep(tokens: readonly number[], topK: number | null, allRows = false): Promise<Frame> {
    if (this.#error !== null) return Promise.reject(this.#error)
    const { now } = this.#options
    this.#step += 1
    const startedMs = now()
    const answer = this.#expect(this.hops.length - 1, topK === null ? 'done' : 'logits', this.#step).then((frame) => {
      this.#slowestStepMs = Math.max(this.#slowestStepMs, now() - startedMs)
      return frame
    })
    // With several in flight the first rejection is reported; the others must not count as unhandled.
    answer.catch(() => null)
    const flags = flagsOf(topK) | (allRows ? FLAG_ALL_ROWS : 0) | (this.#mustCut ? FLAG_CUT : 0)
    const first = this.#streams[0] as HopStream
    first.send(
      this.#tokensFrame(tokens, { step: this.#step, position: this.#tokens.length, rows: tokens.length, flags }),
    )
    this.#mustCut = false
    this.#tokens.push(...tokens)
    this.#chunkEnds.push(this.#tokens.length)
    return answer
  }

  /** Tokens from `begin` to `end` at the new hops from `first` to `last`. */
  #sendReplay(first: number, last: number, begin: number, end: number): Promise<Frame> {
    if (this.#error !== null) return Promise.reject(this.#error)
    const { session, epoch } = this.#options
    this.#step += 1
    const answer = this.#expect(last, 'done', this.#step)
    answer.catch(() => null)
    const rows = { step: this.#step, position: begin, rows: end - begin }
    if (first > 0) this.#streams[first - 1]?.send({ ...emptyFrame('resend', session, epoch), ...rows })
    else this.#streams[0]?.send(this.#tokensFrame(this.#tokens.slice(begin, end), { ...rows, flags: FLAG_REPLAY }))
    return answer
  }

  #tokensFrame(tokens: readonly number[], fields: Pick<Frame, 'step' | 'position' | 'rows' | 'flags'>): Frame {
    const { session, epoch } = this.#options
    const payload = tokensPayload(Uint32Array.from(tokens))
    return { ...emptyFrame('step', session, epoch), ...fields, columns: 1, dtype: 'u32', payload }
  }

  async #readLogits(answer: Promise<Frame>, topK: number, rows: number): Promise<LogitsRow[]> {
    const frame = await answer
    try {
      return readLogitsRows(frame, { vocabSize: this.#options.model.vocabSize, topK, rows })
    } catch (error) {
      throw this.#fault(asLoss(error, this.#last.hop.peerId))
    }
  }

  #expect(
    hop: number,
    type: Frame['type'],
    step: number | null,
    deadlineMs: number = Math.max(STALL_MS, this.#slowestStepMs * STALL_FACTOR),
  ): Promise<Frame> {
    if (this.#error !== null) return Promise.reject(this.#error)
    return this.#waiters.expect({ hop, type, step }, deadlineMs, () => {
      const { peerId } = this.#hop(hop)
      this.#end(new SwarmError('PEER_TIMEOUT', `no ${type} for ${deadlineMs} ms`, { peerId, retryable: true }))
    })
  }

  /** @throws SwarmError BAD_FRAME: the hop stream then reports the loss. */
  #take(hop: number, frame: Frame): void {
    if (frame.type === 'step') {
      if (!this.#isForwarded(hop) || frame.step < 1 || frame.step > this.#step) {
        throw badFrame('a step that is not for this peer', this.#hop(hop).peerId)
      }
      this.#streams[hop + 1]?.send(frame)
      return
    }
    if (this.#waiters.take(hop, frame)) return
    const isAnswer = frame.type === 'done' || frame.type === 'logits'
    const isLate = isAnswer && frame.step >= 1 && frame.step <= this.#step && hop === this.hops.length - 1
    if (isLate && !this.#waiters.awaitsStep(frame.step)) return // answered before: dropped
    throw badFrame(`an unexpected ${frame.type} frame (step ${frame.step})`, this.#hop(hop).peerId)
  }

  /** A hop may name another hop as the one at fault (its next hop is gone), but nobody outside the route. */
  #withCulprit(error: SwarmError, sender: string): SwarmError {
    if (this.hops.some((hop) => hop.peerId === error.peerId)) return error
    return new SwarmError(error.code, error.message, { peerId: sender, retryable: error.retryable, cause: error })
  }

  #fault(error: SwarmError): SwarmError {
    this.#end(error)
    return error
  }

  /** The first reason stays. Streams are closed by `close`. */
  #end(error: SwarmError): void {
    if (this.#error !== null) return
    this.#error = error
    this.#unsubscribe()
    this.#waiters.rejectAll(error)
  }
}

function flagsOf(topK: number | null): number {
  return topK === null ? 0 : FLAG_WANTS_LOGITS | (topK & FLAG_TOP_K_MASK)
}

function badFrame(message: string, peerId: string): SwarmError {
  return new SwarmError('BAD_FRAME', message, { peerId, retryable: true })
}

function distinct(words: readonly string[]): string {
  return [...new Set(words.map((word) => word || '?'))].join('+')
}
