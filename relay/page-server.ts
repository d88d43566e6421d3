/**
 * The HTTP half of a relay, and all of the server behind a headless donor tab: the page, `/config.json`, the model mirror,
 * health and metrics on one port. WebSocket upgrades are handed on. It sees no prompt and reads nothing from the network.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https'
import { isIPv6 } from 'node:net'
import type { Duplex } from 'node:stream'
import type { AppConfig } from '../swarm/app-config.ts'
import { describeError, SwarmError } from '../swarm/errors.ts'
import { isLoopbackAddress, isWildcard, plainAddress } from './addresses.ts'
import type { TrustedProxies } from './forwarded.ts'
import { endBrokenRequest, endUnreadBody, UnderWay } from './http/connections.ts'
import { securityHeaders } from './http/headers.ts'
import { isAllowedHost, isLoopbackHost } from './http/host.ts'
import { hasMethod, sendBytes, sendJson, sendNothingHere, sendText } from './http/respond.ts'
import { serveStatic } from './http/static-files.ts'
import { DEFAULT_HTTP_LIMITS, type HttpLimits } from './limits.ts'
import type { RelayLog } from './log.ts'
import { MIRROR_BASE, type Mirror } from './mirror/mirror.ts'
import type { Certificate } from './tls/certificate.ts'
import type { WatchedCertificate } from './tls/watched-certificate.ts'

export interface PageServerOptions {
  /** 0 takes a free one. */
  port: number
  host: string
  /** Folder of the built page; null: only the rest is served. */
  webRoot: string | null
  appConfig: () => AppConfig | Promise<AppConfig>
  mirror?: Mirror
  log: RelayLog
  /** Names beside loopback and plain addresses under which the page may be asked for. */
  publicHosts?: readonly string[]
  /** Origins that a hub other than the public one redirects its downloads to. */
  hubCdnOrigins?: readonly string[]
  metrics?: { text: () => Promise<string>; type: string; isPublic: boolean }
  /** Null when ready, else what is missing; without it the server is ready when it listens. */
  notReady?: () => string | null
  onUpgrade?: (req: IncomingMessage, socket: Duplex, head: Buffer) => void
  limits?: Readonly<HttpLimits>
  /** Https in place of http. */
  tls?: WatchedCertificate
  /** Proxies whose X-Forwarded-Proto is believed; without any nobody's is. */
  trustedProxies?: TrustedProxies
  /** A request was refused by a limit, which is named as its flag is called. */
  onRefused?: (limit: string, text: string) => void
}

export interface PageServer {
  port: number
  /** Where the page is on this machine. */
  url: string
  /** Takes nothing new; resolves when the answers under way are given, or after `limitMs`. */
  drain(limitMs: number): Promise<void>
  /** Frees the port; open answers are cut, upgraded sockets belong to who took them. */
  stop(): Promise<void>
}

/** A whole request, body included. */
const REQUEST_TIMEOUT_MS = 30_000
/** Node looks at its timeouts only every 30 s by itself. */
const TIMEOUT_CHECK_MS = 1_000

