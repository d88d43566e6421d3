/**
 * Length-prefixed messages (unsigned varint, then bytes) over a libp2p stream. Own code rather than `lpStream`, for
 * three reasons: a length is refused before a byte of it is kept, reads do not go byte by byte, and a full send buffer is
 * really waited for (the library's `onDrain` answers at once after the first time). WebRTC has no back-pressure for
 * readers: what is not taken in time ends the stream.
 */
import type { Stream } from '@libp2p/interface'
import { describeError, SwarmError } from '../swarm/errors.ts'

export interface LpChannelOptions {
  maxMessageBytes: number
  /** Received and not taken yet; more ends the stream. At least two messages' worth. */
  maxQueuedBytes: number
}

/** Varints of up to 32 bits; longer ones are refused. */
const MAX_PREFIX_BYTES = 5

interface Waiter {
  resolve: (message: Uint8Array | null) => void
  reject: (error: Error) => void
}

export class LpChannel {
  readonly stream: Stream
  readonly #options: LpChannelOptions
  readonly #queue: Uint8Array[] = []
  #queuedBytes = 0
  #chunks: Uint8Array[] = []
  #chunkBytes = 0
  /** Length of the message whose bytes are arriving; null while its prefix is not complete. */
  #awaited: number | null = null
  #waiter: Waiter | null = null
  #end: { error: Error | null } | null = null
  #sending: Promise<void> = Promise.resolve()
  #isAbortedHere = false

  constructor(stream: Stream, options: LpChannelOptions) {
    this.stream = stream
    this.#options = options
    stream.addEventListener('message', (event) => this.#receive(event.data.subarray()))
    stream.addEventListener('remoteCloseWrite', () => this.#finish(null))
    stream.addEventListener('close', (event) => this.#finish(event.error ?? null))
  }

  /** Whether this side cut the stream, for whatever reason of its own. */
  get isAbortedHere(): boolean {
    return this.#isAbortedHere
  }

  /** Whether nothing more will arrive. */
  get isEnded(): boolean {
    return this.#end !== null
  }

  /** Messages leave in the order of the calls. Resolves when the transport has room again. */
  send(message: Uint8Array): Promise<void> {
    const sent = this.#sending.then(() => this.#write(message))
    this.#sending = sent.catch(() => undefined)
    return sent
  }

  /** Next message; null when the other side closed cleanly. One reader at a time. */
  receive(signal?: AbortSignal): Promise<Uint8Array | null> {
    signal?.throwIfAborted()
    const next = this.#queue.shift()
    if (next !== undefined) {
      this.#queuedBytes -= next.byteLength
      return Promise.resolve(next)
    }
    if (this.#end !== null) return this.#end.error === null ? Promise.resolve(null) : Promise.reject(this.#end.error)
    if (this.#waiter !== null) throw new Error('bug: two readers of one channel')
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiter = null
        reject(signal?.reason instanceof Error ? signal.reason : new Error('aborted'))
      }
      const done = (): void => signal?.removeEventListener('abort', onAbort)
      this.#waiter = {
        resolve: (message) => (done(), resolve(message)),
        reject: (error) => (done(), reject(error)),
      }
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** Ends our direction after what was sent; then the stream is let go, so that nothing lingers. */
  async close(): Promise<void> {
    await this.#sending
    if (this.stream.status !== 'open') return
    try {
      await this.stream.close({ signal: AbortSignal.timeout(1_000) })
    } catch (error) {
      this.#cut(error instanceof Error ? error : new Error(describeError(error)))
    }
  }

  abort(error: Error): void {
    this.#cut(error)
    this.#finish(error)
  }

  #cut(error: Error): void {
    this.#isAbortedHere = true
    this.stream.abort(error)
  }

  async #write(message: Uint8Array): Promise<void> {
    if (this.stream.status !== 'open') throw this.#end?.error ?? new Error('the stream is closed')
    const framed = withPrefix(message)
    if (!this.stream.send(framed)) await drained(this.stream)
  }

  #receive(bytes: Uint8Array): void {
    if (this.#end !== null) return
    this.#chunks.push(bytes)
    this.#chunkBytes += bytes.byteLength
    try {
      for (let message = this.#take(); message !== null; message = this.#take()) this.#deliver(message)
    } catch (error) {
      this.abort(error as Error)
    }
  }

  #take(): Uint8Array | null {
    if (this.#awaited === null) {
      const prefix = this.#readPrefix()
      if (prefix === null) return null
      if (prefix.length > this.#options.maxMessageBytes) {
        throw new SwarmError(
          'BAD_FRAME',
          `a message of ${prefix.length} bytes exceeds ${this.#options.maxMessageBytes}`,
        )
      }
      this.#shift(prefix.bytes)
      this.#awaited = prefix.length
    }
    if (this.#chunkBytes < this.#awaited) return null
    const message = this.#shift(this.#awaited)
    this.#awaited = null
    return message
  }

  #readPrefix(): { length: number; bytes: number } | null {
    let length = 0
    let bytes = 0
    for (const chunk of this.#chunks) {
      for (const byte of chunk) {
        length += (byte & 0x7f) * 2 ** (7 * bytes)
        bytes += 1
        if (byte < 0x80) return { length, bytes }
        if (bytes === MAX_PREFIX_BYTES) throw new SwarmError('BAD_FRAME', 'the length of a message does not end')
      }
    }
    return null
  }

  /** Takes `count` bytes off the front; a message that lies in one chunk is not copied. */
  #shift(count: number): Uint8Array {
    this.#chunkBytes -= count
    const first = this.#chunks[0]
    if (first !== undefined && first.byteLength >= count) {
      const rest = first.subarray(count)
      if (rest.byteLength === 0) this.#chunks.shift()
      else this.#chunks[0] = rest
      return first.subarray(0, count)
    }
    const message = new Uint8Array(count)
    let filled = 0
    while (filled < count) {
      const chunk = this.#chunks[0] as Uint8Array
      const used = chunk.subarray(0, count - filled)
      message.set(used, filled)
      filled += used.byteLength
      if (used.byteLength === chunk.byteLength) this.#chunks.shift()
      else this.#chunks[0] = chunk.subarray(used.byteLength)
    }
    return message
  }

  #deliver(message: Uint8Array): void {
    const waiter = this.#waiter
    if (waiter !== null) {
      this.#waiter = null
      waiter.resolve(message)
      return
    }
    this.#queue.push(message)
    this.#queuedBytes += message.byteLength
    if (this.#queuedBytes > this.#options.maxQueuedBytes) {
      throw new SwarmError(
        'BAD_FRAME',
        `${this.#queuedBytes} bytes wait to be read, more than ${this.#options.maxQueuedBytes}`,
      )
    }
  }

