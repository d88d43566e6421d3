/**
 * The relay's libp2p transport: WebSockets that arrive as upgrades on the page's own HTTP port, and WebSockets to other
 * relays. It opens no port. Small messages must not wait for a delayed ACK, so `TCP_NODELAY` is set on every socket, and
 * per-message compression is off (it costs memory a connection and what passes is encrypted anyway).
 */
import { setMaxListeners } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  ConnectionFailedError,
  TypedEventEmitter,
  transportSymbol,
  type ComponentLogger,
  type Connection,
  type CreateListenerOptions,
  type DialTransportOptions,
  type Listener,
  type ListenerEvents,
  type Transport,
  type Upgrader,
} from '@libp2p/interface'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import { WebSocket, WebSocketServer } from 'ws'
import { trustedCertificates } from '../../net/websocket-node.ts'
import { describeError } from '../../swarm/errors.ts'
import { countedAddress } from '../addresses.ts'
import { remoteOf, type Remote, type TrustedProxies } from '../forwarded.ts'
import type { Admission, Refusal } from './admission.ts'
import { WebSocketConnection } from './websocket-connection.ts'

/** A frame of ours is at most a few hundred kilobytes; a longer message closes the socket. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024
/** "Try again later". */
const CLOSE_REFUSED = 1013

export interface SharedPortOptions {
  /** Listening addresses, known because the port is open already. */
  addresses: readonly string[]
  admission: Admission
  onRefused: (refusal: Refusal) => void
  onSent: (bytes: number) => void
  /** A peer came in; its handshake took this long. */
  onJoined: (seconds: number) => void
  /** A handshake ended without a connection. */
  onJoinFailed: () => void
  /** Proxies whose X-Forwarded-For is believed. */
  trustedProxies: TrustedProxies
}

export class SharedPortWebSockets implements Transport {
  readonly [transportSymbol] = true as const
  readonly [Symbol.toStringTag] = '@tabswarm/shared-port-websockets'
  readonly #options: SharedPortOptions
  readonly #logger: ComponentLogger
  readonly #server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
    clientTracking: true,
  })
  #upgrader: Upgrader | null = null
  #closing = new AbortController()

  constructor(options: SharedPortOptions, logger: ComponentLogger) {
    this.#options = options
    this.#logger = logger
    // Every handshake under way listens to it.
    setMaxListeners(0, this.#closing.signal)
  }

  /** Takes an upgrade from the HTTP server that owns the port. */
  accept(req: IncomingMessage, socket: Duplex, head: Buffer): void {
    const upgrader = this.#upgrader
    if (upgrader === null || this.#closing.signal.aborted) {
      socket.destroy()
      return
    }
    const remote = remoteOf(req, this.#options.trustedProxies)
    const { admission } = this.#options
    const counted = countedAddress(remote.address)
    const refusal = admission.join(counted)
    if (refusal !== null) {
      this.#refuse(req, socket, head, refusal)
      return
    }
    let isCounted = true
    const leave = (): void => {
      if (isCounted) admission.left(counted)
      isCounted = false
    }
    ;(socket as Socket).setNoDelay(true)
    let isPending = true
    const settle = (): void => {
      if (isPending) admission.settled(counted)
      isPending = false
    }
    socket.once('close', () => (settle(), leave()))
    const startedAt = performance.now()
    this.#server.handleUpgrade(req, socket, head, (webSocket) => {
      const connection = new WebSocketConnection({
        socket: webSocket,
        remoteAddr: multiaddr(addressOf(remote)),
        direction: 'inbound',
        log: this.#logger.forComponent('tabswarm:relay:websocket'),
        onSent: this.#options.onSent,
      })
      upgrader.upgradeInbound(connection, { signal: this.#closing.signal }).then(
        () => {
          settle()
          this.#options.onJoined((performance.now() - startedAt) / 1_000)
        },
        (error: unknown) => {
          settle()
          this.#options.onJoinFailed()
          connection.abort(error instanceof Error ? error : new Error(describeError(error)))
        },
      )
    })
  }

  async dial(address: Multiaddr, options: DialTransportOptions): Promise<Connection> {
    const socket = await openSocket(urlOf(address), options.signal)
    const connection = new WebSocketConnection({
      socket,
      remoteAddr: address,
      direction: 'outbound',
      log: this.#logger.forComponent('tabswarm:relay:websocket'),
      onSent: this.#options.onSent,
    })
    try {
      return await options.upgrader.upgradeOutbound(connection, options)
    } catch (error) {
      connection.abort(error instanceof Error ? error : new Error(describeError(error)))
      throw error
    }
  }

  createListener(options: CreateListenerOptions): Listener {
    this.#upgrader = options.upgrader
    return new SharedPortListener(
      this.#options.addresses.map((address) => multiaddr(address)),
      () => this.#close(),
    )
  }

  listenFilter(addresses: Multiaddr[]): Multiaddr[] {
    return addresses.filter(isWebSocket)
  }

  dialFilter(addresses: Multiaddr[]): Multiaddr[] {
    return addresses.filter(isWebSocket)
  }

  /** Names the limit in the close reason: a browser shows neither status nor text of a refused upgrade. */
  #refuse(req: IncomingMessage, socket: Duplex, head: Buffer, refusal: Refusal): void {
    this.#options.onRefused(refusal)
    if (!this.#options.admission.mayExplain()) {
      socket.destroy()
      return
    }
    this.#server.handleUpgrade(req, socket, head, (webSocket) => {
      webSocket.on('error', () => webSocket.terminate())
      webSocket.close(CLOSE_REFUSED, `${refusal.limit}: ${refusal.text}`.slice(0, 123))
      // Whoever does not answer the close is not waited for.
      setTimeout(() => webSocket.terminate(), 1_000).unref()
    })
  }

  async #close(): Promise<void> {
    this.#upgrader = null
    this.#closing.abort()
    for (const client of this.#server.clients) client.terminate()
    this.#server.close()
  }
}