/** @throws SwarmError PORT_TAKEN, BAD_OPTION when the host cannot be listened on */
export async function startPageServer(options: PageServerOptions): Promise<PageServer> {
  const limits = options.limits ?? DEFAULT_HTTP_LIMITS
  const underWay = new UnderWay()
  const settings = {
    // Small answers and every WebSocket after an upgrade: without it each message waits for a delayed ACK.
    noDelay: true,
    keepAlive: true,
    headersTimeout: limits.headerTimeoutMs,
    requestTimeout: Math.max(REQUEST_TIMEOUT_MS, limits.headerTimeoutMs),
    keepAliveTimeout: limits.idleTimeoutMs,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
  }
  const answer = (req: IncomingMessage, res: ServerResponse): void => {
    underWay.add(res)
    endUnreadBody(req, res)
    handle(req, res, { ...options, limits }).catch((error: unknown) => {
      options.log.error('request failed', { path: pathOf(req), reason: describeError(error) })
      if (res.headersSent) res.destroy()
      else sendText(res, 500, 'The server failed; its log says why.')
    })
  }
  const server = options.tls === undefined ? createServer(settings, answer) : createHttps(options.tls, settings, answer)
  server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => upgrade(req, socket, head, options))
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
      const seconds = limits.headerTimeoutMs / 1_000
      options.onRefused?.('http-header-timeout', `a request was not there within ${seconds} s`)
    }
    endBrokenRequest(socket, error.code)
  })
  await listen(server, options)
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('bug: a listening server has no port')
  const shown = isWildcard(options.host) ? '127.0.0.1' : options.host
  return {
    port: address.port,
    url: `${options.tls === undefined ? 'http' : 'https'}://${isIPv6(shown) ? `[${shown}]` : shown}:${address.port}/`,
    async drain(limitMs) {
      server.close()
      await underWay.ended(limitMs)
    },
    stop: () => stop(server),
  }
}

type HandlerOptions = PageServerOptions & { limits: Readonly<HttpLimits> }

async function handle(req: IncomingMessage, res: ServerResponse, options: HandlerOptions): Promise<void> {
  const { maxBodyBytes } = options.limits
  if (Number(req.headers['content-length'] ?? 0) > maxBodyBytes) {
    options.onRefused?.('max-http-body', `a body of more than ${maxBodyBytes} bytes`)
    return sendText(res, 413, `The body is longer than ${maxBodyBytes} bytes.`)
  }
  if (!isAllowedHost(req.headers.host, options.publicHosts ?? [])) {
    return sendText(res, 421, 'This server is not known under that name; its operator can add it with --public-host.')
  }
  const { pathname, query } = splitUrl(req)
  if (pathname === MIRROR_BASE || pathname.startsWith(`${MIRROR_BASE}/`)) {
    if (options.mirror === undefined) return sendText(res, 404, 'This server has no model mirror.')
    res.setHeader('x-content-type-options', 'nosniff')
    return options.mirror.handle(req, res, pathname.slice(MIRROR_BASE.length), query, maxBodyBytes)
  }
  const config = await options.appConfig()
  const headers = securityHeaders({
    host: req.headers.host,
    hubUrls: [config.hubUrl, ...config.models.map((model) => model.hubUrl)],
    hubCdnOrigins: options.hubCdnOrigins ?? [],
    isSecure: isSecure(req, options),
  })
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
  if (!hasMethod(req, res, ['GET', 'HEAD'])) return
  switch (pathname) {
    case '/config.json':
      res.setHeader('cache-control', 'no-store')
      return sendJson(res, 200, config)
    case '/healthz':
      return sendText(res, 200, 'ok')
    case '/readyz': {
      const missing = options.notReady?.() ?? null
      return missing === null ? sendText(res, 200, 'ready') : sendText(res, 503, `not ready: ${missing}`)
    }
    case '/metrics':
      return sendMetrics(req, res, options)
    default:
      return sendPage(req, res, options, pathname)
  }
}

async function sendPage(
  req: IncomingMessage,
  res: ServerResponse,
  options: PageServerOptions,
  pathname: string,
): Promise<void> {
  if (options.webRoot !== null && (await serveStatic(req, res, options.webRoot, pathname))) return
  if (pathname === '/') return sendText(res, 503, 'The page is not built here. Run "npm run build" and reload.')
  sendNothingHere(req, res)
}

async function sendMetrics(req: IncomingMessage, res: ServerResponse, options: PageServerOptions): Promise<void> {
  const { metrics } = options
  if (metrics === undefined) return sendText(res, 404, 'There is nothing at this address.')
  if (!metrics.isPublic && !isLocalRequest(req)) {
    return sendText(res, 403, 'Metrics are shown to this machine only; --metrics public changes that.')
  }
  res.setHeader('cache-control', 'no-store')
  sendBytes(res, 200, metrics.type, await metrics.text())
}

