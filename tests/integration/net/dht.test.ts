/** The DHT is real: found by it alone, kept without the relay that took it first, and nothing false is stored. */
import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, expect, test } from 'vitest'
import { recordKeyBytes } from '../../../net/dht.ts'
import type { PeerRecord } from '../../../swarm/peer-record.ts'
import { Signer, Stranger } from '../../support/stranger.ts'
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
  await until('the client knows all three', isListed, 60_000)
  console.log(`three peers found by the DHT alone after ${Math.round(performance.now() - startedAt)} ms`)
  const knowEachOther = (): boolean => donors.every(({ node }) => node.directory.records(MODEL.digest).length === 3)
  await until('peers know each other', knowEachOther, 60_000)
  console.log(`the three know each other by the DHT alone after ${Math.round(performance.now() - startedAt)} ms`)
  const hops = donors.map(({ node, fields }) => ({ peerId: node.peerId, span: fields.span }))
  const session = await openSession(client, hops)
  expect(await session.token(1)).toBe(37)
  await session.close()
}, 200_000)

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
  await until('found without the first relay', () => client.directory.get(donor.node.peerId) !== undefined, 60_000)
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
  const asker = await strangerAt(relay.address)
  const connection = await asker.dial(asked.node.peerId)
  const told = await asker.ask(connection, MODEL.digest)
  expect(told.map(({ peerId }) => peerId)).toEqual([asked.node.peerId, other.node.peerId].toSorted())
  expect(await asker.ask(connection, 'e'.repeat(32))).toEqual([])
})

async function strangerAt(relay: string): Promise<Stranger> {
  const stranger = await Stranger.at(relay)
  cleanups.push(() => stranger.stop())
  return stranger
}

test('forged, stale, expired and misplaced records are refused by those who store', async () => {
  const relay = await startTestRelay()
  cleanups.push(() => relay.kill())
  const hostile = await strangerAt(relay.address)
  const owner = await Signer.of(1, MODEL)
  const other = await Signer.of(2, MODEL)
  const place = recordKeyBytes(MODEL.digest, owner.peerId)
  const now = Date.now()
  const put = async (changes: Partial<PeerRecord>, key = place): Promise<boolean> =>
    hostile.put(key, (await owner.record(changes)).bytes, null)
  expect(await put({ seq: now })).toBe(true)
  const forged = await other.record({ peerId: owner.peerId, seq: now + 5 })
  expect(await hostile.put(place, forged.bytes, null)).toBe(false)
  expect(await put({ seq: now + 6, issuedAt: now - 100_000 })).toBe(false)
  expect(await put({ seq: now + 7, issuedAt: now + 100_000 })).toBe(false)
  expect(await put({ seq: now + 8 }, recordKeyBytes('e'.repeat(32), owner.peerId))).toBe(false)
  expect(await put({ seq: now + 9 }, recordKeyBytes(MODEL.digest, 'somebody'))).toBe(false)
  const garbage = (await owner.record()).bytes.map((byte) => byte ^ 1)
  expect(await hostile.put(place, garbage, null)).toBe(false)
  expect(await put({ seq: now - 5 })).toBe(false)
  expect(await put({ seq: now + 10 })).toBe(true)
})
