/**
 * A peer that belongs to no swarm: no directory, no sessions, and a DHT client whose own validator lets everything pass, so
 * that whatever is refused is refused by the other side. It may sign records with keys of its own.
 */
import '../../net/compat.ts'
import type { Connection } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { DirectoryStore } from '../../net/directory-store.ts'
import { createPeerNode, type PeerNode } from '../../net/libp2p.ts'
import { nodePlatform } from '../../net/platform-node.ts'
import { privateKeyFromSeed, signWith, verifySignature } from '../../net/record-crypto.ts'
import { RecordsExchange } from '../../net/records-exchange.ts'
import { LIVENESS_PROTOCOL } from '../../swarm/protocol.ts'
import { signRecord, type ModelId, type PeerRecord, type SignedRecord } from '../../swarm/peer-record.ts'

const DIAL_MS = 20_000
const QUERY_MS = 10_000

export class Stranger {
  readonly node: PeerNode
  readonly #relay: string

  private constructor(node: PeerNode, relay: string) {
    this.node = node
    this.#relay = relay
  }

  /** Connects to a relay and to nobody else. */
  static async at(relay: string): Promise<Stranger> {
    const node = await createPeerNode({
      privateKey: await privateKeyFromSeed(),
      platform: nodePlatform,
      iceServers: [],
      reservations: 0,
      dht: { mode: 'client', verify: async () => true, now: Date.now, lastSeq: () => -1 },
    })
    // It knows what a peer of the swarm answers to, or the relay would carry nothing for it.
    await node.libp2p.handle(LIVENESS_PROTOCOL, () => undefined)
    await node.libp2p.dial(multiaddr(relay))
    return new Stranger(node, relay)
  }

  /** A direct connection to a peer that the relay can reach. */
  async dial(peerId: string): Promise<Connection> {
    const address = multiaddr(`${this.#relay}/p2p-circuit/webrtc/p2p/${peerId}`)
    return this.node.libp2p.dial(address, { signal: AbortSignal.timeout(DIAL_MS) })
  }

  /** Tells the peer `told` and returns what it knows of a model (null: of all), as far as it passes the checks. */
  async ask(
    connection: Connection,
    modelDigest: string | null,
    told: readonly Uint8Array[] = [],
  ): Promise<PeerRecord[]> {
    const store = new DirectoryStore({ verify: verifySignature, now: Date.now })
    const exchange = new RecordsExchange({
      libp2p: this.node.libp2p,
      store,
      onRecord: async (bytes) => void (await store.add(bytes)),
    })
    await exchange.ask(connection, modelDigest, told)
    return store.signedRecords(modelDigest ?? undefined).map(({ record }) => record)
  }

  /** Whether the value was stored by `peerId`, or with null by anyone. */
  async put(key: Uint8Array, value: Uint8Array, peerId: string | null): Promise<boolean> {
    let stored = false
    for await (const event of this.node.dht.put(key, value, { signal: AbortSignal.timeout(QUERY_MS) })) {
      if (event.name !== 'PEER_RESPONSE' || event.messageName !== 'PUT_VALUE') continue
      if (peerId === null || event.from.toString() === peerId) stored = true
    }
    return stored
  }

  /** The copy that `peerId` itself holds. */
  async get(key: Uint8Array, peerId: string): Promise<Uint8Array | null> {
    let found: Uint8Array | null = null
    for await (const event of this.node.dht.get(key, { signal: AbortSignal.timeout(QUERY_MS) })) {
      if (event.name !== 'PEER_RESPONSE' || event.from.toString() !== peerId) continue
      found = event.record?.value ?? found
    }
    return found
  }

  stop(): Promise<void> {
    return Promise.resolve(this.node.libp2p.stop())
  }
}

/** Somebody who signs records; the seed byte makes the key. */
export class Signer {
  readonly peerId: string
  readonly #sign: ReturnType<typeof signWith>
  readonly #model: ModelId

  private constructor(key: Awaited<ReturnType<typeof privateKeyFromSeed>>, model: ModelId) {
    this.peerId = peerIdFromPrivateKey(key).toString()
    this.#sign = signWith(key)
    this.#model = model
  }

  static async of(seed: number, model: ModelId): Promise<Signer> {
    return new Signer(await privateKeyFromSeed(new Uint8Array(32).fill(seed)), model)
  }

  /** A record of this signer, or with `peerId` a forged one of somebody else. */
  record(changes: Partial<PeerRecord> = {}): Promise<SignedRecord> {
    const now = Date.now()
    const fields: PeerRecord = {
      v: 1,
      peerId: this.peerId,
      seq: now,
      issuedAt: now,
      ttlMs: 90_000,
      model: this.#model,
      state: 'online',
      span: { start: 0, end: 3 },
      claimedAt: now,
      maxBlocks: 3,
      blockStepsPerSecond: 1,
      cacheTokensLeft: 1,
      sessions: 0,
      weights: 'f32',
      backend: 'fake',
      relays: [],
    }
    return signRecord({ ...fields, ...changes }, this.#sign)
  }
}
