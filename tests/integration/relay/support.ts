/** Relays on free loopback ports and plain libp2p clients for their tests; everything made here ends with the test. */
import '../../../net/compat.ts'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify, identifyPush } from '@libp2p/identify'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { afterEach, vi } from 'vitest'
import { WebSocket as WsWebSocket } from 'ws'
import { JsonChannel, fromBase64, toBase64 } from '../../../net/json-channel.ts'
import { signWith } from '../../../net/record-crypto.ts'
import { makeRelayConfig, type RelayExtras } from '../../../relay/config.ts'
import { createLog, type RelayLog } from '../../../relay/log.ts'
import type { RelayOptionValues } from '../../../relay/options.ts'
import { startRelay, type Relay } from '../../../relay/relay.ts'
import { openRecord, signRecord, type PeerRecord, type SignedRecord } from '../../../swarm/peer-record.ts'
import { DIRECTORY_PROTOCOL, LIVENESS_PROTOCOL, PROTOCOL_VERSION } from '../../../swarm/protocol.ts'
import { generateKeyPair } from '@libp2p/crypto/keys'

/** Every WebSocket that clients here open, so that a test can cut one as a closed tab does: without a word. */
const opened: WsWebSocket[] = []
/** What a trusted proxy in front of the relay would say the next socket comes from. */
let forwardedFor: string | null = null
class CuttableWebSocket extends WsWebSocket {
  constructor(url: string) {
    super(url, forwardedFor === null ? {} : { headers: { 'x-forwarded-for': forwardedFor } })
    opened.push(this)
    // As `net/websocket-node.ts`: a dial that is given up reports an error nobody listens to any more.
    this.on('error', () => undefined)
  }
}
globalThis.WebSocket = CuttableWebSocket as unknown as typeof globalThis.WebSocket

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