/** Stands for the shared port in libp2p's list of listeners. */
class SharedPortListener extends TypedEventEmitter<ListenerEvents> implements Listener {
  readonly #addresses: Multiaddr[]
  readonly #onClose: () => Promise<void>

  constructor(addresses: Multiaddr[], onClose: () => Promise<void>) {
    super()
    this.#addresses = addresses
    this.#onClose = onClose
  }

  async listen(): Promise<void> {
    this.safeDispatchEvent('listening')
  }

  getAddrs(): Multiaddr[] {
    return this.#addresses
  }

  async close(): Promise<void> {
    await this.#onClose()
    this.safeDispatchEvent('close')
  }

  updateAnnounceAddrs(): void {
    // Nothing to add to an address: no certificate hashes here.
  }
}

function addressOf({ address, port }: Remote): string {
  return `/${address.includes(':') ? 'ip6' : 'ip4'}/${address}/tcp/${port}/ws`
}

function isWebSocket(address: Multiaddr): boolean {
  const text = address.toString()
  return /\/tcp\/\d+\/(ws|wss|tls\/ws)(\/p2p\/[^/]+)?$/u.test(text)
}

function urlOf(address: Multiaddr): string {
  const [host, port] = address.getComponents()
  const isSecure = /\/(wss|tls\/ws)/u.test(address.toString())
  const name = host?.name === 'ip6' ? `[${host.value}]` : host?.value
  return `${isSecure ? 'wss' : 'ws'}://${name}:${port?.value}/`
}

function openSocket(url: string, signal: AbortSignal): Promise<WebSocket> {
  signal.throwIfAborted()
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, {
      ...trustedCertificates(),
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE_BYTES,
    })
    const fail = (reason: string): void => {
      signal.removeEventListener('abort', onAbort)
      socket.on('error', () => undefined)
      socket.terminate()
      reject(new ConnectionFailedError(`no WebSocket to ${url}: ${reason}`))
    }
    const onAbort = (): void => fail('given up')
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('upgrade', (response) => response.socket.setNoDelay(true))
    socket.once('error', (error) => fail(describeError(error)))
    socket.once('open', () => {
      signal.removeEventListener('abort', onAbort)
      socket.removeAllListeners('error')
      resolve(socket)
    })
  })
}
