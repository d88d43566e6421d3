/**
 * A swarm in memory: a `SwarmNode` whose peers speak the inference protocol over queues, with faults to order. Frames go
 * through the real codec. Frames are delivered in microtasks, or after delays that a test draws: frames of one channel stay
 * in order, those of different channels overtake each other.
 */
import type { Directory, FrameStream, LossReason, SwarmNode } from '../../../../net/types.ts'
import {
  decodeFrame,
  emptyFrame,
  encodeFrame,
  failureFrame,
  FLAG_ALL_ROWS,
  FLAG_CUT,
  FLAG_TOP_K_MASK,
  FLAG_WANTS_LOGITS,
  hiddenPayload,
  jsonFrame,
  logitsRowsPayload,
  readHidden,
  readJson,
  readTokens,
  type Frame,
  type OpenMessage,
} from '../../../../swarm/codec.ts'
import { SwarmError, toPlainError } from '../../../../swarm/errors.ts'
import type { PeerRecord } from '../../../../swarm/peer-record.ts'
import type { Span } from '../../../../swarm/span.ts'
import { embed, FakeCache, logitsOf } from './fake-engine.ts'

export const FAKE_DIGEST = 'd'.repeat(32)

/** Where a fault strikes: before the peer handles this frame (counted from 1 among the frames of that type it gets). */
export interface Fault {
  peerId: string
  on: 'dial' | Frame['type']
  nth: number
  /**
   * close: the connection breaks. hang: it answers nothing from here on, pings neither. refuse: a failure frame with
   * `code`. garbage: a wrong frame in place of the answer. late: an old answer again before the right one.
   */
  kind: 'close' | 'hang' | 'refuse' | 'garbage' | 'late'
  code?: 'BUSY' | 'CACHE_FULL' | 'PEER_REFUSED' | 'NOT_FINITE'
}

interface HopSession {
  open: OpenMessage
  cache: FakeCache
  send: (frame: Frame) => void
  lastHidden: number
  requester: FakeStream
}

export class FakePeer {
  readonly sessions = new Map<string, HopSession>()
  readonly counts = new Map<string, number>()
  rowsRun = 0
  /** Every step that it ran. */
  readonly steps: { position: number; rows: number }[] = []
  /** Steps that forgot tokens first. */
  cuts = 0
  hung = false
  readonly swarm: FakeSwarm
  readonly peerId: string
  readonly span: Span

  constructor(swarm: FakeSwarm, peerId: string, span: Span) {
    this.swarm = swarm
    this.peerId = peerId
    this.span = span
  }

  /** The fault that strikes now, used up. */
  strike(on: Fault['on']): Fault | undefined {
    const count = (this.counts.get(on) ?? 0) + 1
    this.counts.set(on, count)
    const index = this.swarm.faults.findIndex((f) => f.peerId === this.peerId && f.on === on && f.nth === count)
    return index === -1 ? undefined : this.swarm.faults.splice(index, 1)[0]
  }

  receive(frame: Frame, stream: FakeStream): void {
    if (this.hung) return
    const fault = this.strike(frame.type)
    if (fault?.kind === 'close') return this.swarm.lose(this.peerId)
    if (fault?.kind === 'hang') {
      this.hung = true
      return
    }
    if (fault?.kind === 'refuse') {
      const error = new SwarmError(fault.code ?? 'BUSY', 'ordered by the test', { retryable: true })
      this.sessions.delete(frame.session)
      return stream.deliver(failureFrame(frame.session, frame.epoch, toPlainError(error)))
    }
    if (fault?.kind === 'garbage') {
      return stream.deliver({ ...emptyFrame('done', frame.session, frame.epoch), step: 4_000_000 })
    }
    if (fault?.kind === 'late') stream.deliver({ ...emptyFrame('done', frame.session, frame.epoch), step: 1 })
    this.#handle(frame, stream)
  }

