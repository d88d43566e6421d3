/**
 * The global WebSocket that libp2p's transport dials with, for Node versions that have none. Imported by every Node part
 * that dials: peers and relays.
 */
import { WebSocket as WsWebSocket } from 'ws'

let trusted: readonly string[] | undefined

/** Authorities (PEM) that WebSockets of this process accept; without it Node's own list. */
export function trustCertificates(authorities: readonly string[]): void {
  trusted = authorities
}

/** For those who make their sockets themselves. */
export function trustedCertificates(): { ca?: string[] } {
  return trusted === undefined ? {} : { ca: [...trusted] }
}

/** A dial that is given up while it connects reports an error nobody listens to any more: in Node that ends the process. */
class QuietWebSocket extends WsWebSocket {
  constructor(address: string | URL, protocols?: string | string[]) {
    super(address, protocols, trustedCertificates())
    this.on('error', () => undefined)
  }
}

/** Can go together with `compat.ts` when Node 22 is the least supported version. */
if (typeof globalThis.WebSocket === 'undefined') {
  Object.defineProperty(globalThis, 'WebSocket', { value: QuietWebSocket, configurable: true, writable: true })
}