  #finish(error: Error | null): void {
    if (this.#end !== null) {
      // A clean end may still be followed by a reset; whoever reads next learns of it.
      if (error !== null && this.#end.error === null && this.#queue.length === 0) this.#end = { error }
      return
    }
    const isCut = error === null && (this.#chunkBytes > 0 || this.#awaited !== null)
    this.#end = { error: isCut ? new SwarmError('BAD_FRAME', 'the stream ended inside a message') : error }
    const waiter = this.#waiter
    if (waiter === null) return
    this.#waiter = null
    if (this.#end.error === null) waiter.resolve(null)
    else waiter.reject(this.#end.error)
  }
}

export function withPrefix(message: Uint8Array): Uint8Array {
  const prefix: number[] = []
  let rest = message.byteLength
  while (rest >= 0x80) {
    prefix.push((rest % 0x80) | 0x80)
    rest = Math.floor(rest / 0x80)
  }
  prefix.push(rest)
  const framed = new Uint8Array(prefix.length + message.byteLength)
  framed.set(prefix)
  framed.set(message, prefix.length)
  return framed
}

function drained(stream: Stream): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      stream.removeEventListener('drain', onDrain)
      stream.removeEventListener('close', onClose)
    }
    const onDrain = (): void => (done(), resolve())
    const onClose = (event: { error?: Error | undefined }): void => {
      done()
      reject(event.error ?? new Error('the stream closed before everything was sent'))
    }
    stream.addEventListener('drain', onDrain)
    stream.addEventListener('close', onClose)
  })
}
