/**
 * The DHT is real, with real tabs: two relays whose directory and fan-out are off, a donor on each, and everybody finds
 * everybody by the DHT alone. The tests go on with one swarm, in their order; the last one kills the first relay.
 */
import type { Connection } from '@libp2p/interface'
import type { Browser } from 'playwright'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { recordKeyBytes } from '../../net/dht.ts'
import type { AppConfig } from '../../swarm/app-config.ts'
import { openRecord, type ModelId, type PeerRecord } from '../../swarm/peer-record.ts'
import { verifySignature } from '../../net/record-crypto.ts'
import { launchChromium } from '../support/browser.ts'
import { ChatPage } from '../support/chat-page.ts'
import { peerIdOf } from '../support/processes.ts'
import { Signer, Stranger } from '../support/stranger.ts'
import { READY, selectedBlocks, TestSwarm, tinytalesCase } from '../support/swarm.ts'

const STORY = tinytalesCase('Tell me a story.')
/** Of a model that nobody routes over: what is put here disturbs no answer. */
const OTHER_MODEL: ModelId = { repo: 'test/other', revision: 'f'.repeat(40), digest: 'd'.repeat(32), blocks: 9 }
/** Ten times what a search by DHT takes in a swarm of this size. */
const SEARCH_MS = 60_000

let swarm: TestSwarm
let browser: Browser
let stranger: Stranger
/** Peer ids of the two donors, the first on the first relay only. */
let ids: [string, string]
let toFirst: Connection

beforeAll(async () => {
  swarm = new TestSwarm()
  await swarm.relay(['--directory', 'off'])
  await swarm.relay(['--directory', 'off', '--dht-initial-peers', swarm.addresses[0] as string])
  browser = await launchChromium()
  const donors = swarm.addresses.map((initialPeers) => () => swarm.donor(['--num_blocks', '4'], { initialPeers }))
  for (const [index, start] of donors.entries()) {
    const donor = start()
    await donor.waitForLine(READY, 120_000)
    // The second one knows of the first, or it would take the same blocks.
    expect(selectedBlocks(donor)[0]).toBe(index * 4)
  }
  ids = [peerIdOf(swarm.donors[0]), peerIdOf(swarm.donors[1])]
})
afterAll(async () => {
  await stranger?.stop()
  await browser?.close()
  await swarm?.stop()
})

test('with directory and fan-out off, a new tab and a prompt find everyone by the DHT alone', async () => {
  const config = (await (await fetch(`http://127.0.0.1:${swarm.ports[0]}/config.json`)).json()) as AppConfig
  expect(config.developer).toEqual({ directory: 'off' })
  const tab = new ChatPage(await browser.newPage())
  await tab.openGreedy(`http://127.0.0.1:${swarm.ports[0]}/`, SEARCH_MS)
  expect((await tab.directory()).map(({ peerId }) => peerId).toSorted()).toEqual(ids.toSorted())
  await tab.send(STORY.prompt)
  expect(await tab.finished(0)).toBe(STORY.greedy_text.trim())
  expect((await tab.route()).map(({ peerId }) => peerId)).toEqual(ids)
  await tab.page.close()
  const answer = await swarm.prompt(['--temperature', '0', '--prompt', STORY.prompt], {
    initialPeers: swarm.addresses[0] as string,
  })
  expect(answer.ids).toEqual(STORY.greedy)
  expect(answer.route.map(({ peer }) => peer)).toEqual(ids)
})

test('a tab asked directly returns the records that it knows', async () => {
  stranger = await Stranger.at(swarm.addresses[0] as string)
  toFirst = await stranger.dial(ids[0])
  const digest = await modelDigest()
  const told = await stranger.ask(toFirst, digest)
  expect(told.map(({ peerId }) => peerId)).toEqual(ids.toSorted())
  const held = await stranger.get(recordKeyBytes(digest, ids[1]), ids[0])
  expect(held && (await openRecord(held, verifySignature)).record.peerId).toBe(ids[1])
})

test('a tab refuses forged, stale and expired records, in its DHT and when a neighbour tells them', async () => {
  const owner = await Signer.of(1, OTHER_MODEL)
  const other = await Signer.of(2, OTHER_MODEL)
  const place = recordKeyBytes(OTHER_MODEL.digest, owner.peerId)
  const now = Date.now()
  const good = await owner.record({ seq: now })
  const bad = {
    forged: await other.record({ peerId: owner.peerId, seq: now + 5 }),
    stale: await owner.record({ seq: now - 5 }),
    expired: await owner.record({ seq: now + 6, issuedAt: now - 100_000 }),
    'from the future': await owner.record({ seq: now + 7, issuedAt: now + 100_000 }),
  }
  const known = async (told: Uint8Array[] = []): Promise<number[]> => {
    await stranger.ask(toFirst, OTHER_MODEL.digest, told)
    return (await stranger.ask(toFirst, OTHER_MODEL.digest)).map(({ seq }) => seq)
  }
  expect(await stranger.put(place, good.bytes, ids[0])).toBe(true)
  expect(await known()).toEqual([now])
  for (const [name, record] of Object.entries(bad)) {
    expect(await stranger.put(place, record.bytes, ids[0]), `${name}, put`).toBe(false)
    expect(await known([record.bytes]), `${name}, told`).toEqual([now])
  }
  const misplaced = recordKeyBytes(OTHER_MODEL.digest, other.peerId)
  expect(await stranger.put(misplaced, good.bytes, ids[0]), 'under another key').toBe(false)
  // And what it would not refuse, it takes: the refusals above are not deafness.
  const newer: Partial<PeerRecord> = { seq: now + 10 }
  expect(await known([(await owner.record(newer)).bytes])).toEqual([now + 10])
  expect(await stranger.put(place, (await owner.record({ seq: now + 11 })).bytes, ids[0])).toBe(true)
})

test('a record is found by a new tab when the relay that first took it is gone', async () => {
  await stranger.stop()
  const first = swarm.relays[0]
  first?.signal('SIGKILL')
  await first?.exited()
  const tab = new ChatPage(await browser.newPage())
  await tab.page.goto(`http://127.0.0.1:${swarm.ports[1]}/`)
  const finds = async (): Promise<string[]> => (await tab.directory()).map(({ peerId }) => peerId)
  await expect.poll(finds, { timeout: SEARCH_MS }).toContain(ids[0])
  expect(await finds()).toContain(ids[1])
})

async function modelDigest(): Promise<string> {
  const known = await stranger.ask(toFirst, null)
  const record = known.find(({ peerId }) => peerId === ids[0])
  if (record === undefined) throw new Error('the tab does not tell its own record')
  return record.model.digest
}
