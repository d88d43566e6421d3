/**
 * One WebSocket of the `ws` package as a libp2p connection. Own code rather than the library's listener, because the relay
 * shares its port with the page, needs the visitor's real address behind a proxy, and wants back-pressure in both
 * directions: `ws` can stop reading a socket, which the browser-shaped adapter of the library cannot.
 */
import type { Logger } from '@libp2p/interface'
import { AbstractMultiaddrConnection } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { RawData, WebSocket } from 'ws'

/** Beyond this much unsent data the writer has to wait. */
const MAX_BUFFERED_BYTES = 1024 * 1024
/** Keeps middle boxes from forgetting the connection, and finds a peer whose network is gone. */
const PING_INTERVAL_MS = 20_000

export interface WebSocketConnectionInit {
  socket: WebSocket
  remoteAddr: Multiaddr
  direction: 'inbound' | 'outbound'
  log: Logger
  onSent?: (bytes: number) => void
}

type Bytes = Parameters<AbstractMultiaddrConnection['sendData']>[0]
type SendResult = ReturnType<AbstractMultiaddrConnection['sendData']>

export class WebSocketConnection extends AbstractMultiaddrConnection {
  readonly #socket: WebSocket
  readonly #onSent: ((bytes: number) => void) | undefined
  readonly #pings: NodeJS.Timeout
  #hasAnswered = true

  constructor(init: WebSocketConnectionInit) {
    super({ remoteAddr: init.remoteAddr, direction: init.direction, log: init.log })
    this.#socket = init.socket
    this.#onSent = init.onSent
    init.socket.binaryType = 'nodebuffer'
    init.socket.on('message', (data: RawData, isBinary: boolean) => {
      if (isBinary) this.onData(data as Buffer)
      else this.abort(new Error('a text message came where only binary ones are spoken'))
    })
    init.socket.on('error', (error) => this.abort(error))
    init.socket.on('close', (code) => this.#closed(code))
    init.socket.on('pong', () => (this.#hasAnswered = true))
    // Answered by the browser itself even while the page is busy, so this asks for the network, not for the page.
    this.#pings = setInterval(() => this.#ping(), PING_INTERVAL_MS)
    this.#pings.unref()
  }

  override sendData(data: Bytes): SendResult {
    // One frame instead of several: the list is usually a header and its body.
    const bytes = data.subarray()
    this.#socket.send(bytes, { binary: true }, () => this.#drain())
    this.#onSent?.(bytes.byteLength)
    return { sentBytes: bytes.byteLength, canSendMore: this.#socket.bufferedAmount < MAX_BUFFERED_BYTES }
  }

  override sendReset(): void {
    this.#socket.terminate()
  }

  override async sendClose(): Promise<void> {
    this.#socket.close(1000)
  }

  override sendPause(): void {
    this.#socket.pause()
  }

  override sendResume(): void {
    this.#socket.resume()
  }

  #drain(): void {
    if (this.writableNeedsDrain && this.#socket.bufferedAmount < MAX_BUFFERED_BYTES / 2) this.safeDispatchEvent('drain')
  }

  #closed(code: number): void {
    clearInterval(this.#pings)
    // 1005: closed without a code, which is how browsers and libp2p close.
    if (code === 1000 || code === 1001 || code === 1005) this.onTransportClosed()
    else this.onRemoteReset()
  }

  #ping(): void {
    if (!this.#hasAnswered) {
      this.abort(new Error(`no answer to a WebSocket ping within ${PING_INTERVAL_MS} ms`))
      return
    }
    this.#hasAnswered = false
    this.#socket.ping()
  }
}
