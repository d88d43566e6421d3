/**
 * The relay's side of DIRECTORY_PROTOCOL: tells a peer the time, takes its signed record, sends everybody every change
 * within milliseconds, and reports whose connection ended (the death sensor). It checks signatures and keeps no other
 * state than fresh records; it is never asked on the token path.
 */
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import type { DirectoryStore } from '../net/directory-store.ts'
import { fromBase64 } from '../net/json-channel.ts'
import { peerIdOfAddress } from '../net/multiaddr.ts'
import { answersPing } from '../net/ping.ts'
import { verifySignature } from '../net/record-crypto.ts'
import { SwarmError, describeError } from '../swarm/errors.ts'
import { openRecord, type SignedRecord } from '../swarm/peer-record.ts'
import { DIRECTORY_PROTOCOL, isSameMajor, PROTOCOL_VERSION } from '../swarm/protocol.ts'
import type { PeerRole } from '../net/directory-messages.ts'
import { Departures } from './departures.ts'
import { DirectoryPeer } from './directory-peer.ts'
import type { RelayLimits } from './limits.ts'
import type { RelayLog } from './log.ts'
import { RecordQuota } from './record-quota.ts'
import type { Refusals } from './refusals.ts'
import { addressOfConnection } from './swarm/circuit-guard.ts'

const HELLO_TIMEOUT_MS = 5_000
/** An older stream of the same identity that does not answer within this is a leftover of a broken connection. */
const IDENTITY_PING_MS = 1_000
/** Refused records after which a peer is sent away. */
const MAX_BAD_RECORDS = 10
const SWEEP_INTERVAL_MS = 1_000

export interface DirectoryServiceOptions {
  libp2p: Libp2p
  /** Off: peers are told the time and nothing else, and find each other by the DHT alone. */
  isOn: boolean
  store: DirectoryStore
  limits: Pick<RelayLimits, 'maxRecordsPerAddress' | 'maxRecords' | 'maxRecordBytes' | 'reservationTtlMs'>
  log: RelayLog
  refusals: Refusals
  /** Whether a directory stream to that relay is open, see `relay-links.ts`. */
  isLinked: (relayId: string) => boolean
  /** Somebody said hello in this version of the protocol; it is what the other side says, and may be anything. */
  onHello: (version: string) => void
  /** What whoever joins has to know of limits; null while there is nothing. */
  notice: () => Refused | null
  /** Another relay said hello: a stream back to it brings its records here. */
  onRelayHello: (connection: Connection) => void
}

export class DirectoryService {
  readonly #options: DirectoryServiceOptions
  readonly #peers = new Map<string, DirectoryPeer>()
  readonly #quota: RecordQuota
  readonly #departures: Departures
  readonly #sweep: NodeJS.Timeout
  #isStopping = false

