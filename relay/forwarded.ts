/** Who a visitor is behind a proxy: X-Forwarded-For, believed only as far as trusted proxies wrote it. */
import { BlockList, isIP } from 'node:net'
import type { IncomingMessage } from 'node:http'
import { plainAddress } from './addresses.ts'

export class TrustedProxies {
  readonly #list = new BlockList()

  /** Addresses and networks (`10.0.0.0/8`), checked by `isAddressOrNetwork`. */
  constructor(proxies: readonly string[]) {
    for (const proxy of proxies) {
      const [address = '', bits] = proxy.split('/')
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
      if (bits === undefined) this.#list.addAddress(address, family)
      else this.#list.addSubnet(address, Number(bits), family)
    }
  }

  has(address: string): boolean {
    const family = isIP(address)
    return family !== 0 && this.#list.check(address, family === 6 ? 'ipv6' : 'ipv4')
  }
}

export function isAddressOrNetwork(text: string): boolean {
  const match = /^([0-9a-f.:]+)(?:\/(\d{1,3}))?$/iu.exec(text)
  const family = isIP(match?.[1] ?? '')
  return family !== 0 && Number(match?.[2] ?? 0) <= (family === 6 ? 128 : 32)
}

/** Some proxies write the port too: `203.0.113.9:4711`, `[2001:db8::9]:4711`. */
function withoutPort(text: string): string {
  const match = /^(?:\[([^\]]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+)$/u.exec(text)
  return match?.[1] ?? match?.[2] ?? text
}

export interface Remote {
  address: string
  /** 0 where only a proxy knows it. */
  port: number
}

/**
 * The visitor's address: the socket's, unless that is a trusted proxy's. Then the last address of X-Forwarded-For that is
 * none: each proxy appends the one it saw, so what stands left of it anybody may have written.
 */
export function remoteOf(req: Pick<IncomingMessage, 'socket' | 'headers'>, proxies: TrustedProxies): Remote {
  const direct = { address: plainAddress(req.socket.remoteAddress ?? '0.0.0.0'), port: req.socket.remotePort ?? 0 }
  if (!proxies.has(direct.address)) return direct
  const chain = String(req.headers['x-forwarded-for'] ?? '')
    .split(',')
    .map((part) => plainAddress(withoutPort(part.trim())))
  for (const address of chain.toReversed()) {
    // Something that is no address ends the part that can be believed.
    if (isIP(address) === 0) break
    if (!proxies.has(address)) return { address, port: 0 }
  }
  return direct
}
