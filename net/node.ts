/**
 * A running peer: builds libp2p and everything above it, and wires them. `createRequestingNode` only asks (a page without
 * a GPU, `tabswarm prompt`); `createServingNode` (`serving-node.ts`) also announces itself and takes sessions. The parts have a file
 * each; this one only knows how they meet.
 */
import type { Connection, Stream } from '@libp2p/interface'
import { describeError, SwarmError } from '../swarm/errors.ts'
import { MAX_SESSIONS, RECORD_REFRESH_MS } from '../swarm/limits.ts'
import type { SignedRecord } from '../swarm/peer-record.ts'
import { INFERENCE_PROTOCOL, PUSH_PROTOCOL } from '../swarm/protocol.ts'
import { RecordAnnouncer } from './announcer.ts'
import { CorrectedClock } from './clock.ts'
import { DhtDirectory } from './dht-directory.ts'
import { Dialler } from './dialler.ts'
import { DirectoryStore } from './directory-store.ts'
import { createPeerNode, type PeerNode } from './libp2p.ts'
import { Liveness } from './liveness.ts'
import { peerIdOfAddress } from './multiaddr.ts'
import { endsOf, handOversOf, neighboursOf } from './neighbours.ts'
import { Peers } from './peers.ts'
import type { Platform } from './platform.ts'
import { Presence } from './presence.ts'
import { privateKeyFromSeed, signWith, verifySignature } from './record-crypto.ts'
import { RecordsExchange } from './records-exchange.ts'
import { RoundTrips } from './round-trips.ts'
import { byRelay, Relays } from './relays.ts'
import { refreshReservation } from './reservation.ts'
import { Sensors } from './sensors.ts'
import type { FrameServer, ServerOptions } from './serve/server.ts'
import { SessionPaths } from './session-paths.ts'
import { SessionStreams } from './session-streams.ts'
import type {
  Announcer,
  FrameStream,
  InferenceServer,
  LossReason,
  RelayStatus,
  ServingNode,
  SwarmNode,
} from './types.ts'

export interface NodeOptions {
  /** Multiaddrs with /p2p/; see `parseInitialPeers`. */
  relays: readonly string[]
  /** 32-byte Ed25519 seed; without it a fresh identity. */
  privateKey?: Uint8Array
  iceServers: readonly { urls: string | string[] }[]
  /** Models whose records are kept fresh from the DHT too. */
  modelDigests: readonly string[]
  platform: Platform
  /** `off`: neither the relays' fan-out nor their notices are used; peers find each other by the DHT alone. */
  directory?: 'on' | 'off'
  /** What a person should know: refusals, limits met. */
  log: (text: string) => void
  /** What happens beside and is tried again by itself: searches that ended, neighbours that did not answer. */
  debug?: (text: string) => void
}

/** What becomes of the page that a node lives in. */
export interface PageLife {
  /** Its browser is about to stop all its timers: goodbye, synchronously but for microtasks. `wake` brings it back. */
  freeze(): void
  /** It runs again, or its network is back: whoever does not answer any more is dialled anew. */
  wake(): void
  /**
   * For `pagehide`: ends every connection at once and synchronously; the others see it within tens of milliseconds. The
   * node is of no use afterwards.
   */
  leaveNow(): void
}

const TICK_MS = 1_000
/** The first relay usually answers within 300 ms; a node is returned after this in any case. */
const FIRST_RELAY_MS = 4_000
/** Peers whose way is measured; the nearest of them are told. */
const MAX_MEASURED = 24
const DHT_REFRESH_MS = 30_000
/** A record is made anew every RECORD_REFRESH_MS; one that is older was not heard of. */
const FRESH_MS = 1.5 * RECORD_REFRESH_MS
/** Without a directory the DHT is all there is. */
const DHT_REFRESH_ALONE_MS = 3_000

export interface Connecting {
  /** Whether a direct connection to the peer stands now. */
  hasDirectTo(peerId: string): boolean
}

export async function createRequestingNode(options: NodeOptions): Promise<SwarmNode & PageLife & Connecting> {
  return await createNode(options, null)
}

/** `serve`: makes the serving end; null: the node only asks. */
export async function createNode(
  options: NodeOptions,
  serve: ServerFactory | null,
): Promise<ServingNode & PageLife & Reserving & Connecting> {
  const node = await LibSwarmNode.create(options, serve)
  await node.start()
  return node
}

export type ServerFactory = (options: ServerOptions) => FrameServer

export interface Reserving {
  /** Relays through which this peer can be reached now. */
  reservedRelays(): string[]
}

