/**
 * What the network tests share: a minimal relay (circuit relay, DHT server, directory fan-out, all limits wide open), a
 * runner that computes with integers instead of a GPU, and serving peers that announce it.
 */
import { circuitRelayServer } from '@libp2p/circuit-relay-v2'
import { identify, identifyPush } from '@libp2p/identify'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { dhtService } from '../../../net/dht.ts'
import { DirectoryStore } from '../../../net/directory-store.ts'
import { fromBase64, JsonChannel, toBase64 } from '../../../net/json-channel.ts'
import { createRequestingNode, type PageLife, type NodeOptions } from '../../../net/node.ts'
import { createServingNode } from '../../../net/serving-node.ts'
import { nodePlatform } from '../../../net/platform-node.ts'
import { privateKeyFromSeed, verifySignature } from '../../../net/record-crypto.ts'
import type { AnnouncedFields, InferenceServer, ServingNode, SwarmNode } from '../../../net/types.ts'
import type { ModelId } from '../../../swarm/peer-record.ts'
import { DIRECTORY_PROTOCOL, PROTOCOL_VERSION } from '../../../swarm/protocol.ts'
import type { Span } from '../../../swarm/span.ts'
import { FakeRunner } from '../../unit/net/fake-runner.ts'

export const MODEL: ModelId = { repo: 'test/tiny', revision: 'abc', digest: 'd'.repeat(32), blocks: 9 }
export const HIDDEN_SIZE = 4

export interface TestRelay {
  address: string
  port: number
  libp2p: Libp2p
  store: DirectoryStore
  /** Connections cut without a goodbye, as when the process is killed. */
  kill(): Promise<void>
}

export async function startTestRelay(
  options: {
    port?: number
    seed?: Uint8Array
    directory?: 'on' | 'off'
    clockOffsetMs?: number
    version?: string
  } = {},
): Promise<TestRelay> {
  const now = (): number => Date.now() + (options.clockOffsetMs ?? 0)
  const store = new DirectoryStore({ verify: verifySignature, now })
  const libp2p = await createLibp2p({
    privateKey: await privateKeyFromSeed(options.seed),
    addresses: { listen: [`/ip4/127.0.0.1/tcp/${options.port ?? 0}/ws`] },
    transports: [webSockets()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    connectionManager: { inboundConnectionThreshold: 1_000 },
    // As the real relay: its default cuts the connections of peers that are merely busy for two seconds.
    connectionMonitor: { enabled: false },
    services: {
      identify: identify(),
      identifyPush: identifyPush(),
      ping: ping(),
      circuits: circuitRelayServer({
        reservations: {
          maxReservations: 100,
          reservationTtl: 600_000,
          defaultDataLimit: BigInt(1 << 26),
          defaultDurationLimit: 86_400_000,
        },
      }),
      dht: dhtService({ mode: 'server', verify: verifySignature, now, lastSeq: (id) => store.lastSeq(id) }),
    },
  })
  await libp2p.services.dht.setMode('server')
  serveDirectory(libp2p, store, now, options.version ?? PROTOCOL_VERSION, options.directory ?? 'on')
  const address = libp2p.getMultiaddrs()[0]?.toString() ?? ''
  const port = Number(/\/tcp\/(\d+)/u.exec(address)?.[1])
  return {
    address,
    port,
    libp2p,
    store,
    kill: async () => {
      for (const connection of libp2p.getConnections()) connection.abort(new Error('killed'))
      await libp2p.stop()
    },
  }
}

function serveDirectory(
  libp2p: Libp2p,
  store: DirectoryStore,
  now: () => number,
  version: string,
  directory: 'on' | 'off',
): void {
  const channels = new Map<string, JsonChannel>()
  store.onRecord(({ bytes }) => {
    if (directory === 'off') return
    for (const channel of channels.values()) {
      channel.send({ type: 'records', records: [toBase64(bytes)] }).catch(() => undefined)
    }
  })
  libp2p.addEventListener('peer:disconnect', (event) => {
    channels.delete(event.detail.toString())
    store.markGone(event.detail.toString())
    if (directory === 'off') return
    for (const channel of channels.values()) {
      channel.send({ type: 'gone', peerId: event.detail.toString() }).catch(() => undefined)
    }
  })
  const serve = async (stream: Stream, connection: Connection): Promise<void> => {
    const channel = new JsonChannel(stream)
    const peerId = connection.remotePeer.toString()
    for (let message = await channel.receive(); message !== null; message = await channel.receive()) {
      if (message['type'] === 'hello') {
        channels.set(peerId, channel)
        await channel.send({ type: 'welcome', version, time: now(), peerId })
        const records = store.signedRecords().map(({ bytes }) => toBase64(bytes))
        if (directory === 'on') await channel.send({ type: 'records', records })
      } else if (message['type'] === 'publish') {
        await store.add(fromBase64(String(message['record'])) ?? new Uint8Array())
      }
    }
  }
  void libp2p.handle(DIRECTORY_PROTOCOL, (stream, connection) => void serve(stream, connection).catch(() => undefined))
}

export interface Donor {
  node: ServingNode & PageLife
  server: InferenceServer
  runner: FakeRunner
  fields: AnnouncedFields
}

export function nodeOptions(relays: readonly string[], extra: Partial<NodeOptions> = {}): NodeOptions {
  return {
    relays,
    iceServers: [],
    modelDigests: [MODEL.digest],
    platform: nodePlatform,
    log: () => undefined,
    ...extra,
  }
}

export async function startDonor(
  relays: readonly string[],
  span: Span,
  extra: Partial<NodeOptions> & { model?: ModelId } = {},
): Promise<Donor> {
  const { model = MODEL, ...options } = extra
  const node = await createServingNode(nodeOptions(relays, options))
  const runner = new FakeRunner(span, MODEL.blocks, HIDDEN_SIZE)
  const server = node.createServer({
    modelDigest: model.digest,
    weights: 'f32',
    backend: 'fake',
    hiddenSize: HIDDEN_SIZE,
  })
  server.addRunner(runner)
  const fields: AnnouncedFields = {
    model,
    state: 'online',
    span,
    claimedAt: node.now(),
    maxBlocks: 3,
    blockStepsPerSecond: 100,
    cacheTokensLeft: 1000,
    sessions: 0,
    weights: 'f32',
    backend: 'fake',
  }
  node.announcer.announce(fields)
  return { node, server, runner, fields }
}

export function startClient(
  relays: readonly string[],
  extra: Partial<NodeOptions> = {},
): Promise<SwarmNode & PageLife> {
  return createRequestingNode(nodeOptions(relays, extra))
}

/** Resolves when `check` is true; fails with `what` after the time. */
export async function until(what: string, check: () => boolean, timeoutMs = 40_000): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!check()) {
    if (performance.now() > deadline) throw new Error(`did not happen within ${timeoutMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
