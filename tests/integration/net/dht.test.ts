/** The DHT is real: found by it alone, kept without the relay that took it first, and nothing false is stored. */
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, expect, test } from 'vitest'
import { recordKeyBytes } from '../../../net/dht.ts'
import { DirectoryStore } from '../../../net/directory-store.ts'
import { createPeerNode, type PeerNode } from '../../../net/libp2p.ts'
import { nodePlatform } from '../../../net/platform-node.ts'
import { privateKeyFromSeed, signWith, verifySignature } from '../../../net/record-crypto.ts'
import { RecordsExchange } from '../../../net/records-exchange.ts'
import { signRecord, type PeerRecord, type SignedRecord } from '../../../swarm/peer-record.ts'
import { openSession } from './session.ts'
import { MODEL, startClient, startDonor, startTestRelay, until, type Donor } from './support.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

test('with directory and fan-out off, a new peer and a client find everyone by the DHT alone', async () => {
  const relay = await startTestRelay({ directory: 'off' })
  cleanups.push(() => relay.kill())
  const donors: Donor[] = []
  for (const start of [0, 3, 6]) {
    const donor = await startDonor([relay.address], { start, end: start + 3 }, { directory: 'off' })
    cleanups.push(() => donor.node.stop())
    donors.push(donor)
  }
  const startedAt = performance.now()
  const client = await startClient([relay.address], { directory: 'off' })
  cleanups.push(() => client.stop())
  const isListed = (): boolean => client.directory.records(MODEL.digest).filter((r) => r.relays.length > 0).length === 3
  await until('the client knows all three', isListed, 30_000)
  console.log(`three peers found by the DHT alone after ${Math.round(performance.now() - startedAt)} ms`)
  const knowEachOther = (): boolean => donors.every(({ node }) => node.directory.records(MODEL.digest).length === 3)
  await until('peers know each other', knowEachOther, 40_000)
  console.log(`the three know each other by the DHT alone after ${Math.round(performance.now() - startedAt)} ms`)
  const hops = donors.map(({ node, fields }) => ({ peerId: node.peerId, span: fields.span }))
  const session = await openSession(client, hops)
  expect(await session.token(1)).toBe(37)
  await session.close()
}, 100_000)

test('a record published by one peer is found when the relay that took it first is gone', async () => {
  const first = await startTestRelay({ directory: 'off' })
  const second = await startTestRelay({ directory: 'off' })
  cleanups.push(() => second.kill())
  await second.libp2p.dial(multiaddr(first.address))
  // The donor knows only the first relay, the helper knows both.
  const donor = await startDonor([first.address], { start: 0, end: 3 }, { directory: 'off' })
  cleanups.push(() => donor.node.stop())
  const helper = await startDonor([first.address, second.address], { start: 3, end: 6 }, { directory: 'off' })
  cleanups.push(() => helper.node.stop())
  await until('the record has spread', () => helper.node.directory.get(donor.node.peerId) !== undefined)
  await first.kill()
  const client = await startClient([second.address], { directory: 'off' })
  cleanups.push(() => client.stop())
  await until('found without the first relay', () => client.directory.get(donor.node.peerId) !== undefined, 30_000)
})

