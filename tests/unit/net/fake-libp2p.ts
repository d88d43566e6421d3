/** Connections and their events as `net` sees them, without a network: what opens, what closes, what was dialled. */
import type { Connection, Libp2p } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'

/** Peer ids in the order of their texts. */
export const IDS = [
  '12D3KooWASwEMreF5Xb67qSJ1qRXhWB482QzpwNTmHEv2QHXJDDX',
  '12D3KooWGRUVh7TUkf9kbHaeVvHbzKZSbBLCKPVhGXPvb1pJMkEn',
  '12D3KooWK3Vdk9iuNAFyqnuyFaQyLfrdL5DVNxq2u2qQrJhDoXY4',
  '12D3KooWNFggMrkT7gJav6gQJmdUEnL9ahCk7bTbZ8K3dMppwWzQ',
] as const
export const RELAY = `/ip4/127.0.0.1/tcp/4001/ws/p2p/${IDS[3]}`

export type FakeConnection = Connection & { wasAborted: boolean }

export class FakeLibp2p extends EventTarget {
  readonly peerId
  readonly connections: FakeConnection[] = []
  readonly dialled: { address: string; signal: AbortSignal; force: boolean }[] = []
  /** What a dial does; by default it never ends. */
  onDial: (address: string, signal: AbortSignal, onProgress: () => void) => Promise<Connection> = () =>
    new Promise(() => undefined)

  constructor(id: string) {
    super()
    this.peerId = peerIdFromString(id)
  }

  get asLibp2p(): Libp2p {
    return this as unknown as Libp2p
  }

  getConnections(peer?: { toString(): string }): FakeConnection[] {
    return this.connections.filter(({ remotePeer }) => peer === undefined || remotePeer.toString() === peer.toString())
  }

  dial(
    address: { toString(): string },
    options: { signal: AbortSignal; force?: boolean; onProgress?: () => void },
  ): Promise<Connection> {
    this.dialled.push({ address: address.toString(), signal: options.signal, force: options.force === true })
    return this.onDial(address.toString(), options.signal, () => options.onProgress?.())
  }

  open(
    peerId: string,
    kind: 'webrtc' | 'circuit',
    options: { direction?: 'inbound' | 'outbound'; at?: number; streams?: string[] } = {},
  ): FakeConnection {
    const way = kind === 'webrtc' ? '/p2p-circuit/webrtc' : '/p2p-circuit'
    const end = (how: 'closed' | 'aborted'): void => this.#end(connection, how)
    const connection = {
      remotePeer: peerIdFromString(peerId),
      remoteAddr: multiaddr(`${RELAY}${way}/p2p/${peerId}`),
      status: 'open',
      direction: options.direction ?? 'outbound',
      timeline: { open: options.at ?? 0 },
      streams: (options.streams ?? []).map((protocol) => ({ protocol })),
      wasAborted: false,
      close: async () => end('closed'),
      abort: () => end('aborted'),
    } as unknown as FakeConnection
    this.connections.push(connection)
    this.dispatchEvent(Object.assign(new Event('connection:open'), { detail: connection }))
    return connection
  }

  /** The other side, or the network, ended it. */
  lose(connection: FakeConnection): void {
    this.#end(connection, 'closed')
  }

  #end(connection: FakeConnection, how: 'closed' | 'aborted'): void {
    if (connection.status !== 'open') return
    Object.assign(connection, { status: how, wasAborted: how === 'aborted' })
    this.connections.splice(this.connections.indexOf(connection), 1)
    this.dispatchEvent(Object.assign(new Event('connection:close'), { detail: connection }))
  }
}