  /** A requesting peer's stream ended: so do its sessions. */
  forget(stream: FakeStream): void {
    for (const [id, session] of this.sessions) if (session.requester === stream) this.sessions.delete(id)
  }

  #handle(frame: Frame, stream: FakeStream): void {
    const { session: id, epoch } = frame
    // As in the product: before a hop has opened, it reads nothing but the open frame.
    if (frame.type === 'ping' && !this.sessions.has(id)) return
    if (frame.type === 'ping') return stream.deliver({ ...emptyFrame('pong', id, epoch), step: frame.step })
    if (frame.type === 'open') return this.#open(frame, stream)
    if (frame.type === 'close') {
      this.sessions.delete(id)
      return
    }
    const session = this.sessions.get(id)
    if (session === undefined)
      return stream.deliver(failureFrame(id, epoch, toPlainError(new SwarmError('NO_SESSION', 'unknown'))))
    if (frame.type === 'truncate') {
      session.cache.truncate(frame.position)
      return stream.deliver({ ...emptyFrame('truncated', id, epoch), position: frame.position })
    }
    if (frame.type === 'moreLogits') {
      this.swarm.askedAgain += 1
      return this.#answer(frame, session, [session.lastHidden], frame.columns)
    }
    if (frame.type === 'step') this.#step(frame, session)
  }

  #open(frame: Frame, stream: FakeStream): void {
    const open = readJson(frame) as unknown as OpenMessage
    const { next } = open
    const isForwarded = next === 'requester'
    const strangerFor = this.swarm.strangers.get(`${this.peerId} ${next}`) ?? 0
    if (!isForwarded && strangerFor > 0) {
      this.swarm.strangers.set(`${this.peerId} ${next}`, strangerFor - 1)
      const error = new SwarmError('WRONG_PEER', 'no fresh record of the next hop', { peerId: next ?? '' })
      return stream.deliver(failureFrame(frame.session, frame.epoch, toPlainError(error)))
    }
    if (next !== null && !isForwarded && this.swarm.cannotConnect.has(`${this.peerId} ${next}`)) {
      const error = new SwarmError('DIAL_FAILED', 'both are behind hard NATs', { peerId: next })
      return stream.deliver(failureFrame(frame.session, frame.epoch, toPlainError(error)))
    }
    const sessions = this.sessions.size
    const { weights, backend } = this.swarm.recordOf(this.peerId)
    this.sessions.set(frame.session, {
      open,
      cache: new FakeCache({ start: open.start, end: open.end }),
      send: (answer) => stream.deliver(answer),
      lastHidden: 0,
      requester: stream,
    })
    stream.deliver(
      jsonFrame('opened', frame.session, frame.epoch, {
        version: '1.0',
        weights,
        backend,
        connectMs: 0,
        sessions,
        ...(this.swarm.withoutRows.has(this.peerId) ? {} : { logitsRows: 16 }),
      }),
    )
  }

  #step(frame: Frame, session: HopSession): void {
    if ((frame.flags & FLAG_CUT) !== 0 && frame.position < session.cache.length) {
      this.cuts += 1
      session.cache.truncate(frame.position)
    }
    if (frame.position !== session.cache.length) {
      const error = new SwarmError('WRONG_POSITION', `position ${frame.position}, committed ${session.cache.length}`)
      return session.send(failureFrame(frame.session, frame.epoch, toPlainError(error)))
    }
    const inputs = frame.dtype === 'u32' ? Array.from(readTokens(frame), embed) : Array.from(readHidden(frame))
    const outputs = inputs.map((input) => session.cache.run(input))
    this.rowsRun += inputs.length
    this.steps.push({ position: frame.position, rows: inputs.length })
    session.lastHidden = outputs.at(-1)!
    if (session.open.next === null) {
      if ((frame.flags & FLAG_WANTS_LOGITS) !== 0) {
        const wanted = (frame.flags & FLAG_ALL_ROWS) === 0 ? outputs.slice(-1) : outputs
        return this.#answer(frame, session, wanted, frame.flags & FLAG_TOP_K_MASK)
      }
      return session.send({ ...emptyFrame('done', frame.session, frame.epoch), step: frame.step })
    }
    const onward: Frame = { ...frame, dtype: 'f32', payload: hiddenPayload(Float32Array.from(outputs)) }
    if (session.open.next === 'requester') return session.send(onward)
    const next = this.swarm.peer(session.open.next)
    this.swarm.deliver(session, () => {
      const onwardSession = next?.sessions.get(frame.session)
      if (next !== undefined && onwardSession !== undefined) next.receive(onward, onwardSession.requester)
    })
  }

  #answer(frame: Frame, session: HopSession, hidden: readonly number[], topK: number): void {
    const rows = hidden.map((value) => logitsOf(value, topK))
    session.send({
      ...emptyFrame('logits', frame.session, frame.epoch),
      flags: frame.flags & FLAG_ALL_ROWS,
      step: frame.step,
      rows: rows.length,
      columns: rows[0]!.ids.length,
      dtype: 'logits',
      payload: logitsRowsPayload(rows),
    })
  }
}

