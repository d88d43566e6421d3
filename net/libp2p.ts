/**
 * The libp2p node under a tab or a Node peer: transports, limits and services, each setting with its reason. What the
 * swarm does with it (relays, directory, dialling, sessions) is built on top in the neighbouring files.
 */
import { circuitRelayTransport, type CircuitRelayTransportComponents } from '@libp2p/circuit-relay-v2'
import { identify, identifyPush } from '@libp2p/identify'
import type { Connection, Libp2p, PeerId, PrivateKey, Transport } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { DIAL_TIMEOUT_MS, DIAL_TRY_MS } from '../swarm/limits.ts'
import { dhtService, type DhtOptions, type DhtService } from './dht.ts'
import type { Platform } from './platform.ts'

const KIB = 1024

export interface Libp2pOptions {
  privateKey: PrivateKey
  platform: Platform
  /** STUN servers; never the library's default list, which calls four outside companies. */
  iceServers: readonly { urls: string | string[] }[]
  /** Reservations to hold: one for each relay. 0 for a peer that only dials. */
  reservations: number
  dht: DhtOptions
}

/** The part of the circuit transport that is public at run time and not in its exported types. */
export interface Reservations {
  addRelay(relay: PeerId, type: 'discovered'): Promise<unknown>
  hasReservation(relay: PeerId): boolean
}

export interface PeerNode {
  libp2p: Libp2p
  dht: DhtService
  /** Reservations need a push after long relay outages. */
  reservations: Reservations
  /**
   * A further circuit to a peer. Not by `libp2p.dial`, which joins all dials of one peer: beside a direct one that does not come
   * about, it would answer when that one is given up.
   */
  dialCircuit: (address: string, signal: AbortSignal) => Promise<Connection>
}

export async function createPeerNode(options: Libp2pOptions): Promise<PeerNode> {
  const made: {
    circuits?: Transport & { reservationStore: Reservations }
    components?: CircuitRelayTransportComponents
  } = {}
  const libp2p = await createLibp2p({
    privateKey: options.privateKey,
    // One `/p2p-circuit` is one reservation on any relay we are connected to. An address with the relay in it is never
    // listed again after that relay was restarted (js-libp2p 3601).
    addresses: { listen: options.reservations > 0 ? ['/p2p-circuit', '/webrtc'] : [] },
    transports: [
      options.platform.webSockets(),
      options.platform.webRtc({
        rtcConfiguration: { iceServers: options.iceServers.map(({ urls }) => ({ urls })) },
        // What waits in one channel delays every other session on the connection: `send` waits beyond this.
        dataChannel: { maxBufferedAmount: 256 * KIB },
        maxEarlyStreams: 32,
      }),
      (components: CircuitRelayTransportComponents) => {
        made.components = components
        made.circuits = circuitRelayTransport()(components) as Transport & { reservationStore: Reservations }
        return made.circuits
      },
    ],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    // Insecure ws and loopback are denied by default in browsers; relays on one machine and in a LAN are both.
    connectionGater: { denyDialMultiaddr: () => false },
    connectionManager: {
      maxConnections: 400,
      dialTimeout: 2 * DIAL_TIMEOUT_MS,
      addressDialTimeout: DIAL_TRY_MS,
      // Circuits count as connections from the relay's address; the default of 5 a second would refuse neighbours.
      inboundConnectionThreshold: 1_000,
      maxIncomingPendingConnections: 100,
    },
    // Only against connections that linger for hours, and each ping is a stream of its own; peers in use are watched by heartbeats (`liveness.ts`).
    connectionMonitor: { pingInterval: 60_000, pingTimeout: { minTimeout: 10_000, maxTimeout: 20_000 } },
    nodeInfo: { name: 'tabswarm', version: '1', userAgent: 'tabswarm' },
    services: {
      identify: identify(),
      identifyPush: identifyPush(),
      ping: ping(),
      dht: dhtService(options.dht),
    },
  })
  tolerateWrongClock(libp2p)
  const dht = libp2p.services.dht
  if (options.dht.mode === 'server') await dht.setMode('server')
  const { circuits, components } = made
  if (circuits === undefined || components === undefined) throw new Error('bug: libp2p made no circuit transport')
  // The listen addresses are a set, so further reservations are asked for one by one.
  for (let i = 1; i < options.reservations; i += 1) {
    await components.transportManager.listen([multiaddr('/p2p-circuit')])
  }
  return {
    libp2p,
    dht,
    reservations: circuits.reservationStore,
    dialCircuit: (address, signal) => circuits.dial(multiaddr(address), { signal, upgrader: components.upgrader }),
  }
}

/**
 * The circuit transport reads the end of a reservation by our clock; where that is ten minutes fast, the time left is
 * negative, the peer store refuses the tag and the reservation is dropped. A tag of a moment does: the connection to the
 * relay is kept by `relays.ts` anyway.
 */
function tolerateWrongClock(libp2p: Libp2p): void {
  const { peerStore } = libp2p
  const merge = peerStore.merge.bind(peerStore)
  peerStore.merge = (peer, data, options) => {
    const { tags } = data
    if (tags === undefined || tags instanceof Map) return merge(peer, data, options)
    const tolerated = Object.entries(tags).map(([name, tag]) => [
      name,
      tag?.ttl === undefined || tag.ttl > 0 ? tag : { ...tag, ttl: 1_000 },
    ])
    return merge(peer, { ...data, tags: Object.fromEntries(tolerated) as typeof tags }, options)
  }
}
