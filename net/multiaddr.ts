/**
 * Relay addresses as people paste them: one, several separated by commas or spaces, or the printed list
 * `['/ip4/…', '/ip4/…']` as it stands. Also the few address questions that the rest of `net` asks. No dialling here.
 */
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import { describeError, SwarmError } from '../swarm/errors.ts'

const HOST_PROTOCOLS: ReadonlySet<string> = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6'])
/** More relays than this in one flag is a mistake or an attack by link. */
const MAX_INITIAL_PEERS = 16
const MAX_MULTIADDR_CHARS = 256
const EXAMPLE = '/ip4/203.0.113.7/tcp/8080/ws/p2p/12D3KooW…'

/**
 * Relay multiaddrs, each `/ip4|ip6|dns…/…/tcp/…/(ws|wss|tls/ws)/p2p/…`, without duplicates, in the given order. A bare
 * `/ip4/…/tcp/…/p2p/…` gets `/ws`, because WebSocket is the only way in. An empty text gives an empty list.
 * @throws SwarmError BAD_MULTIADDR naming the address and the reason
 */
export function parseInitialPeers(text: string): string[] {
  const parts = text
    .split(/[\s,[\]'"]+/u)
    .map((part) => part.trim())
    .filter((part) => part !== '')
  if (parts.length > MAX_INITIAL_PEERS) {
    throw bad(text.slice(0, 80), `${parts.length} addresses are more than ${MAX_INITIAL_PEERS}`)
  }
  return [...new Set(parts.map(parseRelayAddress))]
}

function parseRelayAddress(text: string): string {
  if (text.length > MAX_MULTIADDR_CHARS) throw bad(`${text.slice(0, 80)}…`, `it is ${text.length} characters long`)
  if (!text.startsWith('/')) throw bad(text, 'it does not start with "/"')
  let components: { name: string; value?: string }[]
  try {
    components = multiaddr(text).getComponents()
  } catch (cause) {
    throw bad(text, describeError(cause), cause)
  }
  const names = components.map((component) => component.name)
  const [host, port, ...rest] = components
  if (host === undefined || !HOST_PROTOCOLS.has(host.name)) throw bad(text, 'it does not begin with an address or name')
  if (names.includes('p2p-circuit'))
    throw bad(text, 'it goes through a relay; the address of the relay itself is needed')
  if (port?.name !== 'tcp') throw bad(text, `tabs reach a relay over tcp, not ${port?.name ?? 'nothing'}`)
  if (port.value === '0') throw bad(text, 'port 0 is no port')
  const id = rest.at(-1)
  if (id?.name !== 'p2p' || id.value === undefined) throw bad(text, 'it does not end with /p2p/ and a peer id')
  try {
    peerIdFromString(id.value)
  } catch (cause) {
    throw bad(text, `"${id.value}" is not a peer id`, cause)
  }
  const middle = rest.slice(0, -1).map((component) => component.name)
  const way = middle.join('/')
  if (way !== '' && way !== 'ws' && way !== 'wss' && way !== 'tls/ws') {
    throw bad(text, `"/${way}" is not a WebSocket (/ws or /tls/ws)`)
  }
  return `/${host.name}/${host.value ?? ''}/tcp/${port.value ?? ''}/${way === '' ? 'ws' : way}/p2p/${id.value}`
}

/** Peer id at the end of a multiaddr, null where there is none. */
export function peerIdOfAddress(address: string): string | null {
  const match = /\/p2p\/([^/]+)$/u.exec(address)
  return match?.[1] ?? null
}

/** Whether the connection crosses a relay: death sensors and signalling only, never tokens. */
export function isCircuit(address: Multiaddr): boolean {
  const text = address.toString()
  return text.includes('/p2p-circuit') && !text.includes('/webrtc')
}

/** Whether bytes go straight from peer to peer. */
export function isDirect(address: Multiaddr): boolean {
  return address.toString().includes('/webrtc')
}

function bad(address: string, reason: string, cause?: unknown): SwarmError {
  return new SwarmError('BAD_MULTIADDR', `"${address}" is not the address of a relay: ${reason}.`, {
    action: `Copy the whole address that the relay prints, like ${EXAMPLE}.`,
    details: { address, reason },
    cause,
  })
}