  private constructor(options: DirectoryServiceOptions) {
    this.#options = options
    this.#quota = new RecordQuota(options.limits.maxRecordsPerAddress)
    this.#departures = new Departures({
      isConnected: (peerId) => this.#isConnected(peerId),
      relaysOf: (peerId) => this.#relaysOf(peerId),
      isLinked: options.isLinked,
    })
    this.#sweep = setInterval(() => options.store.sweep(), SWEEP_INTERVAL_MS)
    this.#sweep.unref()
  }

  static async start(options: DirectoryServiceOptions): Promise<DirectoryService> {
    const service = new DirectoryService(options)
    const { libp2p, store } = options
    if (options.isOn) store.onRecord((signed) => service.#fanOut(signed))
    libp2p.addEventListener('peer:disconnect', (event) => service.#onDisconnect(event.detail.toString()))
    await libp2p.handle(
      DIRECTORY_PROTOCOL,
      (stream, connection) => {
        service.#serve(stream, connection).catch((error: unknown) => {
          stream.abort(error instanceof Error ? error : new Error(describeError(error)))
        })
      },
      { maxInboundStreams: 4, maxOutboundStreams: 4 },
    )
    return service
  }

  /** Peers with an open directory stream. */
  countPeers(role: PeerRole): number {
    return [...this.#peers.values()].filter((peer) => peer.role === role).length
  }

  /** A linked relay reports that a peer's connection to it ended. */
  onGoneReport(peerId: string, relayId: string): void {
    if (this.#options.isOn && this.#departures.onReport(peerId, relayId)) this.#declareGone(peerId, false)
  }

  /** Names a limit to a peer that has a directory stream; does nothing for others. */
  tellRefusal(peerId: string, limit: string, text: string): void {
    this.#peers.get(peerId)?.send({ type: 'refused', limit, text })
  }

  /** Names a limit to everybody. */
  tellAll(refused: Refused): void {
    for (const peer of this.#peers.values()) peer.send({ type: 'refused', ...refused })
  }

  /**
   * Tells everybody that the relay is about to go and after how long it is back (0: it does not say; null: nothing is told);
   * nobody is reported gone from here on.
   */
  async stop(backAfterMs: number | null): Promise<void> {
    this.#isStopping = true
    clearInterval(this.#sweep)
    const peers = [...this.#peers.values()]
    if (backAfterMs !== null) {
      for (const peer of peers) peer.send({ type: 'restarting', inMs: 0, forMs: backAfterMs })
      this.#options.log.info('stopping; everyone is told', { peers: peers.length, backInSeconds: backAfterMs / 1_000 })
    }
    await Promise.race([Promise.all(peers.map((peer) => peer.channel.close())), sleep(250)])
    await this.#options.libp2p.unhandle(DIRECTORY_PROTOCOL)
  }

  async #serve(stream: Stream, connection: Connection): Promise<void> {
    const peer = new DirectoryPeer(stream, connection, (slow) =>
      this.#options.refusals.note(slow.peerId, 'slow-reader', 'it does not read what it is sent'),
    )
    const hello = await peer.channel.receive(AbortSignal.timeout(HELLO_TIMEOUT_MS))
    if (hello === null) return peer.channel.close()
    const refusal = this.#refuseHello(hello, peer) ?? (await this.#refuseIdentity(peer))
    if (refusal !== null) {
      this.#options.refusals.note(peer.peerId, refusal.limit, refusal.text)
      await peer.refuse(refusal.limit, refusal.text)
      // A second connection of one peer id would hide the end of the first.
      if (refusal.limit === 'identity') await connection.close()
      return
    }
    if (stream.status !== 'open' || this.#isStopping) return
    peer.role = roleOf(hello['role'])
    this.#peers.set(peer.peerId, peer)
    peer.send({
      type: 'welcome',
      version: PROTOCOL_VERSION,
      time: Date.now(),
      peerId: peer.peerId,
      reservationTtlMs: this.#options.limits.reservationTtlMs,
    })
    const notice = this.#options.notice()
    if (notice !== null) peer.send({ type: 'refused', ...notice })
    if (this.#options.isOn) peer.sendRecords(this.#options.store.signedRecords())
    if (peer.role === 'relay') this.#options.onRelayHello(connection)
    try {
      await this.#listen(peer)
    } finally {
      if (this.#peers.get(peer.peerId) === peer) this.#peers.delete(peer.peerId)
    }
    await peer.channel.close()
  }

  async #listen(peer: DirectoryPeer): Promise<void> {
    let badRecords = 0
    for (;;) {
      const message = await peer.channel.receive()
      if (message === null) return
      if (message['type'] === 'ping') peer.send({ type: 'pong', id: Number(message['id']) })
      if (message['type'] !== 'publish' || !this.#options.isOn) continue
      const refusal = await this.#publish(peer, message['record'])
      if (refusal === null) continue
      this.#options.refusals.note(peer.peerId, refusal.limit, refusal.text)
      badRecords += 1
      if (badRecords >= MAX_BAD_RECORDS) return peer.refuse(refusal.limit, refusal.text)
      peer.send({ type: 'refused', ...refusal })
    }
  }

  #refuseHello(hello: Record<string, unknown>, peer: DirectoryPeer): Refused | null {
    const version = hello['version']
    this.#options.onHello(String(version))
    if (hello['type'] !== 'hello' || typeof version !== 'string') {
      return { limit: 'hello', text: 'The first message on a directory stream must be a hello with a version.' }
    }
    if (!this.#quota.takeHello(peer.peerId, addressOfConnection(peer.connection))) {
      return {
        limit: 'hellos-per-second',
        text: 'You, or others of your address, join too often; try again in a while.',
      }
    }
    if (isSameMajor(version, PROTOCOL_VERSION)) return null
    const text = `This relay speaks version ${PROTOCOL_VERSION} and you speak ${version.slice(0, 20)}. Reload the page or update tabswarm.`
    return { limit: 'version', text }
  }

  /** The same identity twice: a living older one stays, a dead one makes way. */
  async #refuseIdentity(peer: DirectoryPeer): Promise<Refused | null> {
    const older = this.#peers.get(peer.peerId)
    if (older === undefined) {
      await this.#dropLeftovers(peer)
      return null
    }
    if (older.connection !== peer.connection && (await answersPing(older.connection, IDENTITY_PING_MS))) {
      const text =
        'This identity is already in the swarm from another tab or process. Close that one, or use another identity.'
      return { limit: 'identity', text }
    }
    older.channel.abort(new Error('replaced by a newer stream of the same peer'))
    if (older.connection !== peer.connection) older.connection.abort(new Error('replaced by a newer connection'))
    return null
  }

  /** Connections that the peer gave up while we could not be told: others would be led to it over them. */
  async #dropLeftovers(peer: DirectoryPeer): Promise<void> {
    const others = this.#options.libp2p
      .getConnections(peer.connection.remotePeer)
      .filter((connection) => connection !== peer.connection && connection.limits === undefined)
    await Promise.all(
      others.map(async (connection) => {
        if (!(await answersPing(connection, IDENTITY_PING_MS)))
          connection.abort(new Error('left over from before a newer connection'))
      }),
    )
  }

  async #publish(peer: DirectoryPeer, text: unknown): Promise<Refused | null> {
    const { store, limits } = this.#options
    if (!this.#quota.takePublish(peer.peerId, addressOfConnection(peer.connection))) {
      return { limit: 'publishes-per-second', text: 'You publish too often; a record lives 90 seconds.' }
    }
    const bytes = typeof text === 'string' ? fromBase64(text) : null
    if (bytes === null) return { limit: 'record', text: 'The published record is not base64.' }
    if (bytes.length > limits.maxRecordBytes) {
      return {
        limit: 'max-record-bytes',
        text: `A record of ${bytes.length} bytes is longer than ${limits.maxRecordBytes}.`,
      }
    }
    let signed: SignedRecord
    try {
      signed = await openRecord(bytes, verifySignature)
    } catch (error) {
      if (!(error instanceof SwarmError)) throw error
      return { limit: 'record', text: error.message }
    }
    const { peerId } = signed.record
    if (peerId !== peer.peerId)
      return { limit: 'record', text: `You are ${peer.peerId} and published a record of ${peerId}.` }
    if (!this.#quota.takePlace(peerId, addressOfConnection(peer.connection))) {
      const most = limits.maxRecordsPerAddress
      return {
        limit: 'max-records-per-address',
        text: `${most} peers of your address are listed already; use another relay.`,
      }
    }
    switch (store.addVerified(signed)) {
      case 'full':
        return { limit: 'max-records', text: `This relay lists ${limits.maxRecords} peers already; use another relay.` }
      case 'expired':
        return { limit: 'record-time', text: 'The record is not fresh; correct the clock by the time in the welcome.' }
      case 'added':
      case 'known':
        return null
    }
  }

  #fanOut(signed: SignedRecord): void {
    this.#departures.onRecord(signed.record.peerId)
    for (const peer of this.#peers.values()) {
      if (peer.peerId !== signed.record.peerId) peer.sendRecords([signed])
    }
  }

  #onDisconnect(peerId: string): void {
    const wasHere = this.#peers.delete(peerId)
    this.#quota.release(peerId)
    if (this.#isStopping || !this.#options.isOn) return
    // Other relays are told in any case: whoever of us loses the peer last knows that it is gone.
    if (this.#options.store.get(peerId) !== undefined) this.#tell('relay', peerId)
    if (this.#departures.onDisconnect(peerId)) this.#declareGone(peerId, wasHere)
  }

  /** Tells everybody, unless it is known; a peer without a record is of interest to those it talked to only. */
  #declareGone(peerId: string, wasHere: boolean): void {
    const wasListed = this.#options.store.markGone(peerId)
    if (wasListed || wasHere) this.#tell('tab', peerId)
    if (wasListed) this.#tell('relay', peerId)
  }

  #tell(who: 'relay' | 'tab', peerId: string): void {
    for (const peer of this.#peers.values()) {
      if ((peer.role === 'relay') === (who === 'relay')) peer.send({ type: 'gone', peerId })
    }
  }

  #isConnected(peerId: string): boolean {
    return this.#options.libp2p.getConnections().some((connection) => connection.remotePeer.toString() === peerId)
  }

  #relaysOf(peerId: string): string[] {
    const own = this.#options.libp2p.peerId.toString()
    const relays = this.#options.store.get(peerId)?.relays ?? []
    return relays.flatMap((address) => peerIdOfAddress(address) ?? []).filter((id) => id !== own)
  }
}

export interface Refused {
  limit: string
  text: string
}

function roleOf(value: unknown): PeerRole {
  return value === 'donor' || value === 'relay' ? value : 'client'
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}
