/**
 * What this DHT is set to do, seen on running nodes: serves from tabs, forgets who is gone within two minutes, and is
 * never asked by libp2p itself.
 */
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, expect, test, vi } from 'vitest'
import { providerCid } from '../../../net/dht.ts'
import { createPeerNode, type PeerNode } from '../../../net/libp2p.ts'
import { nodePlatform } from '../../../net/platform-node.ts'
import { privateKeyFromSeed, verifySignature } from '../../../net/record-crypto.ts'
import { DHT_PROTOCOL } from '../../../swarm/protocol.ts'
import { MODEL, startTestRelay, until } from './support.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

async function startPeer(mode: 'server' | 'client', reservations = 0): Promise<PeerNode> {
  const node = await createPeerNode({
    privateKey: await privateKeyFromSeed(),
    platform: nodePlatform,
    iceServers: [],
    reservations,
    dht: { mode, verify: verifySignature, now: Date.now, lastSeq: () => -1 },
  })
  cleanups.push(async () => node.libp2p.stop())
  return node
}

async function strangerId(): Promise<ReturnType<typeof peerIdFromPrivateKey>> {
  return peerIdFromPrivateKey(await privateKeyFromSeed())
}

/** The stores inside kad-dht: what it forgets is seen there without waiting two minutes. */
interface Inside {
  providers: {
    addProvider(cid: unknown, id: unknown, options: { time: Date }): Promise<void>
    getProviders(cid: unknown): Promise<{ toString(): string }[]>
  }
  network: { sendRequest: () => unknown }
  routingTable: { size: number }
  reprovider: { processRecords(): Promise<void>; interval: number }
}

test('a tab serves the DHT, also when it learns its addresses, and the relay counts on it', async () => {
  const relay = await startTestRelay()
  cleanups.push(() => relay.kill())
  const tab = await startPeer('server', 1)
  await tab.libp2p.dial(multiaddr(relay.address))
  // Its own address is one through a relay: left to itself the DHT would fall back to asking only.
  await until('reserved', () => tab.libp2p.getMultiaddrs().some((address) => String(address).includes('/p2p-circuit')))
  await until('told to the relay', () =>
    relay.libp2p.getConnections().some(({ remotePeer }) => remotePeer.equals(tab.libp2p.peerId)),
  )
  const client = await startPeer('client')
  await client.libp2p.dial(multiaddr(relay.address))
  const found = async (): Promise<string[]> => {
    const ids: string[] = []
    const events = client.dht.getClosestPeers(tab.libp2p.peerId.toMultihash().bytes, {
      signal: AbortSignal.timeout(5_000),
    })
    for await (const event of events) {
      if (event.name === 'PEER_RESPONSE') ids.push(...event.closer.map(({ id }) => id.toString()))
    }
    return ids
  }
  await expect.poll(found, { timeout: 20_000, interval: 500 }).toContain(tab.libp2p.peerId.toString())
  expect(tab.dht.getMode()).toBe('server')
  expect(tab.libp2p.getProtocols()).toContain(DHT_PROTOCOL)
  expect(client.dht.getMode()).toBe('client')
  expect(client.libp2p.getProtocols()).not.toContain(DHT_PROTOCOL)
})

test('who has not said so again for 90 seconds provides no more', async () => {
  const node = await startPeer('server')
  const cid = await providerCid(MODEL.digest)
  const { providers, reprovider } = node.dht as unknown as Inside
  const [lately, longAgo] = [await strangerId(), await strangerId()]
  await providers.addProvider(cid, lately, { time: new Date(Date.now() - 80_000) })
  await providers.addProvider(cid, longAgo, { time: new Date(Date.now() - 100_000) })
  await reprovider.processRecords()
  const known = (await providers.getProviders(cid)).map(String)
  expect(known).toEqual([lately.toString()])
  expect(reprovider.interval).toBeLessThanOrEqual(30_000)
})

test('libp2p never asks the DHT by itself: a dial to a peer without addresses fails at once, nothing is sent', async () => {
  const relay = await startTestRelay()
  cleanups.push(() => relay.kill())
  const node = await startPeer('server')
  await node.libp2p.dial(multiaddr(relay.address))
  const inside = node.dht as unknown as Inside
  await until('in the routing table', () => inside.routingTable.size > 0)
  const asked = vi.spyOn(inside.network, 'sendRequest')
  const stranger = await strangerId()
  const signal = AbortSignal.timeout(5_000)
  await expect(node.libp2p.dial(stranger, { signal })).rejects.toThrow()
  await expect(node.libp2p.peerRouting.findPeer(stranger, { signal })).rejects.toThrow(/No peer routers/iu)
  expect(asked).not.toHaveBeenCalled()
})
