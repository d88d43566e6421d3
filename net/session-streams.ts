/**
 * The streams that frames of sessions run on, opened and taken: on the way that `session-paths.ts` finds, once more where a connection
 * turns out to be dead, with every byte counted and every frame heard as a sign of life.
 */
import type { Connection, Stream } from '@libp2p/interface'
import { describeError, SwarmError } from '../swarm/errors.ts'
import { MAX_SESSIONS } from '../swarm/limits.ts'
import { Libp2pFrameStream } from './frame-stream.ts'
import type { Liveness } from './liveness.ts'
import { isDirect } from './multiaddr.ts'
import type { Peers } from './peers.ts'
import type { SessionPaths } from './session-paths.ts'

/** A connection that has just refused a stream: an answer in this time says that it was a refusal. */
const LIVES_MS = 500

export interface SessionStreamsOptions {
  paths: Pick<SessionPaths, 'connect' | 'count'>
  liveness: Pick<Liveness, 'watch' | 'ask' | 'heard'>
  peers: Pick<Peers, 'direct' | 'suspect'>
  /** Bytes that came or went, and whether they crossed a relay. */
  onBytes: (received: number, sent: number, relayed: boolean) => void
}

export class SessionStreams {
  readonly #options: SessionStreamsOptions

  constructor(options: SessionStreamsOptions) {
    this.#options = options
  }

  /**
   * `isWatched`: the peer is under heartbeats as long as the stream lives.
   * @throws SwarmError DIAL_FAILED, PEER_LOST; the signal's reason
   */
  async open(
    peerId: string,
    protocol: string,
    signal: AbortSignal,
    { isWatched }: { isWatched: boolean },
  ): Promise<Libp2pFrameStream> {
    const { paths, liveness } = this.#options
    const connection = await paths.connect(peerId, signal)
    // Not before: a peer that is still being dialled cannot answer, and would be taken for dead in the middle of it.
    const stopWatching = isWatched ? liveness.watch(peerId) : () => undefined
    try {
      return await this.#openLiving(connection, protocol, signal, stopWatching)
    } catch (error) {
      stopWatching()
      throw error
    }
  }

  /** A stream that the other side opened. */
  take(stream: Stream, connection: Connection): Libp2pFrameStream {
    return this.#wrap(stream, connection, () => undefined)
  }

  /** Once more where the connection turns out to be dead: who has slept, or whose other side has, was not told of its end. */
  async #openLiving(
    connection: Connection,
    protocol: string,
    signal: AbortSignal,
    onEnd: () => void,
  ): Promise<Libp2pFrameStream> {
    const { paths, peers, liveness } = this.#options
    const peerId = connection.remotePeer.toString()
    try {
      return await this.#openOn(connection, protocol, signal, onEnd)
    } catch (error) {
      if (signal.aborted || !isDirect(connection.remoteAddr)) throw error
      const isInUse = connection.status === 'open' && peers.direct(peerId) === connection
      if (isInUse && (await liveness.ask(peerId, LIVES_MS))) throw error
      connection.abort(new Error('it takes no stream and answers nothing'))
      return this.#openOn(await paths.connect(peerId, signal), protocol, signal, onEnd)
    }
  }

  async #openOn(
    connection: Connection,
    protocol: string,
    signal: AbortSignal,
    onEnd: () => void,
  ): Promise<Libp2pFrameStream> {
    const peerId = connection.remotePeer.toString()
    let stream: Stream
    try {
      stream = await connection.newStream(protocol, {
        signal,
        maxOutboundStreams: 4 * MAX_SESSIONS,
        runOnLimitedConnection: true,
      })
    } catch (error) {
      if (signal.aborted) throw error
      throw new SwarmError('PEER_LOST', `peer ${peerId} did not take a stream: ${describeError(error)}`, {
        retryable: true,
        peerId,
        cause: error,
      })
    }
    return this.#wrap(stream, connection, onEnd)
  }

  #wrap(stream: Stream, connection: Connection, onEnd: () => void): Libp2pFrameStream {
    const { paths, peers, liveness, onBytes } = this.#options
    const peerId = connection.remotePeer.toString()
    const relayed = !isDirect(connection.remoteAddr)
    const count = (received: number, sent: number): void => {
      onBytes(received, sent, relayed)
      if (relayed) paths.count(connection, received + sent)
    }
    return new Libp2pFrameStream(stream, connection, {
      onReceived: (bytes) => {
        liveness.heard(peerId)
        count(bytes, 0)
      },
      onSent: (bytes) => count(0, bytes),
      onEnd: (error) => {
        onEnd()
        // A stream that breaks while its connection stands is a hint; the connection's own end has its own handling.
        if (error !== null && connection.status === 'open') void peers.suspect(peerId, 'stream-error', true)
      },
    })
  }
}
