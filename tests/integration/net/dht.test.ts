/** The DHT is real: found by it alone, kept without the relay that took it first, and nothing false is stored. */
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, expect, test } from 'vitest'
import { recordKeyBytes } from '../../../net/dht.ts'
import { createPeerNode } from '../../../net/libp2p.ts'
import { nodePlatform } from '../../../net/platform-node.ts'
import { privateKeyFromSeed, signWith } from '../../../net/record-crypto.ts'
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
  await until('peers know each other', () =>
    donors.every(({ node }) => node.directory.records(MODEL.digest).length === 3),
  )
  const hops = donors.map(({ node, fields }) => ({ peerId: node.peerId, span: fields.span }))
  const session = await openSession(client, hops)
  expect(await session.token(1)).toBe(37)
  await session.close()
})

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
  const donors = await Promise.all([0, 3].map((start) => startDonor([relay.address], { start, end: start + 3 })))
  for (const { node } of donors) cleanups.push(() => node.stop())
  const [asked, other] = donors
  if (asked === undefined || other === undefined) throw new Error('two donors')
  await until('they know each other', () => asked.node.directory.get(other.node.peerId) !== undefined)
  // Off: it takes nothing from the relay, and asks nobody by itself but the DHT.
  const client = await startClient([relay.address], { directory: 'off', modelDigests: [] })
  cleanups.push(() => client.stop())
  const asker = await startDonor([relay.address], { start: 6, end: 9 })
  cleanups.push(() => asker.node.stop())
  await until('the asker met the asked', () => asker.node.directory.get(asked.node.peerId) !== undefined)
  await relay.kill()
  // A neighbour that connects later learns everything from the one it connects to.
  expect(asked.node.directory.records(MODEL.digest).length).toBeGreaterThanOrEqual(2)
})

type Put = (record: SignedRecord, key: Uint8Array) => Promise<boolean>

/** A DHT server and a hostile neighbour that puts values there. */
async function storerAndNeighbour(): Promise<Put> {
  const relay = await startTestRelay()
  cleanups.push(() => relay.kill())
  const node = await createPeerNode({
    privateKey: await privateKeyFromSeed(),
    platform: nodePlatform,
    iceServers: [],
    reservations: 0,
    // A validator that lets everything pass on its own side: the other side has to refuse.
    dht: { mode: 'client', verify: async () => true, now: Date.now, lastSeq: () => -1 },
  })
  cleanups.push(() => Promise.resolve(node.libp2p.stop()))
  await node.libp2p.dial(multiaddr(relay.address))
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
