/** Two peers of one process that echo to each other, over a direct connection and over a circuit of a relay process. */
import '../../net/compat.ts'
import type { Connection } from '@libp2p/interface'
import { byteStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { createPeerNode, type PeerNode } from '../../net/libp2p.ts'
import { nodePlatform } from '../../net/platform-node.ts'
import { privateKeyFromSeed } from '../../net/record-crypto.ts'
import { LIVENESS_PROTOCOL } from '../../swarm/protocol.ts'

const ECHO = '/tabswarm-bench/echo/1'
const DIAL_MS = 20_000

export interface EchoPair {
  /** A round trip of so many bytes, ms, so many times on one stream. */
  roundTrips(way: 'direct' | 'relayed', bytes: number, times: number): Promise<number[]>
  stop(): Promise<void>
}

export async function startEchoPair(relay: string): Promise<EchoPair> {
  const [target, source] = [await startPeer(relay, 1), await startPeer(relay, 0)]
  const targetId = target.libp2p.peerId.toString()
  await reachable(target)
  // The circuit first: a dial to a peer that is connected directly would be content with that.
  const circuit = await dial(source, `${relay}/p2p-circuit/p2p/${targetId}`)
  const direct = await dial(source, `${relay}/p2p-circuit/webrtc/p2p/${targetId}`)
  if (circuit.limits === undefined || direct.limits !== undefined)
    throw new Error('the two connections are not two ways')
  return {
    roundTrips: (way, bytes, times) => roundTrips(way === 'direct' ? direct : circuit, bytes, times),
    async stop() {
      await source.libp2p.stop()
      await target.libp2p.stop()
    },
  }
}

async function startPeer(relay: string, reservations: number): Promise<PeerNode> {
  const node = await createPeerNode({
    privateKey: await privateKeyFromSeed(),
    platform: nodePlatform,
    iceServers: [],
    reservations,
    dht: { mode: 'client', verify: async () => true, now: Date.now, lastSeq: () => -1 },
  })
  await node.libp2p.handle(LIVENESS_PROTOCOL, () => undefined)
  await node.libp2p.handle(
    ECHO,
    async (stream) => {
      const bytes = byteStream(stream, { maxBufferSize: 4 * 1024 * 1024 })
      for (let part = await bytes.read(); part !== null; part = await bytes.read()) await bytes.write(part)
    },
    { runOnLimitedConnection: true },
  )
  await dial(node, relay)
  return node
}

async function reachable({ libp2p }: PeerNode): Promise<void> {
  const deadline = performance.now() + DIAL_MS
  while (!libp2p.getMultiaddrs().some((address) => address.toString().includes('/webrtc'))) {
    if (performance.now() > deadline) throw new Error('no reservation')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function dial({ libp2p }: PeerNode, address: string): Promise<Connection> {
  return libp2p.dial(multiaddr(address), { signal: AbortSignal.timeout(DIAL_MS), force: true })
}

async function roundTrips(connection: Connection, size: number, times: number): Promise<number[]> {
  const stream = await connection.newStream(ECHO, { runOnLimitedConnection: true })
  const bytes = byteStream(stream, { maxBufferSize: 4 * 1024 * 1024 })
  const message = new Uint8Array(size)
  const taken: number[] = []
  for (let i = 0; i < times; i += 1) {
    const before = performance.now()
    await bytes.write(message)
    await bytes.read({ bytes: size })
    taken.push(performance.now() - before)
  }
  stream.abort(new Error('measured'))
  return taken
}
