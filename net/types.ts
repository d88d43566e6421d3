/**
 * What `net` offers to the requesting side (`session`) and to the donor: interfaces only, so that both can be tested with
 * an in-memory swarm. The libp2p implementation starts in `node.ts`.
 */
import type { Frame } from '../swarm/codec.ts'
import type { PeerRecord } from '../swarm/peer-record.ts'
import type { SpanRunner } from '../swarm/span-runner.ts'

/** Fresh records by peer id, merged from the relay's fan-out, the DHT and neighbours; everything reads this map. */
export interface Directory {
  /** Fresh records of a model, ordered by peer id. Expired and gone peers are left out. */
  records(modelDigest: string): PeerRecord[]
  get(peerId: string): PeerRecord | undefined
  /** All models seen. */
  models(): { digest: string; repo: string; revision: string; blocks: number }[]
  /** Called after every change, never from inside a call of this interface. Returns the unsubscribe function. */
  onChange(listener: () => void): () => void
}

export type LossReason = 'closed' | 'timeout' | 'goodbye' | 'relay-notice' | 'stream-error'

/** One frame stream to a peer, over the direct connection. */
export interface FrameStream {
  readonly peerId: string
  /** False while the bytes cross a relay. */
  readonly direct: boolean
  /** Resolves when the bytes are with the transport (back-pressure). @throws SwarmError PEER_LOST */
  send(frame: Frame): Promise<void>
  /**
   * Next frame, or null when the other side closed cleanly.
   * @throws SwarmError PEER_LOST, BAD_FRAME, WRONG_VERSION
   */
  receive(signal?: AbortSignal): Promise<Frame | null>
  /** Ends both directions; safe to call twice. */
  close(): Promise<void>
  abort(error: Error): void
}

export interface RelayStatus {
  address: string
  /** restarting: it said so, and when it is back; peers are no longer taken for gone by what it does. */
  state: 'connecting' | 'connected' | 'lost' | 'refused' | 'restarting'
  /** What the relay or the dial said, when refused or lost. */
  reason?: string
  /** Why waiting will not help: it is of another version, or another relay than the address names answers there. */
  trouble?: 'version' | 'other-relay'
  /** When restarting: after how long it said it is back. Absent where it did not say. */
  backAfterMs?: number
}

/** A running peer, tab or Node. */
export interface SwarmNode {
  readonly peerId: string
  readonly directory: Directory
  /** The clock corrected by the relay's offset, ms. */
  now(): number
  relays(): RelayStatus[]
  onRelayChange(listener: () => void): () => void
  /** Opens an inference stream to a peer, dialling (3 tries of 3 s) where there is no direct connection yet. */
  openInference(peerId: string, signal: AbortSignal): Promise<FrameStream>
  /** Opens a push stream to the next hop; only to peers with a fresh record of the same model. */
  openPush(peerId: string, signal: AbortSignal): Promise<FrameStream>
  /** Dials ahead of need, so that a route survives the relay's death; failures are silent. */
  warm(peerIds: readonly string[]): void
  /** A peer is gone: its connection closed (believed by the rules of the death sensor), it said goodbye, or it stopped answering. */
  onPeerLost(listener: (peerId: string, reason: LossReason) => void): () => void
  /** From now on this model's records are kept fresh from the DHT too: a page learns a branch's commit after it has joined. */
  follow(modelDigest: string): void
  /** Asks the DHT once for a model's records and merges them. Never on the token path. */
  refreshFromDht(modelDigest: string, signal?: AbortSignal): Promise<number>
  /** Smoothed round trip to a peer, null when unknown. */
  rttMs(peerId: string): number | null
  stop(): Promise<void>
}

/** What a donor says of itself; the announcer adds peer id, sequence, time, ttl, relays and round trips, signs and publishes. */
export type AnnouncedFields = Omit<PeerRecord, 'v' | 'peerId' | 'seq' | 'issuedAt' | 'ttlMs' | 'relays' | 'roundTrips'>

export interface Announcer {
  /** Publishes at once (relay fan-out, DHT, neighbours), then every RECORD_REFRESH_MS and when relays come back. */
  announce(fields: AnnouncedFields): void
  /** Publishes a `gone` record and tells connected peers; resolves within 500 ms. */
  goodbye(): Promise<void>
}

/** The serving end: takes sessions and steps from streams and gives them to runners. */
export interface InferenceServer {
  /** New sessions whose span a runner holds go to it; with several the one added last. */
  addRunner(runner: SpanRunner): void
  /**
   * New sessions no longer go to this runner, those that run go on. Resolves when each of them has ended or was silent for
   * `idleMs`, or when the signal aborts.
   */
  drainRunner(runner: SpanRunner, until: { idleMs: number; signal: AbortSignal }): Promise<void>
  /** After `drainRunner`: new sessions go to it again. */
  takeBackRunner(runner: SpanRunner): void
  /**
   * New sessions no longer go to this runner; steps under way are finished, then its sessions are told PEER_REFUSED
   * ("moved", retryable), so that requesters re-route between two tokens. Resolves when nothing uses it.
   */
  retireRunner(runner: SpanRunner): Promise<void>
  /**
   * From now on new sessions are refused (PEER_REFUSED, retryable, "peer … ‹because›"); those that run go on. null: they are
   * taken again.
   */
  refuseSessions(because: string | null): void
  /** Ends every session between two of its steps, as `retireRunner` does; the runners stay. Resolves when none is left. */
  handOver(because: string): Promise<void>
  /** Sessions whose requesting peer sent something within the last `ms`: whoever waits for an answer pings, one that is over is silent. */
  activeSessions(ms: number): number
  stats(): {
    sessions: number
    /** Blocks that the sessions run, all together. */
    sessionBlocks: number
    stepsServed: number
    tokensServed: number
    bytesIn: number
    bytesOut: number
    /** Of them, those that crossed a relay. */
    relayedIn: number
    relayedOut: number
    computeMs: number
  }
  onChange(listener: () => void): () => void
  stop(): Promise<void>
}

/** A `SwarmNode` that serves. */
export interface ServingNode extends SwarmNode {
  readonly announcer: Announcer
  createServer(options: {
    modelDigest: string
    weights: string
    backend: string
    simulateSpeed?: number
    /** What logits cost in steps of a block, for `simulateSpeed`; default 0. */
    headSteps?: number
    /** Columns of hidden states: frames of another width are refused before the runner sees them. */
    hiddenSize?: number
  }): InferenceServer
}
