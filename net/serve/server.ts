/**
 * The serving end: takes sessions from requesting peers and steps from previous hops, checks who may send what, and gives
 * the steps to runners. It knows no libp2p: streams, records and the way to the next hop are handed in, so that it runs
 * in tests over streams in memory.
 */
import { jsonFrame, type Frame, type OpenedMessage } from '../../swarm/codec.ts'
import { SwarmError } from '../../swarm/errors.ts'
import {
  ATTACH_TIMEOUT_MS,
  MAX_KEPT_OUTPUT_BYTES,
  MAX_LOGITS_ROWS,
  OPEN_TIMEOUT_MS,
  SESSION_IDLE_MS,
  SESSION_LIFE_MS,
} from '../../swarm/limits.ts'
import type { PeerRecord } from '../../swarm/peer-record.ts'
import { PROTOCOL_VERSION } from '../../swarm/protocol.ts'
import { containsSpan, formatSpan, sameSpan, spanLength } from '../../swarm/span.ts'
import type { SpanRunner } from '../../swarm/span-runner.ts'
import type { FrameStream, InferenceServer } from '../types.ts'
import { pause } from '../pause.ts'
import { Batcher } from './batcher.ts'
import { checkAdmission } from './admission.ts'
import { HeldSessions } from './held-sessions.ts'
import { asSwarmError, HopSession, openedFrame, type HeldSession } from './hop-session.ts'
import { KeptOutputs, OutputBudget } from './kept-outputs.ts'
import { connectNext } from './next-hop.ts'
import { readOpen, type OpenRequest } from './open-message.ts'
import { Pacer } from './pacer.ts'
import { aside, blame, moved, refuse, seconds, stopped, timeout } from './refusals.ts'
import { SessionWaiters } from './session-waiters.ts'

export interface ServerOptions {
  selfId: string
  modelDigest: string
  weights: string
  backend: string
  simulateSpeed?: number
  /** What logits cost in steps of a block. */
  headSteps?: number
  /** Columns of hidden states; without it the runner checks them. */
  hiddenSize?: number
  /** Of hidden states that are kept for new next hops; default MAX_KEPT_OUTPUT_BYTES. */
  keptOutputBytes?: number
  /** Fresh, signature-checked record of a peer. */
  record: (peerId: string) => PeerRecord | undefined
  openPush: (peerId: string, signal: AbortSignal) => Promise<FrameStream>
  log: (text: string) => void
}

interface Slot {
  runner: SpanRunner
  batcher: Batcher
  isRetired: boolean
}

const WATCH_INTERVAL_MS = 2_000
/** How often a runner that is drained is looked at. */
const DRAIN_LOOK_MS = 250