class FakeStream implements FrameStream {
  readonly direct = true
  readonly peerId: string
  readonly #peer: FakePeer
  readonly #swarm: FakeSwarm
  readonly #inbox: Frame[] = []
  #reader: { resolve: (frame: Frame | null) => void; reject: (error: Error) => void } | null = null
  #error: Error | null = null

  constructor(swarm: FakeSwarm, peer: FakePeer) {
    this.#swarm = swarm
    this.#peer = peer
    this.peerId = peer.peerId
  }

  async send(frame: Frame): Promise<void> {
    if (this.#error !== null) throw this.#error
    const bytes = encodeFrame(frame)
    this.#swarm.deliver(this.#inbox, () => this.#peer.receive(decodeFrame(bytes), this))
  }

  /** From the peer. */
  deliver(frame: Frame): void {
    const bytes = encodeFrame(frame)
    this.#swarm.deliver(this, () => {
      if (this.#error !== null) return
      const reader = this.#reader
      this.#reader = null
      if (reader === null) this.#inbox.push(decodeFrame(bytes))
      else reader.resolve(decodeFrame(bytes))
    })
  }

  receive(): Promise<Frame | null> {
    const waiting = this.#inbox.shift()
    if (waiting !== undefined) return Promise.resolve(waiting)
    if (this.#error !== null) return Promise.reject(this.#error)
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject }
    })
  }

  async close(): Promise<void> {
    this.abort(new Error('closed'))
  }

  abort(error: Error): void {
    if (this.#error !== null) return
    this.#error = error
    this.#swarm.streams.delete(this)
    this.#swarm.deliver(this.#inbox, () => this.#peer.forget(this))
    this.#reader?.reject(error)
    this.#reader = null
  }
}

export class FakeSwarm {
  readonly blocks: number
  readonly streams = new Set<FakeStream>()
  faults: Fault[] = []
  /** Virtual ms that the next frame takes; null: a microtask. */
  drawDelayMs: (() => number) | null = null
  readonly #arrivals = new Map<object, number>()
  readonly #peers = new Map<string, FakePeer>()
  readonly #records = new Map<string, PeerRecord>()
  readonly #changeListeners = new Set<() => void>()
  readonly #lossListeners = new Set<(peerId: string, reason: LossReason) => void>()
  #seq = 1
  dhtQueries = 0
  /** `from to`: hops that find no way to each other. */
  readonly cannotConnect = new Set<string>()
  /** `from to`: how many more times a hop has not heard of its next hop. */
  /** How often a last hop was asked for more logits. */
  askedAgain = 0
  readonly strangers = new Map<string, number>()
  /** Peers of before steps could cut and give the logits of several rows. */
  readonly withoutRows = new Set<string>()

  constructor(blocks: number) {
    this.blocks = blocks
  }