/** A proxy on this machine speaks for somebody else. */
function isLocalRequest(req: IncomingMessage): boolean {
  return (
    isLoopbackAddress(req.socket.remoteAddress ?? '') &&
    isLoopbackHost(req.headers.host) &&
    req.headers['x-forwarded-for'] === undefined &&
    req.headers.forwarded === undefined
  )
}

/** Whether the visitor came by https, here or at a proxy in front. */
function isSecure(req: IncomingMessage, { tls, trustedProxies }: PageServerOptions): boolean {
  if (tls !== undefined) return true
  const isProxy = trustedProxies?.has(plainAddress(req.socket.remoteAddress ?? '')) ?? false
  return isProxy && String(req.headers['x-forwarded-proto']).split(',').at(-1)?.trim() === 'https'
}

function createHttps(
  tls: WatchedCertificate,
  settings: { headersTimeout: number },
  answer: (req: IncomingMessage, res: ServerResponse) => void,
): SecureServer {
  // Whoever never finishes it holds a socket.
  const handshakeTimeout = settings.headersTimeout
  const context = ({ cert, key }: Certificate): object => ({ cert, key, minVersion: 'TLSv1.2' })
  const server = createSecureServer({ ...settings, handshakeTimeout, ...context(tls.current) }, answer)
  // Those who are connected keep the certificate that they saw.
  tls.onChange((certificate) => server.setSecureContext(context(certificate)))
  return server
}

function upgrade(req: IncomingMessage, socket: Duplex, head: Buffer, options: PageServerOptions): void {
  socket.on('error', () => socket.destroy())
  const refusal = !isAllowedHost(req.headers.host, options.publicHosts ?? [])
    ? '421 Misdirected Request'
    : options.onUpgrade === undefined || splitUrl(req).pathname !== '/'
      ? '404 Not Found'
      : null
  if (refusal !== null) {
    socket.end(`HTTP/1.1 ${refusal}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
    return
  }
  options.onUpgrade?.(req, socket, head)
}

function splitUrl(req: IncomingMessage): { pathname: string; query: URLSearchParams } {
  const url = req.url ?? '/'
  const at = url.indexOf('?')
  return at === -1
    ? { pathname: url, query: new URLSearchParams() }
    : { pathname: url.slice(0, at), query: new URLSearchParams(url.slice(at + 1)) }
}

/** For the log: without the query, which may hold anything. */
function pathOf(req: IncomingMessage): string {
  return splitUrl(req).pathname.slice(0, 200)
}

async function listen(server: Server, { host, port }: PageServerOptions): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)))
    server.listen({ host, port }, resolve)
  })
  server.removeAllListeners('error')
  // After it listens only accepting can fail (no descriptors left); the connections that are open go on.
  server.on('error', () => undefined)
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): SwarmError {
  if (error.code === 'EADDRINUSE') {
    return new SwarmError('PORT_TAKEN', `Port ${port} on ${host} is taken by another program.`, {
      action: 'Stop that program, or choose another port with --port (0 takes a free one).',
      details: { port, host },
      cause: error,
    })
  }
  if (error.code === 'EACCES') {
    return new SwarmError('BAD_OPTION', `Port ${port} may not be used by this user.`, {
      action: 'Choose a port above 1023 with --port.',
      details: { port },
      cause: error,
    })
  }
  return new SwarmError('BAD_OPTION', `This machine cannot listen on ${host}, port ${port}: ${describeError(error)}.`, {
    action: 'Name an address of this machine with --host, or 0.0.0.0 for all of them.',
    details: { host, port },
    cause: error,
  })
}

async function stop(server: Server): Promise<void> {
  // After a drain it is closed already: then the callback comes with an error, which says just that.
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeAllConnections()
  await closed
}