export class FrameServer implements InferenceServer {
  readonly #options: ServerOptions
  readonly #pacer: Pacer | null
  readonly #slots: Slot[] = []
  readonly #sessions = new Map<string, HopSession>()
  /** Sessions being opened: they count against the limits and their ids are taken. */
  readonly #opening = new Map<string, string>()
  readonly #held: HeldSessions
  readonly #outputs: OutputBudget
  readonly #waiters = new SessionWaiters((id, epoch) => {
    const session = this.#sessions.get(id)
    return session !== undefined && session.epoch >= epoch ? session : undefined
  })
  readonly #listeners = new Set<() => void>()
  /** Sessions whose streams have ended, until their caches are freed or held; by id. */
  readonly #ended = new Map<string, Promise<void>>()
  readonly #watch: ReturnType<typeof setInterval>
  readonly #stats = {
    stepsServed: 0,
    tokensServed: 0,
    bytesIn: 0,
    bytesOut: 0,
    relayedIn: 0,
    relayedOut: 0,
    computeMs: 0,
  }
  #isStopped = false
  /** Why no new session is taken. */
  #refusal: SwarmError | null = null

  constructor(options: ServerOptions) {
    this.#options = options
    this.#held = new HeldSessions(() => this.#changed(), options.log)
    this.#outputs = new OutputBudget(options.keptOutputBytes ?? MAX_KEPT_OUTPUT_BYTES)
    this.#pacer = options.simulateSpeed === undefined ? null : new Pacer(options.simulateSpeed, options.headSteps)
    this.#watch = setInterval(() => this.#checkTimes(), WATCH_INTERVAL_MS)
  }

  addRunner(runner: SpanRunner): void {
    this.#slots.push({ runner, batcher: new Batcher(runner, this.#pacer), isRetired: false })
    this.#changed()
  }

  async drainRunner(runner: SpanRunner, { idleMs, signal }: { idleMs: number; signal: AbortSignal }): Promise<void> {
    this.#setRetired(runner, true)
    const isActive = ({ lastActivityAt }: HopSession): boolean => lastActivityAt >= performance.now() - idleMs
    while (!signal.aborted && this.#sessionsOf(runner).some(isActive)) await pause(DRAIN_LOOK_MS, signal)
  }

  takeBackRunner(runner: SpanRunner): void {
    this.#setRetired(runner, false)
  }

  async retireRunner(runner: SpanRunner): Promise<void> {
    const slot = this.#setRetired(runner, true)
    if (slot === undefined) return
    await this.#endBetweenSteps(this.#sessionsOf(runner), aside('moved to other blocks', this.#options.selfId))
    await this.#held.free((held) => held.runner === runner)
    this.#slots.splice(this.#slots.indexOf(slot), 1)
    this.#changed()
  }

  refuseSessions(because: string | null): void {
    this.#refusal = because === null ? null : aside(because, this.#options.selfId)
  }

  async handOver(because: string): Promise<void> {
    await this.#endBetweenSteps([...this.#sessions.values()], aside(because, this.#options.selfId))
    await this.#held.free(() => true)
    this.#changed()
  }

  activeSessions(ms: number): number {
    const since = performance.now() - ms
    return [...this.#sessions.values()].filter((session) => session.lastActivityAt >= since).length
  }

  stats(): ReturnType<InferenceServer['stats']> {
    const sessionBlocks = [...this.#sessions.values()].reduce((sum, { span }) => sum + spanLength(span), 0)
    return { sessions: this.#sessions.size, sessionBlocks, ...this.#stats }
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return
    this.#isStopped = true
    clearInterval(this.#watch)
    const leaving = stopped(this.#options.selfId)
    await Promise.all([...this.#sessions.values()].map((session) => session.fail(leaving)))
    await Promise.all(this.#ended.values())
    await this.#held.free(() => true)
  }

  /**
   * Tells requesting peers at once that their sessions end, and why: all, or those that nothing came from after `heardUntil`
   * (`performance.now`). New ones are taken as before.
   */
  endSessions(reason: SwarmError, heardUntil = Infinity): void {
    for (const session of this.#sessions.values()) {
      if (session.lastActivityAt <= heardUntil) void session.fail(reason)
    }
  }

  /** Of a stream's frames; `relayed` while they cross a relay. */
  countBytes(received: number, sent: number, relayed: boolean): void {
    this.#stats.bytesIn += received
    this.#stats.bytesOut += sent
    if (!relayed) return
    this.#stats.relayedIn += received
    this.#stats.relayedOut += sent
  }

  /** Serves one stream of a requesting peer until it ends. Never throws: what is wrong is told to the peer. */
  async serveRequester(stream: FrameStream): Promise<void> {
    let first: Frame | null = null
    let session: HopSession
    const startedAt = performance.now()
    try {
      first = await stream.receive(AbortSignal.timeout(OPEN_TIMEOUT_MS))
      if (first === null) return
      session = await this.#open(readOpen(first), stream)
    } catch (error) {
      await refuse(stream, first, asSwarmError(error))
      return
    }
    try {
      const nextDirect = await connectNext(session, stream.peerId, this.#options.openPush)
      const connectMs = Math.round(performance.now() - startedAt)
      const { weights, backend } = this.#options
      const version = PROTOCOL_VERSION
      const sessions = session.openedAfter
      await stream.send(
        openedFrame(session, {
          version,
          weights,
          backend,
          connectMs,
          sessions,
          logitsRows: MAX_LOGITS_ROWS,
          ...(nextDirect === null ? {} : { nextDirect }),
          resumes: true,
          ...openedWith(session),
        } satisfies OpenedMessage),
      )
      for (let frame = await stream.receive(); frame !== null; frame = await stream.receive()) {
        if (frame.type === 'close') break
        this.#fromRequester(session, frame, stream)
      }
      await session.end()
    } catch (error) {
      await session.fail(asSwarmError(error))
    }
  }

  /** Serves one push stream of a previous hop until it ends. A stream that may not attach is refused; no session suffers. */
  async servePush(stream: FrameStream): Promise<void> {
    let first: Frame | null = null
    let session: HopSession
    try {
      first = await stream.receive(AbortSignal.timeout(OPEN_TIMEOUT_MS))
      if (first === null) return
      session = await this.#attach(first, stream)
      await stream.send(jsonFrame('attached', session.id, session.epoch, {}))
    } catch (error) {
      await refuse(stream, first, asSwarmError(error))
      return
    }
    try {
      for (let frame = await stream.receive(); frame !== null; frame = await stream.receive()) {
        // A clean end: the requesting peer closes each hop itself.
        if (frame.type === 'close') return
        if (frame.session !== session.id) throw new SwarmError('BAD_FRAME', 'a frame of another session')
        if (frame.type === 'step') session.acceptStep(frame)
        else if (frame.type === 'ping') session.pong(frame, stream)
        else if (frame.type !== 'pong') throw new SwarmError('BAD_FRAME', `a ${frame.type} frame on a push stream`)
      }
      throw new SwarmError('PEER_LOST', 'the previous hop ended its stream', { retryable: true, peerId: stream.peerId })
    } catch (error) {
      if (session.isAttachedBy(stream)) await session.fail(blame(asSwarmError(error), stream.peerId))
    } finally {
      await stream.close().catch(() => undefined)
    }
  }

  async #open(request: OpenRequest, requester: FrameStream): Promise<HopSession> {
    // A step of the session before may run still.
    const ended = this.#ended.get(request.session)
    if (ended !== undefined) await ended
    if (this.#isStopped) throw stopped(this.#options.selfId)
    const before = this.#before(request, requester.peerId)
    const goesOn = before !== undefined && request.resume
    if (this.#refusal !== null && !goesOn) throw this.#refusal
    const owners = this.#owners()
    if (before !== undefined) owners.delete(request.session)
    else if (this.#held.get(request.session) !== undefined) owners.set(request.session, '')
    checkAdmission(request, requester.peerId, { ...this.#options, owners })
    const slot = this.#slotFor(request, goesOn ? before.runner : null)
    const { selfId } = this.#options
    // Records are a moment old: of several that come at once, each learns how many were before it.
    const openedAfter = owners.size
    this.#opening.set(request.session, requester.peerId)
    let session: HopSession
    try {
      const held = await this.#takeOver(before, goesOn)
      const kept = held?.length ?? (await this.#openAt(slot.runner, request, requester.peerId))
      session = new HopSession({
        request,
        kept,
        outputs: held?.outputs ?? new KeptOutputs(this.#outputs, kept),
        openedAfter,
        requester,
        runner: slot.runner,
        batcher: slot.batcher,
        selfId,
        hiddenSize: this.#options.hiddenSize ?? null,
        onServed: ({ rows, computeMs }) => {
          this.#stats.stepsServed += 1
          this.#stats.tokensServed += rows
          this.#stats.computeMs += computeMs
        },
        onEnd: (which, left) => this.#forget(which, left),
      })
      this.#sessions.set(session.id, session)
    } finally {
      this.#opening.delete(request.session)
    }
    this.#waiters.check()
    this.#changed()
    if ((slot.isRetired && !goesOn) || this.#isStopped) await session.fail(moved(request, selfId))
    else if (this.#refusal !== null && !goesOn) await session.fail(this.#refusal)
    return session
  }

  /** The same peer's session of that id, in an earlier epoch: open here, or held. */
  #before(
    { session: id, epoch, span, maxTokens }: OpenRequest,
    requesterId: string,
  ): HopSession | HeldSession | undefined {
    const live = this.#sessions.get(id)
    if (this.#opening.has(id) || (live !== undefined && live.epoch >= epoch)) return undefined
    const found = live ?? this.#held.get(id)
    const isSame = found?.requesterId === requesterId && sameSpan(found.span, span) && found.maxTokens >= maxTokens
    return isSame ? found : undefined
  }

  /** Of the session before: what goes on, or null once it is freed. */
  async #takeOver(before: HopSession | HeldSession | undefined, goesOn: boolean): Promise<HeldSession | null> {
    if (before === undefined) return null
    // What is handed on is held like what was lost, and taken from there.
    if (before instanceof HopSession) await before.handOn()
    if (goesOn) return this.#held.take(before.id) ?? null
    await this.#held.free(({ id }) => id === before.id)
    return null
  }

  /** Tokens that it begins with. What is held for routes that were lost makes room. */
  async #openAt(runner: SpanRunner, { session, span, maxTokens, prefix }: OpenRequest, owner: string): Promise<number> {
    const asked = { session, span, maxTokens, ...(prefix === null ? {} : { prefix: { ...prefix, owner } }) }
    try {
      return await runner.openSession(asked)
    } catch (error) {
      const isFull = error instanceof SwarmError && error.code === 'CACHE_FULL'
      if (!isFull || !(await this.#held.free((held) => held.runner === runner))) throw error
      return await runner.openSession(asked)
    }
  }

  #sessionsOf(runner: SpanRunner): HopSession[] {
    return [...this.#sessions.values()].filter((session) => session.runner === runner)
  }

  #setRetired(runner: SpanRunner, isRetired: boolean): Slot | undefined {
    const slot = this.#slots.find((candidate) => candidate.runner === runner)
    if (slot !== undefined) slot.isRetired = isRetired
    return slot
  }

  /** Each between two steps of its own: with several sessions the runner may never rest. */
  async #endBetweenSteps(sessions: readonly HopSession[], error: SwarmError): Promise<void> {
    await Promise.all(sessions.map((session) => session.failBetweenSteps(error)))
    await Promise.all(this.#ended.values())
  }

  /** Session id → requesting peer, sessions that are being opened included. */
  #owners(): Map<string, string> {
    const open = [...this.#sessions.values()].map((session) => [session.id, session.requesterId] as const)
    return new Map([...this.#opening, ...open])
  }

  /** `held`: where the session goes on; also at a runner that takes no new ones. */
  #slotFor(request: OpenRequest, held: SpanRunner | null): Slot {
    const fits = ({ runner, isRetired }: Slot): boolean =>
      held === null ? !isRetired && containsSpan(runner.span, request.span) : runner === held
    const slot = this.#slots.findLast(fits)
    if (slot === undefined) throw moved(request, this.#options.selfId)
    const { runner } = slot
    const endsWithHead = runner.hasHead && runner.span.end === request.span.end
    if (endsWithHead !== (request.next === null)) {
      const message = endsWithHead ? 'the last hop has no next one' : 'a hop before the last one needs a next one'
      throw new SwarmError('BAD_FRAME', `blocks ${formatSpan(request.span)}: ${message}`)
    }
    return slot
  }

  async #attach(frame: Frame, stream: FrameStream): Promise<HopSession> {
    if (frame.type !== 'attach') throw new SwarmError('BAD_FRAME', `a push stream begins with ${frame.type}`)
    const session = await this.#waiters.wait(frame.session, frame.epoch)
    if (session.previous !== stream.peerId) {
      throw new SwarmError('WRONG_PEER', 'another peer is the previous hop of this session', { peerId: stream.peerId })
    }
    if (frame.epoch !== session.epoch) throw new SwarmError('NO_SESSION', 'the session has another epoch')
    session.attachIncoming(stream)
    return session
  }

  /** @throws SwarmError for what ends the session */
  #fromRequester(session: HopSession, frame: Frame, stream: FrameStream): void {
    if (frame.session !== session.id) throw new SwarmError('BAD_FRAME', 'a frame of another session')
    session.touch()
    if (frame.type === 'step') {
      if (!session.takesFromRequester) {
        throw new SwarmError('WRONG_PEER', `steps of this session come from ${session.previous}`, {
          peerId: stream.peerId,
        })
      }
      session.acceptStep(frame)
    } else if (frame.type === 'moreLogits') session.moreLogits(frame)
    else if (frame.type === 'resend') session.resend(frame)
    else if (frame.type === 'truncate') session.truncate(frame)
    else if (frame.type === 'ping') session.pong(frame, stream)
    else if (frame.type !== 'pong') throw new SwarmError('BAD_FRAME', `a ${frame.type} frame from the requesting peer`)
  }

  #checkTimes(): void {
    const now = performance.now()
    for (const session of this.#sessions.values()) {
      const idleMs = now - session.lastActivityAt
      const ageMs = now - session.openedAt
      if (idleMs > SESSION_IDLE_MS) void session.fail(timeout(`nothing came for ${seconds(idleMs)}`))
      else if (ageMs > SESSION_LIFE_MS)
        void session.fail(timeout(`a session lives for at most ${seconds(SESSION_LIFE_MS)}`))
      else if (!session.isAttached && ageMs > ATTACH_TIMEOUT_MS) {
        void session.fail(
          blame(timeout(`the previous hop did not come within ${seconds(ATTACH_TIMEOUT_MS)}`), session.previous),
        )
      }
    }
  }

  #forget(session: HopSession, held: Promise<HeldSession | null>): void {
    this.#sessions.delete(session.id)
    const settled = held
      .then((kept) => {
        if (kept !== null) this.#held.keep(kept)
      })
      .catch((error: unknown) => this.#options.log(`closing a session failed: ${String(error)}`))
    this.#ended.set(session.id, settled)
    void settled.then(() => {
      if (this.#ended.get(session.id) === settled) this.#ended.delete(session.id)
      this.#changed()
    })
  }

  #changed(): void {
    for (const listener of this.#listeners) listener()
  }
}

/** What the requesting peer is told of the tokens that the session begins with. */
function openedWith({ goesOn, kept, outputsKept }: HopSession): Pick<OpenedMessage, 'kept' | 'held' | 'outputs'> {
  if (goesOn) return { held: kept, outputs: outputsKept }
  return kept === 0 ? {} : { kept }
}
