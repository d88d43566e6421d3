/**
 * The requesting side against the real serving end (`net/serve/server.ts`), joined by streams in memory: what both sides
 * believe of the protocol must be the same. Only the arithmetic and the wires are fakes.
 */
import type { FrameStream, SwarmNode } from '../../../../net/types.ts'
import { FrameServer } from '../../../../net/serve/server.ts'
import { decodeFrame, encodeFrame, type Frame } from '../../../../swarm/codec.ts'
import { SwarmError } from '../../../../swarm/errors.ts'
import type {
  LogitsRow,
  RunnerStatus,
  SessionRequest,
  SpanRunner,
  StepInput,
  StepOutput,
} from '../../../../swarm/span-runner.ts'
import type { Span } from '../../../../swarm/span.ts'
import { embed, FakeCache, logitsOf } from './fake-engine.ts'
import { FAKE_DIGEST, FakeSwarm } from './fake-swarm.ts'

/** Two ends of one stream. */
export function streamPair(a: string, b: string): [FrameStream, FrameStream] {
  const toA = new Inbox()
  const toB = new Inbox()
  return [new PairedStream(b, a, toA, toB), new PairedStream(a, b, toB, toA)]
}

class Inbox {
  readonly #frames: (Frame | null | Error)[] = []
  #wake: (() => void) | null = null
  isOver = false

  put(item: Frame | null | Error): void {
    if (this.isOver) return
    this.isOver = item === null || item instanceof Error
    this.#frames.push(item)
    this.#wake?.()
  }

  async take(signal?: AbortSignal): Promise<Frame | null> {
    while (this.#frames.length === 0) {
      signal?.throwIfAborted()
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        signal?.addEventListener('abort', () => resolve(), { once: true })
      })
    }
    const item = this.#frames[0] as Frame | null | Error
    if (item === null) return null
    if (item instanceof Error) throw item
    this.#frames.shift()
    return item
  }
}

class PairedStream implements FrameStream {
  readonly direct = true
  readonly peerId: string
  readonly #self: string
  readonly #in: Inbox
  readonly #out: Inbox

  constructor(peerId: string, self: string, incoming: Inbox, outgoing: Inbox) {
    this.peerId = peerId
    this.#self = self
    this.#in = incoming
    this.#out = outgoing
  }

  async send(frame: Frame): Promise<void> {
    if (this.#out.isOver) throw new SwarmError('PEER_LOST', 'the stream is over', { peerId: this.peerId })
    this.#out.put(decodeFrame(encodeFrame(frame)))
  }

  receive(signal?: AbortSignal): Promise<Frame | null> {
    return this.#in.take(signal)
  }

  async close(): Promise<void> {
    this.#out.put(null)
    this.#in.put(null)
  }

  abort(): void {
    this.#out.put(new SwarmError('PEER_LOST', 'reset', { peerId: this.#self }))
    this.#in.put(new SwarmError('PEER_LOST', 'aborted', { peerId: this.peerId }))
  }
}

/** The fake engine behind the product's own interface. */
export class CacheRunner implements SpanRunner {
  readonly span: Span
  readonly hasHead: boolean
  readonly caches = new Map<string, { cache: FakeCache; last: number; endsHere: boolean }>()
  readonly #blocks: number
  cacheTokens = 4096
  /** Of all sessions, again where they run again. */
  rowsRun = 0
  #reserved = new Map<string, number>()

  constructor(span: Span, blocks: number) {
    this.span = span
    this.#blocks = blocks
    this.hasHead = span.end === blocks
  }

