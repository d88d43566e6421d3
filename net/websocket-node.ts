/**
 * The global WebSocket that libp2p's transport dials with, for Node versions that have none. Imported by every Node part
 * that dials: peers and relays.
 */
import { WebSocket as WsWebSocket } from 'ws'

/** A dial that is given up while it connects reports an error nobody listens to any more: in Node that ends the process. */
class QuietWebSocket extends WsWebSocket {
  constructor(...args: ConstructorParameters<typeof WsWebSocket>) {
    super(...args)
    this.on('error', () => undefined)
  }
}

/** Can go together with `compat.ts` when Node 22 is the least supported version. */
if (typeof globalThis.WebSocket === 'undefined') {
  Object.defineProperty(globalThis, 'WebSocket', { value: QuietWebSocket, configurable: true, writable: true })
}
