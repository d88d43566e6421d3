/**
 * The DHT of the swarm: kad-dht under our own protocol id, in server mode on tabs and relays and in client mode in a
 * Node requesting peer. One provider record per model and one signed record per peer. Values are checked where they are
 * stored and where they are read: signature by the peer id in the key, model digest, expiry, and a sequence not lower
 * than the last seen, because a put is stored blindly and the selector is never asked.
 */
import { contentRoutingSymbol, peerRoutingSymbol } from '@libp2p/interface'
import { kadDHT, passthroughMapper, type KadDHT, type KadDHTComponents } from '@libp2p/kad-dht'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'
import { SwarmError } from '../swarm/errors.ts'
import { MAX_DIRECTORY_RECORDS } from '../swarm/limits.ts'
import { isFresh, openRecord, type SignedRecord, type Verify } from '../swarm/peer-record.ts'
import { DHT_NAMESPACE, DHT_PROTOCOL, providerKeyText, recordKey } from '../swarm/protocol.ts'

/** Provider records of kad-dht live 48 h and cannot be withdrawn; a dead peer would cost every query its dial. */
const REPROVIDE = { validity: 90_000, interval: 15_000, threshold: 45_000 }
/**
 * A silent peer in the routing table holds one of a query's questions up for this long. A peer that is gone does not: the
 * relay says at once that it is not there. Less would cut off the WebRTC dials of a busy machine, over and over.
 */
const NETWORK_DIAL_TIMEOUT = { minTimeout: 3_000, maxTimeout: 5_000 }

export interface DhtOptions {
  mode: 'server' | 'client'
  verify: Verify
  /** Corrected clock, ms. */
  now: () => number
  /** Highest sequence seen of a peer by any way; -1 when never seen. */
  lastSeq: (peerId: string) => number
  /** Every valid record that others ask this node to store, or that it reads. */
  onRecord?: (signed: SignedRecord) => void
}

export type DhtService = KadDHT
export type DhtFactory = (components: KadDHTComponents) => KadDHT

/** Service factory for `createLibp2p({ services: { dht } })`; needs services named `identify` and `ping`. */
export function dhtService(options: DhtOptions): DhtFactory {
  const validate = createValidator(options)
  const create = kadDHT({
    protocol: DHT_PROTOCOL,
    clientMode: options.mode === 'client',
    peerInfoMapper: passthroughMapper,
    validators: {
      [DHT_NAMESPACE]: async (key, value) => {
        const signed = await validate(key, value)
        options.onRecord?.(signed)
      },
    },
    selectors: { [DHT_NAMESPACE]: selectNewest },
    reprovide: REPROVIDE,
    networkDialTimeout: NETWORK_DIAL_TIMEOUT,
    // Small swarms: one path of three questions at a time asks everyone who matters.
    alpha: 3,
    disjointPaths: 1,
    pingOldContactTimeout: NETWORK_DIAL_TIMEOUT,
    pingNewContactTimeout: NETWORK_DIAL_TIMEOUT,
  })
  return (components) => {
    const dht = create(components)
    // libp2p must not ask the DHT by itself: neither for addresses in the middle of a dial (never a query on the token
    // path), nor on the random walks by which the circuit transport would look for other relays during an outage.
    for (const symbol of [peerRoutingSymbol, contentRoutingSymbol])
      Object.defineProperty(dht, symbol, { value: undefined })
    return dht
  }
}

/**
 * Opens and checks a DHT value against its key.
 * @throws SwarmError BAD_RECORD naming what is wrong
 */
export function createValidator(
  options: Pick<DhtOptions, 'verify' | 'now' | 'lastSeq'>,
): (key: Uint8Array, value: Uint8Array) => Promise<SignedRecord> {
  const stored = new SeenSequences()
  return async (key, value) => {
    const named = parseRecordKey(key)
    const signed = await openRecord(value, options.verify)
    const { record } = signed
    if (record.peerId !== named.peerId) throw bad(`it is of ${record.peerId}, and its key names ${named.peerId}`)
    if (record.model.digest !== named.modelDigest) throw bad('it is of another model than its key')
    if (!isFresh(record, options.now())) throw bad('it has expired or comes from a wrong clock')
    const lastSeq = Math.max(options.lastSeq(record.peerId), stored.get(record.peerId))
    if (record.seq < lastSeq) throw bad(`sequence ${record.seq} is lower than ${lastSeq}, which was seen before`)
    stored.set(record.peerId, record.seq)
    return signed
  }
}

/** Sequences of values that passed here, for nodes whose directory does not hear of them. Oldest forgotten first. */
class SeenSequences {
  readonly #seqs = new Map<string, number>()

  get(peerId: string): number {
    return this.#seqs.get(peerId) ?? -1
  }

  set(peerId: string, seq: number): void {
    this.#seqs.delete(peerId)
    this.#seqs.set(peerId, seq)
    const [oldest] = this.#seqs.keys()
    if (this.#seqs.size > MAX_DIRECTORY_RECORDS && oldest !== undefined) this.#seqs.delete(oldest)
  }
}

/** Index of the record with the highest sequence; values were validated before, what does not parse counts lowest. */
async function selectNewest(_key: Uint8Array, values: Uint8Array[]): Promise<number> {
  let best = 0
  let bestSeq = -1
  for (const [i, value] of values.entries()) {
    const signed = await openRecord(value, async () => true).catch(() => null)
    if (signed !== null && signed.record.seq > bestSeq) {
      best = i
      bestSeq = signed.record.seq
    }
  }
  return best
}

function parseRecordKey(key: Uint8Array): { modelDigest: string; peerId: string } {
  const parts = new TextDecoder().decode(key).split('/')
  const [empty, namespace, modelDigest, peerId] = parts
  if (parts.length !== 4 || empty !== '' || namespace !== DHT_NAMESPACE || !modelDigest || !peerId) {
    throw bad('its key is not /tabswarm/<model digest>/<peer id>')
  }
  return { modelDigest, peerId }
}

export function recordKeyBytes(modelDigest: string, peerId: string): Uint8Array {
  return new TextEncoder().encode(recordKey(modelDigest, peerId))
}

/** The CID under which all serving peers of a model provide. */
export async function providerCid(modelDigest: string): Promise<CID> {
  return CID.createV1(raw.code, await sha256.digest(new TextEncoder().encode(providerKeyText(modelDigest))))
}

function bad(message: string): SwarmError {
  return new SwarmError('BAD_RECORD', `DHT record refused: ${message}`)
}