  async openSession({ session, span, maxTokens }: SessionRequest): Promise<number> {
    if (maxTokens > this.status().cacheTokensLeft) throw new SwarmError('CACHE_FULL', 'no room', { retryable: true })
    this.#reserved.set(session, maxTokens)
    this.caches.set(session, { cache: new FakeCache(span), last: 0, endsHere: span.end === this.#blocks })
    return 0
  }

  async closeSession(session: string): Promise<void> {
    this.caches.delete(session)
    this.#reserved.delete(session)
  }

  async truncateSession(session: string, length: number): Promise<void> {
    this.caches.get(session)!.cache.truncate(length)
  }

  async step(batch: StepInput[]): Promise<StepOutput[]> {
    return batch.map((input) => {
      this.rowsRun += input.rows
      const state = this.caches.get(input.session)!
      const inputs = input.tokens === undefined ? Array.from(input.hidden!) : Array.from(input.tokens, embed)
      if (input.cut === true && input.position < state.cache.length) state.cache.truncate(input.position)
      const outputs = inputs.map((value) => state.cache.run(value))
      state.last = outputs.at(-1)!
      const base = { session: input.session, position: input.position, rows: input.rows, computeMs: 1 }
      if (!state.endsHere) return { ...base, hidden: Float32Array.from(outputs) }
      if (input.logits === undefined) return base
      const { topK, rows = 1 } = input.logits
      const found = outputs.slice(-rows).map((output) => logitsOf(output, topK))
      const logits = found.pop() as LogitsRow
      return { ...base, logits, ...(found.length === 0 ? {} : { earlierLogits: found }) }
    })
  }

  async lastLogits(session: string, { topK }: { topK: number }): Promise<LogitsRow> {
    return logitsOf(this.caches.get(session)!.last, topK)
  }

  status(): RunnerStatus {
    const used = [...this.#reserved.values()].reduce((sum, tokens) => sum + tokens, 0)
    return { span: this.span, sessions: this.caches.size, cacheTokensLeft: this.cacheTokens - used }
  }

  async dispose(): Promise<void> {
    this.caches.clear()
  }
}

export interface ServedPeer {
  server: FrameServer
  runner: SpanRunner
}

export class ServedSwarm {
  readonly swarm: FakeSwarm
  readonly peers = new Map<string, ServedPeer>()
  readonly #streams = new Map<string, FrameStream[]>()

  readonly #hiddenSize: number
  readonly #createRunner: (span: Span) => SpanRunner

  constructor(
    blocks: number,
    hiddenSize = 1,
    createRunner: (span: Span) => SpanRunner = (span) => new CacheRunner(span, blocks),
  ) {
    this.swarm = new FakeSwarm(blocks)
    this.#hiddenSize = hiddenSize
    this.#createRunner = createRunner
  }

  join(peerId: string, start: number, end: number, blockStepsPerSecond = 100, keptOutputBytes?: number): ServedPeer {
    const runner = this.#createRunner({ start, end })
    const server = new FrameServer({
      selfId: peerId,
      modelDigest: FAKE_DIGEST,
      weights: 'f32',
      backend: 'fake',
      hiddenSize: this.#hiddenSize,
      ...(keptOutputBytes === undefined ? {} : { keptOutputBytes }),
      record: (id) => this.swarm.directory.get(id),
      openPush: async (next) => {
        const peer = this.peers.get(next)
        if (peer === undefined) throw new SwarmError('DIAL_FAILED', 'no such peer', { peerId: next })
        const [mine, theirs] = streamPair(peerId, next)
        this.#keep(peerId, mine)
        this.#keep(next, theirs)
        void peer.server.servePush(theirs)
        return mine
      },
      log: (text) => {
        throw new Error(text)
      },
    })
    server.addRunner(runner)
    const peer = { server, runner }
    this.peers.set(peerId, peer)
    this.swarm.join(peerId, start, end, { blockStepsPerSecond })
    return peer
  }

  /** Its streams break and its record goes. */
  lose(peerId: string): void {
    this.peers.delete(peerId)
    for (const stream of this.#streams.get(peerId) ?? []) stream.abort(new Error('gone'))
    this.swarm.lose(peerId)
  }

  get openSessions(): number {
    return [...this.peers.values()].reduce((sum, peer) => sum + peer.runner.status().sessions, 0)
  }

  async stop(): Promise<void> {
    await Promise.all([...this.peers.values()].map((peer) => peer.server.stop()))
  }

  node(): SwarmNode {
    return {
      ...this.swarm.node(),
      openInference: async (peerId) => {
        const peer = this.peers.get(peerId)
        if (peer === undefined) throw new SwarmError('DIAL_FAILED', 'no such peer', { peerId })
        const [mine, theirs] = streamPair('requester', peerId)
        this.#keep(peerId, theirs)
        void peer.server.serveRequester(theirs)
        return mine
      },
    }
  }

  #keep(peerId: string, stream: FrameStream): void {
    this.#streams.set(peerId, [...(this.#streams.get(peerId) ?? []), stream])
  }
}
