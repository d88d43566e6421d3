/**
 * The relay's libp2p node: circuit relay server, DHT server and the shared port, each setting with its reason. It dials
 * nobody but the relays it was told of, whatever addresses peers name.
 */
import { circuitRelayServer } from '@libp2p/circuit-relay-v2'
import { identify, identifyPush } from '@libp2p/identify'
import type { Libp2p, PeerId, PrivateKey } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { yamux } from '@libp2p/yamux'
import type { Multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { dhtService, type DhtOptions } from '../../net/dht.ts'
import type { RelayLimits } from '../limits.ts'
import { CircuitBytes } from './circuit-bytes.ts'
import { CircuitGuard, type CircuitGuardOptions } from './circuit-guard.ts'
import { Members } from './members.ts'
import { SharedPortWebSockets, type SharedPortOptions } from './websocket-transport.ts'

export interface RelayNodeOptions extends Omit<CircuitGuardOptions, 'limits'> {
  privateKey: PrivateKey
  listen: string
  /** Multiaddrs that peers are told. */
  announce: readonly string[]
  sharedPort: SharedPortOptions
  dht: DhtOptions
  limits: RelayLimits
  /** A circuit has carried so many bytes, in either direction. */
  onRelayed: (bytes: number) => void
  /** Whether an address may be dialled: only those of configured relays. */
  mayDial: (address: Multiaddr) => boolean
}

export interface RelayNode {
  libp2p: Libp2p
  transport: SharedPortWebSockets
  circuits: CircuitGuard
  circuitBytes: CircuitBytes
}

/** Our own counters refuse first and say why; the library's stay above them. */
const SLACK = 64

export async function createRelayNode(options: RelayNodeOptions): Promise<RelayNode> {
  const { limits } = options
  const circuits = new CircuitGuard(options)
  let members: Members | null = null
  const refuseStranger = async (source: PeerId, target: PeerId): Promise<boolean> => {
    const refusal = members === null ? null : await members.refuse(source, target)
    if (refusal !== null) options.onRefused(source, refusal)
    return refusal !== null
  }
  const circuitBytes = new CircuitBytes(options.onRelayed, () => options.egressBytes() < limits.egressBytesPerDay)
  let transport: SharedPortWebSockets | null = null
  const libp2p = await createLibp2p({
    privateKey: options.privateKey,
    metrics: () => circuitBytes.metrics,
    addresses: { listen: [options.listen], announce: [...options.announce] },
    transports: [
      (components) => {
        transport = new SharedPortWebSockets(options.sharedPort, components.logger)
        return transport
      },
    ],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: {
      denyDialMultiaddr: (address) => !options.mayDial(address),
      ...circuits.gater,
      denyOutboundRelayedConnection: async (source, target) =>
        (await refuseStranger(source, target)) ||
        ((await circuits.gater.denyOutboundRelayedConnection?.(source, target)) ?? false),
    },
    connectionManager: {
      maxConnections: limits.maxConnections + SLACK,
      maxIncomingPendingConnections: limits.maxPendingConnections + SLACK,
      inboundConnectionThreshold: Number.MAX_SAFE_INTEGER,
    },
    // Its pings take a busy page for a dead one; the WebSocket's own pings find a network that is gone.
    connectionMonitor: { enabled: false },
    nodeInfo: { name: 'tabswarm-relay', version: '1', userAgent: 'tabswarm-relay' },
    services: {
      identify: identify(),
      identifyPush: identifyPush(),
      ping: ping(),
      dht: dhtService(options.dht),
      circuitRelay: circuitRelayServer({
        maxInboundHopStreams: limits.maxCircuitsPerPeer + SLACK,
        maxOutboundStopStreams: limits.maxCircuitsPerPeer + SLACK,
        reservations: {
          maxReservations: limits.maxReservations + SLACK,
          reservationTtl: limits.reservationTtlMs,
          // Milliseconds here; the library writes them into a field of seconds, so no peer may trust that field.
          defaultDurationLimit: limits.circuitDurationMs,
          defaultDataLimit: BigInt(limits.circuitBytes),
        },
      }),
    },
  })
  members = new Members(libp2p)
  circuits.attach(libp2p, libp2p.services.circuitRelay.reservations)
  await libp2p.services.dht.setMode('server')
  if (transport === null) throw new Error('bug: libp2p made no transport')
  return { libp2p, transport, circuits, circuitBytes }
}
