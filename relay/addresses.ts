/**
 * Which addresses a relay has: what it announces, prints and puts into `/config.json`; and whether an address is
 * loopback. With a public address only that one is announced, because the others mean nothing outside.
 */
import { isIP, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'

export interface AddressOptions {
  host: string
  port: number
  /** IP addresses or names that others reach it by. */
  publicIps?: readonly string[]
  /** Names of its certificate, or of the proxy's in front. */
  secureHosts?: readonly string[]
  publicPort?: number
  /** `/tls/ws`: https here, or at a proxy in front (whose port is 443 unless another is named). */
  https?: 'none' | 'here' | 'proxy'
  peerId: string
}

const HTTPS_PORT = 443

/** Multiaddrs of the relay, `/ip4/…/tcp/…/ws/p2p/…` or `…/tls/ws/p2p/…`, the one to hand out first. */
export function relayAddresses(options: AddressOptions): string[] {
  const { host, port, publicIps = [], secureHosts = [], publicPort, https = 'none', peerId } = options
  const shownPort = publicPort ?? (https === 'proxy' ? HTTPS_PORT : port)
  const names = https === 'none' ? publicIps : [...secureHosts, ...publicIps]
  const way = https === 'none' ? 'ws' : 'tls/ws'
  if (names.length > 0) return [...new Set(names.map((name) => multiaddrOf(name, shownPort, way, peerId)))]
  return hostsOf(host).map((name) => multiaddrOf(name, port, way, peerId))
}

/** Where people open the page of a relay with this address. */
export function pageUrlOf(address: string): string {
  const [, kind, host = '', , port, ...rest] = address.split('/')
  const isSecure = rest[0] === 'tls'
  const shown = kind === 'ip6' ? `[${host}]` : host
  const isUsual = port === (isSecure ? '443' : '80')
  return `${isSecure ? 'https' : 'http'}://${shown}${isUsual ? '' : `:${port}`}/`
}

/** The line that the original prints, in the same words and form. */
export function visibleAddressesLine(addresses: readonly string[]): string {
  return `DHT visible multiaddrs (use for --dht_initial_peers): [${addresses.map((a) => `'${a}'`).join(', ')}]`
}

/** Whether `address` (IPv4, IPv6 or IPv4 in IPv6) is this machine. */
export function isLoopbackAddress(address: string): boolean {
  const plain = plainAddress(address)
  return plain === '::1' || (isIP(plain) === 4 && plain.startsWith('127.'))
}

/** IPv4 addresses that come mapped into IPv6 are counted as IPv4; zone ids are dropped. */
export function plainAddress(address: string): string {
  const lower = address.toLowerCase().replace(/%.*$/u, '')
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/u.exec(lower)
  return mapped?.[1] ?? lower
}

/**
 * What limits for each address count by: an IPv4 address, or the /64 of an IPv6 address, because one customer owns a
 * whole /64. Null for loopback, which is not counted.
 */
export function countedAddress(address: string): string | null {
  if (isLoopbackAddress(address)) return null
  const plain = plainAddress(address)
  if (!isIPv6(plain)) return plain
  const network = ipv6Groups(plain).slice(0, 4)
  return `${network.map((group) => group.toString(16)).join(':')}::/64`
}

/** The eight numbers of an IPv6 address without a zone, `::` written out. */
export function ipv6Groups(address: string): number[] {
  const [head = '', tail] = address.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length)
  const groups = [...left, ...Array.from({ length: zeros }, () => '0'), ...right]
  return groups.map((group) => Number.parseInt(group, 16))
}

export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}

/** Good only on the cable it belongs to. */
function isLinkLocal(address: string): boolean {
  return /^fe[89ab]/iu.test(address)
}

/** The listening address of libp2p's side of the port. */
export function listenMultiaddr(host: string, port: number): string {
  return `/${isIPv6(host) ? 'ip6' : 'ip4'}/${isIP(host) === 0 ? '127.0.0.1' : host}/tcp/${port}/ws`
}

function hostsOf(host: string): string[] {
  if (host === 'localhost') return ['127.0.0.1']
  if (!isWildcard(host)) return [host]
  const outside = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter((entry) => !entry.internal && (entry.family === 'IPv4' || (host === '::' && !isLinkLocal(entry.address))))
    .map((entry) => entry.address)
  return ['127.0.0.1', ...outside]
}

function multiaddrOf(host: string, port: number, way: 'ws' | 'tls/ws', peerId: string): string {
  const kind = { 4: 'ip4', 6: 'ip6' }[isIP(host)] ?? 'dns4'
  return `/${kind}/${host}/tcp/${port}/${way}/p2p/${peerId}`
}