  deliver(channel: object, task: () => void): void {
    if (this.drawDelayMs === null) return queueMicrotask(task)
    const now = performance.now()
    const at = Math.max(now + this.drawDelayMs(), (this.#arrivals.get(channel) ?? 0) + 0.01)
    this.#arrivals.set(channel, at)
    setTimeout(task, at - now)
  }

  join(peerId: string, start: number, end: number, change: Partial<PeerRecord> = {}): FakePeer {
    const peer = new FakePeer(this, peerId, { start, end })
    this.#peers.set(peerId, peer)
    this.#seq += 1
    this.#records.set(peerId, {
      v: 1,
      peerId,
      seq: this.#seq,
      issuedAt: 0,
      ttlMs: 90_000,
      model: { repo: 'fake', revision: 'r', digest: FAKE_DIGEST, blocks: this.blocks },
      state: 'online',
      span: { start, end },
      claimedAt: 0,
      maxBlocks: end - start,
      blockStepsPerSecond: 100,
      cacheTokensLeft: 10_000,
      sessions: 0,
      weights: 'f32',
      backend: 'fake',
      relays: [],
      ...change,
    })
    this.#changed()
    return peer
  }

  /** What a peer says of itself, also when it has left. */
  recordOf(peerId: string): Pick<PeerRecord, 'weights' | 'backend'> {
    return this.#records.get(peerId) ?? { weights: 'f32', backend: 'fake' }
  }

  peer(peerId: string): FakePeer | undefined {
    return this.#peers.get(peerId)
  }

  get openSessions(): number {
    return [...this.#peers.values()].reduce((sum, peer) => sum + peer.sessions.size, 0)
  }

  /** The tab is gone: streams break, the record goes, connected peers notice. */
  lose(peerId: string): void {
    this.#peers.delete(peerId)
    this.#records.delete(peerId)
    for (const stream of this.streams) {
      if (stream.peerId === peerId) stream.abort(new SwarmError('PEER_LOST', 'reset', { peerId }))
    }
    for (const listener of this.#lossListeners) listener(peerId, 'closed')
    this.#changed()
  }

  #changed(): void {
    queueMicrotask(() => {
      for (const listener of this.#changeListeners) listener()
    })
  }

  /** From the requesting peer. */
  rttMs: (peerId: string) => number | null = () => 1

  readonly directory: Directory = {
    records: (digest) =>
      [...this.#records.values()]
        .filter((record) => record.model.digest === digest)
        .sort((a, b) => (a.peerId < b.peerId ? -1 : 1)),
    get: (peerId) => this.#records.get(peerId),
    models: () => [],
    onChange: (listener) => {
      this.#changeListeners.add(listener)
      return () => this.#changeListeners.delete(listener)
    },
  }

  node(): SwarmNode {
    return {
      peerId: 'requester',
      directory: this.directory,
      now: () => 0,
      relays: () => [],
      onRelayChange: () => () => undefined,
      openInference: async (peerId) => {
        const peer = this.#peers.get(peerId)
        if (peer === undefined || peer.hung) throw new SwarmError('DIAL_FAILED', 'no such peer', { peerId })
        const fault = peer.strike('dial')
        if (fault?.kind === 'close') this.lose(peerId)
        if (fault !== undefined) throw new SwarmError('DIAL_FAILED', 'ordered by the test', { peerId })
        const stream = new FakeStream(this, peer)
        this.streams.add(stream)
        return stream
      },
      openPush: () => Promise.reject(new Error('bug: a requesting peer pushes nothing')),
      warm: () => undefined,
      follow: () => undefined,
      onPeerLost: (listener) => {
        this.#lossListeners.add(listener)
        return () => this.#lossListeners.delete(listener)
      },
      refreshFromDht: async () => {
        this.dhtQueries += 1
        return 0
      },
      rttMs: (peerId) => this.rttMs(peerId),
      stop: async () => undefined,
    }
  }
}
