/**
 * Frames of `swarm/codec.ts` over a libp2p stream. Every loss of the stream becomes PEER_LOST with the peer's id, so that
 * whoever uses it never sees a library's error; what the other side does wrong stays BAD_FRAME or WRONG_VERSION.
 */
import type { Connection, Stream } from '@libp2p/interface'
import { decodeFrame, encodeFrame, type Frame } from '../swarm/codec.ts'
import { describeError, SwarmError } from '../swarm/errors.ts'
import { MAX_FRAME_BYTES } from '../swarm/limits.ts'
import { LpChannel } from './lp-channel.ts'
import { isDirect } from './multiaddr.ts'
import type { FrameStream } from './types.ts'

/** A prefill's chunks may arrive faster than they are computed; four frames of the largest kind. */
const MAX_QUEUED_BYTES = 4 * MAX_FRAME_BYTES

export interface FrameStreamHooks {
  /** Something arrived: the peer lives. */
  onReceived?: (bytes: number) => void
  onSent?: (bytes: number) => void
  /**
   * The stream is over; called once. An error only where it broke by itself: one that either side cut on purpose (sessions
   * end so) says that both live.
   */
  onEnd?: (error: Error | null) => void
}

export class Libp2pFrameStream implements FrameStream {
  readonly peerId: string
  readonly direct: boolean
  readonly #channel: LpChannel
  readonly #hooks: FrameStreamHooks

  constructor(stream: Stream, connection: Connection, hooks: FrameStreamHooks = {}) {
    this.peerId = connection.remotePeer.toString()
    this.direct = isDirect(connection.remoteAddr)
    this.#hooks = hooks
    this.#channel = new LpChannel(stream, { maxMessageBytes: MAX_FRAME_BYTES, maxQueuedBytes: MAX_QUEUED_BYTES })
    let isOver = false
    stream.addEventListener('close', (event) => {
      if (isOver) return
      isOver = true
      const isBroken = stream.status === 'aborted' && !this.#channel.isAbortedHere
      hooks.onEnd?.(isBroken ? (event.error ?? null) : null)
    })
  }

  async send(frame: Frame): Promise<void> {
    const bytes = encodeFrame(frame)
    try {
      await this.#channel.send(bytes)
    } catch (error) {
      throw this.#lost(error)
    }
    this.#hooks.onSent?.(bytes.byteLength)
  }

  async receive(signal?: AbortSignal): Promise<Frame | null> {
    let bytes: Uint8Array | null
    try {
      bytes = await this.#channel.receive(signal)
    } catch (error) {
      if (signal?.aborted === true) throw error
      throw this.#lost(error)
    }
    if (bytes === null) return null
    this.#hooks.onReceived?.(bytes.byteLength)
    return decodeFrame(bytes)
  }

  async close(): Promise<void> {
    await this.#channel.close()
  }

  abort(error: Error): void {
    this.#channel.abort(error)
  }

  #lost(error: unknown): SwarmError {
    if (error instanceof SwarmError) return error
    return new SwarmError('PEER_LOST', `the stream to peer ${this.peerId} ended: ${describeError(error)}`, {
      retryable: true,
      peerId: this.peerId,
      cause: error,
    })
  }
}
