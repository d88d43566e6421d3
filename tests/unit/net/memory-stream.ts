/** Two `FrameStream`s joined in memory: frames are encoded and decoded on the way, as on a real stream. */
import { decodeFrame, encodeFrame, type Frame } from '../../../swarm/codec.ts'
import { SwarmError } from '../../../swarm/errors.ts'
import type { FrameStream } from '../../../net/types.ts'

class MemoryStream implements FrameStream {
  readonly direct = true
  readonly peerId: string
  other: MemoryStream | null = null
  readonly #queue: Uint8Array[] = []
  #end: { error: Error | null } | null = null
  /** By this side. */
  #closed = false
  #waiter: (() => void) | null = null

  constructor(peerId: string) {
    this.peerId = peerId
  }

  async send(frame: Frame): Promise<void> {
    // As a real stream: what is sent after the end is an error, not silence.
    if (this.#closed) throw this.#end?.error ?? new Error('the stream is closed')
    this.sendBytes(encodeFrame(frame))
  }

  /** Bytes that need not be a frame: what a hostile peer would send. */
  sendBytes(bytes: Uint8Array): void {
    this.other?.arrive(bytes)
  }

  arrive(bytes: Uint8Array): void {
    if (this.#end !== null) return
    this.#queue.push(bytes)
    this.#wake()
  }

  async receive(signal?: AbortSignal): Promise<Frame | null> {
    for (;;) {
      const bytes = this.#queue.shift()
      if (bytes !== undefined) return decodeFrame(bytes)
      if (this.#end !== null) {
        if (this.#end.error === null) return null
        throw new SwarmError('PEER_LOST', this.#end.error.message, { peerId: this.peerId, retryable: true })
      }
      await new Promise<void>((resolve, reject) => {
        this.#waiter = resolve
        signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      })
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.other?.finish(null)
    this.finish(null)
  }

  abort(error: Error): void {
    this.#closed = true
    this.other?.finish(error)
    this.finish(error)
  }

  finish(error: Error | null): void {
    this.#end ??= { error }
    this.#wake()
  }

  #wake(): void {
    this.#waiter?.()
    this.#waiter = null
  }
}

/** `[what `a` holds (its peer is b), what `b` holds]`. */
export function memoryPair(a: string, b: string): [MemoryStream, MemoryStream] {
  const atA = new MemoryStream(b)
  const atB = new MemoryStream(a)
  atA.other = atB
  atB.other = atA
  return [atA, atB]
}

export type { MemoryStream }