class LibSwarmNode implements ServingNode, PageLife, Reserving, Connecting {
  readonly peerId: string
  readonly directory: DirectoryStore
  readonly announcer: Announcer & RecordAnnouncer
  readonly #options: NodeOptions
  /** null: it only asks. */
  readonly #createServer: ServerFactory | null
  readonly #node: PeerNode
  readonly #clock: CorrectedClock
  readonly #relays: Relays
  readonly #peers: Peers
  readonly #liveness: Liveness
  readonly #roundTrips: RoundTrips
  readonly #dialler: Dialler
  readonly #paths: SessionPaths
  readonly #streams: SessionStreams
  readonly #exchange: RecordsExchange
  readonly #dht: DhtDirectory
  readonly #sensors: Sensors
  readonly #presence: Presence
  readonly #lossListeners = new Set<(peerId: string, reason: LossReason) => void>()
  /** Peers whose loss was reported since their last direct connection: one loss is one report. */
  readonly #reported = new Set<string>()
  readonly #goneNotices = new Map<string, Set<string>>()
  /** Models whose records are kept fresh from the DHT too. */
  readonly #followed: Set<string>
  #server: FrameServer | null = null
  #timer: ReturnType<typeof setInterval> | null = null
  #refreshing: Promise<unknown> | null = null
  #refreshedAt = 0
  #toldAt = 0
  /** Relays that our last record named: it is signed anew whenever they are others, however short the change in between. */
  #announcedRelays = ''
  #hasMetOtherVersion = false
  #isStopped = false
  readonly #release: () => void

  static async create(options: NodeOptions, serve: ServerFactory | null): Promise<LibSwarmNode> {
    const serves = serve !== null
    const privateKey = await privateKeyFromSeed(options.privateKey)
    const clock = new CorrectedClock()
    const now = (): number => clock.now()
    const store = new DirectoryStore({ verify: verifySignature, now })
    const node = await createPeerNode({
      privateKey,
      platform: options.platform,
      iceServers: options.iceServers,
      reservations: serves ? Math.max(byRelay(options.relays).size, 1) : 0,
      dht: {
        mode: serves ? 'server' : 'client',
        verify: verifySignature,
        now,
        lastSeq: (peerId) => store.lastSeq(peerId),
        onRecord: (signed) => store.addVerified(signed),
      },
    })
    return new LibSwarmNode(options, serve, node, clock, store, signWith(privateKey))
  }