export function atEnd(cleanup: () => Promise<unknown>): void {
  cleanups.push(cleanup)
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tabswarm-relay-'))
  atEnd(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export interface TestRelay extends Relay {
  lines: string[]
  dataDir: string
}

export async function relayForTest(
  options: Partial<RelayOptionValues> = {},
  extras: Partial<RelayExtras> = {},
): Promise<TestRelay> {
  const dataDir = options.dataDir ?? (await temporaryFolder())
  const lines: string[] = []
  const log: RelayLog = createLog('text', (line) => lines.push(line))
  const config = makeRelayConfig({ port: 0, host: '127.0.0.1', ...options }, { dataDir, webRoot: null, ...extras })
  const relay = await startRelay(config, log)
  atEnd(() => relay.stop({ announce: false }))
  return { ...relay, lines, dataDir }
}

export interface TestClient {
  libp2p: Libp2p
  /** Its sockets, by the relay's peer id. */
  sockets: Map<string, WsWebSocket>
  privateKey: PrivateKey
  peerId: string
}

/** A peer that reserves on a relay it is connected to (`reserve`), or only dials. */
export async function clientForTest(
  options: { reserve?: boolean; privateKey?: PrivateKey; isStranger?: boolean } = {},
): Promise<TestClient> {
  const privateKey = options.privateKey ?? (await generateKeyPair('Ed25519'))
  const libp2p = await createLibp2p({
    privateKey,
    addresses: { listen: options.reserve === true ? ['/p2p-circuit'] : [] },
    transports: [webSockets(), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    connectionMonitor: { enabled: false },
    services: { identify: identify(), identifyPush: identifyPush(), ping: ping() },
  })
  // What makes it a peer of the swarm: circuits are not for strangers.
  if (options.isStranger !== true) await libp2p.handle(LIVENESS_PROTOCOL, () => undefined)
  atEnd(async () => libp2p.stop())
  return { libp2p, sockets: new Map(), privateKey, peerId: libp2p.peerId.toString() }
}

/** A relay wherever it runs: in this process or in another. */
export type Reachable = Pick<Relay, 'port' | 'peerId' | 'addresses'>

/** `from`: an address that is not loopback, believed by a relay that trusts 127.0.0.1 as a proxy. */
export async function dial(client: TestClient, relay: Reachable, from: string | null = null): Promise<void> {
  const before = opened.length
  forwardedFor = from
  try {
    await client.libp2p.dial(multiaddr(relay.addresses[0] ?? ''), { signal: AbortSignal.timeout(5_000) })
  } finally {
    forwardedFor = null
  }
  const socket = opened.slice(before).find((one) => one.url.includes(`:${relay.port}/`))
  if (socket !== undefined) client.sockets.set(relay.peerId, socket)
}

/** As when a tab is closed or its browser killed: the TCP connection ends, nothing is said. */
export function cut(client: TestClient, relay: Relay): void {
  const socket = client.sockets.get(relay.peerId)
  if (socket === undefined) throw new Error('this client has no connection to that relay')
  socket.terminate()
}

export function circuitAddresses(client: TestClient): string[] {
  return client.libp2p
    .getMultiaddrs()
    .map(String)
    .filter((address) => address.includes('/p2p-circuit'))
}

export async function reserved(client: TestClient, relay: Reachable, from: string | null = null): Promise<void> {
  await dial(client, relay, from)
  await vi.waitFor(
    () => {
      if (!circuitAddresses(client).some((address) => address.includes(relay.peerId))) throw new Error('no reservation')
    },
    { timeout: 8_000, interval: 20 },
  )
}

/** A directory stream with everything that came over it. */
export class DirectoryClient {
  readonly welcome: Record<string, unknown>
  readonly messages: Record<string, unknown>[] = []
  readonly records = new Map<string, PeerRecord>()
  readonly channel: JsonChannel
  isEnded = false

  private constructor(channel: JsonChannel, first: Record<string, unknown>) {
    this.channel = channel
    this.welcome = first
    void this.#read()
  }

  /** The first answer is the welcome, or a refusal. */
  static async open(
    client: TestClient,
    relay: Reachable,
    hello: Record<string, unknown> = {},
  ): Promise<DirectoryClient> {
    await dial(client, relay)
    const connection = client.libp2p.getConnections().find((c) => c.remotePeer.toString() === relay.peerId)
    if (connection === undefined) throw new Error('not connected')
    const channel = new JsonChannel(await connection.newStream(DIRECTORY_PROTOCOL))
    await channel.send({ type: 'hello', version: PROTOCOL_VERSION, role: 'donor', ...hello })
    const first = await channel.receive(AbortSignal.timeout(5_000))
    if (first === null) throw new Error('the relay closed the stream')
    return new DirectoryClient(channel, first)
  }

  publish(signed: SignedRecord): Promise<void> {
    return this.channel.send({ type: 'publish', record: toBase64(signed.bytes) })
  }

  /** Waits for a message that fits. */
  async until(fits: (message: Record<string, unknown>) => boolean, timeout = 5_000): Promise<Record<string, unknown>> {
    return vi.waitFor(
      () => {
        const found = this.messages.find(fits)
        if (found === undefined) throw new Error(`not among ${JSON.stringify(this.messages).slice(0, 500)}`)
        return found
      },
      { timeout, interval: 5 },
    )
  }

  async #read(): Promise<void> {
    try {
      for (let message = await this.channel.receive(); message !== null; message = await this.channel.receive()) {
        this.messages.push(message)
        if (!Array.isArray(message['records'])) continue
        for (const text of message['records'] as string[]) {
          const { record } = await openRecord(fromBase64(text) ?? new Uint8Array(), async () => true)
          this.records.set(record.peerId, record)
        }
      }
    } catch {
      // The stream broke: the tests look at `isEnded`.
    }
    this.isEnded = true
  }
}

export async function recordOf(client: TestClient, fields: Partial<PeerRecord> = {}): Promise<SignedRecord> {
  const now = Date.now()
  const record: PeerRecord = {
    v: 1,
    peerId: client.peerId,
    seq: now,
    issuedAt: now,
    ttlMs: 90_000,
    model: { repo: 'tinytales', revision: 'a'.repeat(40), digest: 'd'.repeat(32), blocks: 8 },
    state: 'online',
    span: { start: 0, end: 2 },
    claimedAt: now,
    maxBlocks: 8,
    blockStepsPerSecond: 10,
    cacheTokensLeft: 1_000,
    sessions: 0,
    weights: 'f32',
    backend: 'software',
    relays: [],
    ...fields,
  }
  return signRecord(record, signWith(client.privateKey))
}
