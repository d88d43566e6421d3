/**
 * The library's WebSocket transport, with the one thing it keeps to itself: why a relay closed. A relay that is full lets
 * the WebSocket open and closes it with the limit's name (a browser shows nothing of a refused upgrade); without this a
 * person would read "unexpected end of file". And an aborted connection really ends: the library closes its socket with a
 * code that may not be sent, gets an exception for it, and leaves the socket open; the relay would go on dialling through it.
 */
import type { Connection, DialTransportOptions, Transport } from '@libp2p/interface'
import { webSockets } from '@libp2p/websockets'
import type { Multiaddr } from '@multiformats/multiaddr'
import { SwarmError } from '../swarm/errors.ts'

/** "Try again later", RFC 6455's registry. */
export const CLOSE_REFUSED = 1013
const MAX_REASON_CHARS = 123

/** Where the library makes its sockets: not in its types, so it is checked for. */
interface MakesSockets {
  _connect(address: Multiaddr, options: DialTransportOptions): Promise<WebSocket>
}

export function explainedWebSockets(): ReturnType<typeof webSockets> {
  const create = webSockets()
  return (components) => explain(create(components))
}

/** What a browser lets a page close with. */
function isSendable(code: number | undefined): boolean {
  return code === 1000 || (code !== undefined && code >= 3000 && code <= 4999)
}

/** @throws Error when the library makes its sockets in another way */
export function explain(transport: Transport): Transport {
  const library = transport as Transport & MakesSockets
  if (typeof library._connect !== 'function') throw new Error('bug: @libp2p/websockets has no _connect any more')
  const reasons = new Map<string, string>()
  const connect = library._connect.bind(library)
  const dial = library.dial.bind(library)
  library._connect = async (address, options) => {
    const socket = await connect(address, options)
    const close = socket.close.bind(socket)
    socket.close = (code, reason) => close(isSendable(code) ? code : undefined, reason)
    // Before the library's own listener, so that the reason is there when its dial fails.
    socket.addEventListener('close', ({ code, reason }) => {
      if (code === CLOSE_REFUSED) reasons.set(address.toString(), reason)
    })
    return socket
  }
  library.dial = async (address: Multiaddr, options: DialTransportOptions): Promise<Connection> => {
    const key = address.toString()
    reasons.delete(key)
    try {
      return await dial(address, options)
    } catch (error) {
      const reason = reasons.get(key)
      if (reason === undefined) throw error
      const shown = reason.replaceAll(/\p{C}/gu, ' ').slice(0, MAX_REASON_CHARS)
      throw new SwarmError('RELAY_REFUSED', `The relay refused the connection: ${shown}.`, {
        retryable: true,
        cause: error,
      })
    } finally {
      reasons.delete(key)
    }
  }
  return library
}