  private constructor(
    options: NodeOptions,
    serve: ServerFactory | null,
    node: PeerNode,
    clock: CorrectedClock,
    store: DirectoryStore,
    sign: ReturnType<typeof signWith>,
  ) {
    const { libp2p } = node
    this.#options = options
    this.#followed = new Set(options.modelDigests)
    this.#release = options.platform.hold()
    this.#createServer = serve
    const serves = serve !== null
    this.#node = node
    this.#clock = clock
    this.directory = store
    this.peerId = libp2p.peerId.toString()
    this.#relays = new Relays({
      libp2p,
      reservations: node.reservations,
      addresses: options.relays,
      role: serves ? 'donor' : 'client',
      wantsReservations: serves,
      refreshReservation,
      events: {
        isOn: this.#usesDirectory,
        onWelcome: (relay, time, roundTripMs) => {
          clock.sample(relay, time, roundTripMs)
          this.announcer.relaysChanged()
        },
        onRecord: (bytes) => void this.#take(bytes),
        onGone: (relay, peerId) => this.#relaySaysGone(relay, peerId),
        onRefused: (relay, text) => options.log(`relay ${relay}: ${text}`),
      },
    })
    this.#liveness = new Liveness({
      libp2p,
      directConnection: (peerId) => this.#peers.direct(peerId),
      onDead: (peerId) => this.#peers.lose(peerId, 'timeout'),
    })
    this.#peers = new Peers({
      libp2p,
      isRelay: (peerId) => this.#relays.isRelay(peerId),
      isRelayTrustworthy: (relayId) => this.#relays.isTrustworthy(relayId),
      ask: (peerId, timeoutMs) => this.#liveness.ask(peerId, timeoutMs),
      onLost: (peerId, reason, isCertain) => this.#lost(peerId, reason, isCertain),
      onDirect: (connection) => this.#met(connection),
    })
    this.#dialler = new Dialler({
      libp2p,
      direct: (peerId) => this.#peers.direct(peerId),
      record: (peerId) => store.get(peerId),
      connectedRelays: () => this.#relays.connectedAddresses(),
      dialCircuit: node.dialCircuit,
      waitsFor: (peerId) => serves && store.get(peerId) !== undefined && !this.#peers.isDialler(peerId),
    })
    this.#paths = new SessionPaths({
      dialler: this.#dialler,
      direct: (peerId) => this.#peers.direct(peerId),
      now: () => performance.now(),
    })
    this.#streams = new SessionStreams({
      paths: this.#paths,
      liveness: this.#liveness,
      peers: this.#peers,
      onBytes: (received, sent, relayed) => this.#server?.countBytes(received, sent, relayed),
    })
    this.#sensors = new Sensors({
      peers: this.#peers,
      record: (peerId) => store.get(peerId),
      connectedRelays: () => this.#relays.connectedAddresses(),
      isOurs: (peerId) => !serves || this.#peers.isDialler(peerId),
      dialCircuit: (peerId, signal) => this.#dialler.dialCircuit(peerId, signal),
    })
    this.#exchange = new RecordsExchange({
      libp2p,
      store,
      onRecord: (bytes) => this.#take(bytes).then(() => undefined),
    })
    this.#dht = new DhtDirectory({
      dht: node.dht,
      selfId: this.peerId,
      take: (bytes) => this.#take(bytes),
      isKnown: (peerId) => this.#hasRelayedDirectory && this.#isFresh(peerId),
      onProvider: (peerId) => {
        if (!serves || this.#peers.isDialler(peerId)) this.#dialler.warm([peerId])
      },
      debug: (text) => options.debug?.(text),
    })
    this.announcer = new RecordAnnouncer({
      peerId: this.peerId,
      sign,
      now: () => clock.now(),
      relays: () => {
        const reserved = this.#relays.reservedAddresses()
        this.#announcedRelays = reserved.join(' ')
        return reserved
      },
      publish: (signed, isLoadOnly) => this.#publish(signed, isLoadOnly),
      provide: (modelDigest) => this.#dht.provide(modelDigest),
      withdraw: (modelDigest) => this.#dht.withdraw(modelDigest),
      roundTrips: () => this.#roundTrips.told(),
    })
    this.#roundTrips = new RoundTrips({
      candidates: () => this.#worthMeasuring(),
      measure: (peerId, timeoutMs) => this.#liveness.measure(peerId, timeoutMs),
      onChange: () => this.announcer.roundTripsChanged(),
      now: () => performance.now(),
    })
    this.#presence = new Presence({
      selfId: this.peerId,
      announcer: this.announcer,
      endSessions: (reason, heardUntil) => this.#server?.endSessions(reason, heardUntil),
      checkConnections: () => {
        void this.#relays.check()
        return this.#peers.check()
      },
      debug: (text) => options.debug?.(text),
    })
  }

  async start(): Promise<void> {
    const { libp2p } = this.#node
    await this.#liveness.start()
    await this.#exchange.start()
    if (this.#createServer !== null) {
      const limits = {
        maxInboundStreams: 4 * MAX_SESSIONS,
        maxOutboundStreams: 4 * MAX_SESSIONS,
        // Through a relay where nothing else works; see session-paths.ts.
        runOnLimitedConnection: true,
      }
      await libp2p.handle(INFERENCE_PROTOCOL, (stream, connection) => this.#serve(stream, connection, false), limits)
      await libp2p.handle(PUSH_PROTOCOL, (stream, connection) => this.#serve(stream, connection, true), limits)
      libp2p.addEventListener('self:peer:update', () => this.#reservationsChanged())
      this.directory.onChange(() => this.#warmNeighbours())
    }
    this.directory.onRecord(({ record }) => this.#goneNotices.delete(record.peerId))
    this.#relays.start()
    await this.#relays.firstAttempt(FIRST_RELAY_MS)
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
    this.#tick()
  }

  now(): number {
    return this.#clock.now()
  }

  reservedRelays(): string[] {
    return this.#relays.reservedAddresses()
  }

  hasDirectTo(peerId: string): boolean {
    return this.#peers.direct(peerId) !== null
  }

  relays(): RelayStatus[] {
    return this.#relays.statuses()
  }

  onRelayChange(listener: () => void): () => void {
    return this.#relays.onChange(listener)
  }

  openInference(peerId: string, signal: AbortSignal): Promise<FrameStream> {
    return this.#streams.open(peerId, INFERENCE_PROTOCOL, signal, { isWatched: true })
  }

  async openPush(peerId: string, signal: AbortSignal): Promise<FrameStream> {
    const own = this.directory.get(this.peerId)
    const record = this.directory.get(peerId)
    if (record === undefined || (own !== undefined && record.model.digest !== own.model.digest)) {
      throw new SwarmError('WRONG_PEER', `no fresh record of the same model by peer ${peerId} is known`, {
        retryable: true,
        peerId,
      })
    }
    return this.#streams.open(peerId, PUSH_PROTOCOL, signal, { isWatched: false })
  }

  warm(peerIds: readonly string[]): void {
    if (!this.#isStopped) this.#dialler.warm(peerIds.filter((peerId) => peerId !== this.peerId))
  }

  onPeerLost(listener: (peerId: string, reason: LossReason) => void): () => void {
    this.#lossListeners.add(listener)
    return () => this.#lossListeners.delete(listener)
  }

  follow(modelDigest: string): void {
    if (this.#followed.has(modelDigest)) return
    this.#followed.add(modelDigest)
    // Not waiting for the next round: somebody is about to ask. A round under way does not know of it.
    if (!this.#isStopped) void this.refreshFromDht(modelDigest).catch(() => 0)
  }

  refreshFromDht(modelDigest: string, signal?: AbortSignal): Promise<number> {
    return this.#dht.refresh(modelDigest, signal)
  }

  rttMs(peerId: string): number | null {
    return this.#liveness.rttMs(peerId)
  }

  createServer(options: Parameters<ServingNode['createServer']>[0]): InferenceServer {
    if (this.#createServer === null) throw new Error('bug: this node only asks')
    this.#server = this.#createServer({
      ...options,
      selfId: this.peerId,
      record: (peerId) => this.directory.get(peerId),
      openPush: (peerId, signal) => this.openPush(peerId, signal),
      log: this.#options.log,
    })
    return this.#server
  }

  freeze(): void {
    if (!this.#isStopped) this.#presence.freeze()
  }

  wake(): void {
    if (!this.#isStopped) this.#presence.wake()
  }

  leaveNow(): void {
    this.#isStopped = true
    this.announcer.away()
    this.#halt()
    this.#peers.abortEverything(new Error('leaving'))
    // A page is gone by now; a Node process must not come back to its relays.
    void Promise.resolve(this.#node.libp2p.stop()).then(() => this.#release())
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return
    this.#isStopped = true
    await this.#server?.stop()
    await this.announcer.goodbye()
    this.#halt()
    await this.#refreshing?.catch(() => undefined)
    await this.#node.libp2p.stop()
    this.#release()
  }

  #halt(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    this.announcer.stop()
    this.#relays.stop()
    this.#liveness.stop()
    this.#dht.stop()
    this.#peers.stop()
  }

  /** Records come and go through a relay, within milliseconds. */
  get #hasRelayedDirectory(): boolean {
    return this.#usesDirectory && this.#relays.isAnyConnected
  }

  get #usesDirectory(): boolean {
    return this.#options.directory !== 'off'
  }

  #serve(stream: Stream, connection: Connection, isPush: boolean): void {
    const frames = this.#streams.take(stream, connection)
    const server = this.#server
    if (server === null) frames.abort(new Error('nothing is served here yet'))
    else void (isPush ? server.servePush(frames) : server.serveRequester(frames))
  }

  /** Merges a record from anywhere; true when it was new. What is wrong with it is its sender's business. */
  async #take(bytes: Uint8Array): Promise<boolean> {
    try {
      const { result, record } = await this.directory.addAndRead(bytes)
      if (result === 'full') this.#options.log(`the directory is full: the record of ${record.peerId} is not kept`)
      if (result !== 'added') return false
      if (record.state === 'gone' && record.peerId !== this.peerId) this.#peers.lose(record.peerId, 'goodbye')
      return true
    } catch (error) {
      if (!(error instanceof SwarmError) || error.code !== 'WRONG_VERSION') this.#options.log(describeError(error))
      else if (!this.#hasMetOtherVersion) {
        this.#hasMetOtherVersion = true
        this.#options.log(`Tabs of another version are in this swarm, and are left out: ${error.message}.`)
      }
      return false
    }
  }

  async #publish(signed: SignedRecord, isLoadOnly: boolean): Promise<void> {
    this.directory.addVerified(signed)
    this.#relays.publish(signed.bytes)
    if (isLoadOnly && this.#hasRelayedDirectory) return
    const isUrgent = !this.#hasRelayedDirectory || signed.record.state === 'gone'
    this.#dht.publish(signed.record.model.digest, signed.bytes, isUrgent)
    if (!this.#usesDirectory) return
    const connections = this.#peers.directPeers().flatMap((peerId) => this.#peers.direct(peerId) ?? [])
    await Promise.all(connections.map((connection) => this.#exchange.tell(connection, signed.bytes)))
  }

  /** Its newest record has come in time: the DHT has no newer one. */
  #isFresh(peerId: string): boolean {
    const record = this.directory.get(peerId)
    return record !== undefined && this.now() - record.issuedAt < FRESH_MS
  }

  #relaySaysGone(relay: string, peerId: string): void {
    const relayId = peerIdOfAddress(relay)
    if (peerId === this.peerId || relayId === null || !this.#relays.isTrustworthy(relayId)) return
    const said = this.#goneNotices.get(peerId) ?? new Set()
    said.add(relayId)
    this.#goneNotices.set(peerId, said)
    // A peer on two relays that lost one of them is not gone.
    const others = (this.directory.get(peerId)?.relays ?? [])
      .map(peerIdOfAddress)
      .filter((id) => id !== null && !said.has(id) && this.#relays.isTrustworthy(id))
    if (others.length === 0) void this.#peers.suspect(peerId, 'relay-notice', true)
  }

  #lost(peerId: string, reason: LossReason, isCertain: boolean): void {
    if (isCertain) {
      if (this.#presence.isTheirs(reason)) this.directory.markGone(peerId)
      this.#liveness.forget(peerId)
    }
    if (this.#reported.has(peerId)) return
    this.#reported.add(peerId)
    for (const listener of this.#lossListeners) listener(peerId, reason)
  }

  #met(connection: Connection): void {
    const peerId = connection.remotePeer.toString()
    this.#reported.delete(peerId)
    if (!this.#usesDirectory || connection.direction !== 'outbound') return
    const known = this.directory.signedRecords().map(({ bytes }) => bytes)
    this.#exchange.ask(connection, null, known).catch((error: unknown) => {
      this.#options.debug?.(`no records from neighbour ${peerId}: ${describeError(error)}`)
    })
  }

  #warmNeighbours(): void {
    const own = this.directory.get(this.peerId)
    if (own === undefined || this.#isStopped) return
    const neighbours = neighboursOf(own, this.directory.records(own.model.digest))
    this.#dialler.warm(neighbours.filter((peerId) => this.#peers.isDialler(peerId)))
  }

  /** Whose way matters to a route, of those with a direct connection: hidden states never wait for one that has none. */
  #worthMeasuring(): string[] {
    const own = this.directory.get(this.peerId)
    const peers =
      own === undefined
        ? [...this.#followed].flatMap((digest) => endsOf(this.directory.records(digest)))
        : own.state === 'online'
          ? handOversOf(own, this.directory.records(own.model.digest))
          : []
    return peers.filter((peerId) => this.#peers.direct(peerId) !== null).slice(0, MAX_MEASURED)
  }

  #reservationsChanged(): void {
    const reserved = this.#relays.reservedAddresses().join(' ')
    if (reserved === this.#announcedRelays) return
    this.#announcedRelays = reserved
    this.announcer.relaysChanged()
  }

  #tick(): void {
    this.#presence.tick()
    this.directory.sweep()
    this.#reservationsChanged()
    this.#peers.tidy((connection) => connection.streams.some(({ protocol }) => SESSION_PROTOCOLS.has(protocol)))
    this.#sensors.keep()
    this.#roundTrips.tick()
    const now = performance.now()
    const isAlone = !this.#hasRelayedDirectory
    if (now - this.#refreshedAt > (isAlone ? DHT_REFRESH_ALONE_MS : DHT_REFRESH_MS)) this.#refresh()
    if (this.#usesDirectory && isAlone && now - this.#toldAt > RECORD_REFRESH_MS) {
      this.#toldAt = now
      for (const peerId of this.#peers.directPeers().slice(0, 2)) {
        const connection = this.#peers.direct(peerId)
        if (connection !== null) this.#exchange.ask(connection, null, []).catch(() => 0)
      }
    }
  }

  #refresh(): void {
    if (this.#refreshing !== null) return
    const own = this.directory.get(this.peerId)?.model.digest
    const digests = new Set([...this.#followed, ...(own === undefined ? [] : [own])])
    this.#refreshing = Promise.all([...digests].map((digest) => this.refreshFromDht(digest))).finally(() => {
      this.#refreshing = null
      this.#refreshedAt = performance.now()
    })
  }
}

const SESSION_PROTOCOLS: ReadonlySet<string> = new Set([INFERENCE_PROTOCOL, PUSH_PROTOCOL])