test('a peer asked directly returns the records it knows', async () => {
  const relay = await startTestRelay()
  cleanups.push(() => relay.kill())
  const donors = await Promise.all([0, 3].map((start) => startDonor([relay.address], { start, end: start + 3 })))
  for (const { node } of donors) cleanups.push(() => node.stop())
  const [asked, other] = donors
  if (asked === undefined || other === undefined) throw new Error('two donors')
  await until('they know each other', () => asked.node.directory.get(other.node.peerId) !== undefined)
  await until('reserved', () => (asked.node.directory.get(asked.node.peerId)?.relays.length ?? 0) > 0)
  // A bare node that has no directory, no DHT and no neighbours: only this one question.
  const asker = await strangerAt(relay.address)
  const store = new DirectoryStore({ verify: verifySignature, now: Date.now })
  const exchange = new RecordsExchange({
    libp2p: asker.libp2p,
    store,
    onRecord: async (bytes) => void (await store.add(bytes)),
  })
  const address = multiaddr(`${relay.address}/p2p-circuit/webrtc/p2p/${asked.node.peerId}`)
  const connection = await asker.libp2p.dial(address, { signal: AbortSignal.timeout(10_000) })
  expect(await exchange.ask(connection, MODEL.digest, [])).toBe(2)
  expect(store.records(MODEL.digest).map(({ peerId }) => peerId)).toEqual(
    [asked.node.peerId, other.node.peerId].toSorted(),
  )
  expect(await exchange.ask(connection, 'e'.repeat(32), [])).toBe(0)
})

async function strangerAt(relay: string): Promise<PeerNode> {
  const node = await createPeerNode({
    privateKey: await privateKeyFromSeed(),
    platform: nodePlatform,
    iceServers: [],
    reservations: 0,
    // A validator that lets everything pass on its own side: the other side has to refuse.
    dht: { mode: 'client', verify: async () => true, now: Date.now, lastSeq: () => -1 },
  })
  cleanups.push(() => Promise.resolve(node.libp2p.stop()))
  await node.libp2p.dial(multiaddr(relay))
  return node
}

type Put = (record: SignedRecord, key: Uint8Array) => Promise<boolean>

/** A DHT server and a hostile neighbour that puts values there. */
async function storerAndNeighbour(): Promise<Put> {
  const relay = await startTestRelay()
  cleanups.push(() => relay.kill())
  const node = await strangerAt(relay.address)
  return async (signed, key) => {
    let stored = false
    for await (const event of node.dht.put(key, signed.bytes, { signal: AbortSignal.timeout(5_000) })) {
      if (event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE') stored = true
    }
    return stored
  }
}

test('forged, stale, expired and misplaced records are refused by those who store', async () => {
  const put = await storerAndNeighbour()
  const key = await privateKeyFromSeed(new Uint8Array(32).fill(1))
  const owner = peerIdFromPrivateKey(key).toString()
  const other = await privateKeyFromSeed(new Uint8Array(32).fill(2))
  const sign = (changes: Partial<PeerRecord>, by = key): Promise<SignedRecord> =>
    signRecord({ ...record(owner), ...changes }, signWith(by))
  const place = recordKeyBytes(MODEL.digest, owner)
  const now = Date.now()
  expect(await put(await sign({ seq: now }), place)).toBe(true)
  expect(await put(await sign({ seq: now + 5 }, other), place)).toBe(false)
  expect(await put(await sign({ seq: now + 6, issuedAt: now - 100_000 }), place)).toBe(false)
  expect(await put(await sign({ seq: now + 7, issuedAt: now + 100_000 }), place)).toBe(false)
  expect(await put(await sign({ seq: now + 8 }), recordKeyBytes('e'.repeat(32), owner))).toBe(false)
  expect(await put(await sign({ seq: now + 9 }), recordKeyBytes(MODEL.digest, 'somebody'))).toBe(false)
  const garbage = await sign({})
  expect(await put({ ...garbage, bytes: garbage.bytes.map((byte) => byte ^ 1) }, place)).toBe(false)
  expect(await put(await sign({ seq: now - 5 }), place)).toBe(false)
  expect(await put(await sign({ seq: now + 10 }), place)).toBe(true)
})

function record(peerId: string): PeerRecord {
  return {
    v: 1,
    peerId,
    seq: Date.now(),
    issuedAt: Date.now(),
    ttlMs: 90_000,
    model: MODEL,
    state: 'online',
    span: { start: 0, end: 3 },
    claimedAt: Date.now(),
    maxBlocks: 3,
    blockStepsPerSecond: 1,
    cacheTokensLeft: 1,
    sessions: 0,
    weights: 'f32',
    backend: 'fake',
    relays: [],
  }
}
