/** Each limit of the relay: allowed just inside, refused and named just outside, and free again afterwards. */
import { multiaddr } from '@multiformats/multiaddr'
import { expect, it, vi } from 'vitest'
import { WebSocket } from 'ws'
import { createRequestingNode } from '../../../net/node.ts'
import { nodePlatform } from '../../../net/platform-node.ts'
import {
  atEnd,
  clientForTest,
  DirectoryClient,
  dial,
  recordOf,
  relayForTest,
  reserved,
  type TestClient,
  type TestRelay,
} from './support.ts'

const STOP = '/libp2p/circuit/relay/0.2.0/stop'

/** A WebSocket as anybody opens it: how it ended, or open. A trusted proxy says where it comes from. */
async function knock(relay: TestRelay, from: string): Promise<'open' | { code: number; reason: string }> {
  const socket = new WebSocket(`ws://127.0.0.1:${relay.port}/`, { headers: { 'x-forwarded-for': from } })
  atEnd(async () => socket.terminate())
  return new Promise((resolve, reject) => {
    socket.on('error', reject)
    socket.on('close', (code, reason) => resolve({ code, reason: String(reason) }))
    // A refused one is closed before it would answer.
    socket.on('open', () => socket.ping())
    socket.on('pong', () => resolve('open'))
  })
}

function statusLine(relay: TestRelay, reason: string): string | undefined {
  return relay.lines.find((line) => line.includes('PEER_STATUS') && line.includes(`reason=${reason}`))
}

async function circuitTo(client: TestClient, relay: TestRelay, target: TestClient): Promise<void> {
  await client.libp2p.dial(multiaddr(`${relay.addresses[0] ?? ''}/p2p-circuit/p2p/${target.peerId}`), {
    signal: AbortSignal.timeout(5_000),
  })
}

it('joins a second: by the visitor’s address, named in the close and in the log', async () => {
  const relay = await relayForTest({ maxJoinsPerSecond: 3, trustProxy: ['127.0.0.1'] })
  for (let i = 0; i < 3; i += 1) expect(await knock(relay, '203.0.113.1')).toBe('open')
  expect(await knock(relay, '203.0.113.1')).toMatchObject({
    code: 1013,
    reason: expect.stringMatching(/^max-joins-per-second: more than 3 joins a second/u) as string,
  })
  expect(statusLine(relay, 'max-joins-per-second')).toContain('peer=-')
  expect(await knock(relay, '203.0.113.2')).toBe('open')
  expect(relay.lines.join('')).not.toContain('203.0.113')
  await vi.waitFor(async () => expect(await knock(relay, '203.0.113.1')).toBe('open'), { timeout: 3_000 })
})

it('joins a second: loopback is not counted', async () => {
  const relay = await relayForTest({ maxJoinsPerSecond: 1, maxReservationsPerAddress: 1, maxRecordsPerAddress: 1 })
  for (let i = 0; i < 3; i += 1) {
    const client = await clientForTest({ reserve: true })
    await reserved(client, relay)
    const directory = await DirectoryClient.open(client, relay)
    await directory.publish(await recordOf(client))
    await directory.channel.send({ type: 'ping', id: 1 })
    await directory.until((message) => message['type'] === 'pong')
    expect(directory.messages.filter((message) => message['type'] === 'refused')).toEqual([])
  }
})

it('connections: the one beyond the last place is refused, and gets it when another leaves', async () => {
  const relay = await relayForTest({ maxConnections: 2 })
  const clients = [await clientForTest(), await clientForTest(), await clientForTest()] as const
  await dial(clients[0], relay)
  await dial(clients[1], relay)
  expect(await knock(relay, '')).toMatchObject({
    code: 1013,
    reason: expect.stringMatching(/^max-connections: /u) as string,
  })
  await expect(dial(clients[2], relay)).rejects.toThrow()
  expect(statusLine(relay, 'max-connections')).toBeDefined()
  await clients[0].libp2p.stop()
  await vi.waitFor(() => dial(clients[2], relay), { timeout: 5_000 })
})

it('a refusal is said to the peer in words, by the name of its limit, and the peer gets in when there is room', async () => {
  const relay = await relayForTest({ maxConnections: 1 })
  const first = await clientForTest()
  await dial(first, relay)
  const lines: string[] = []
  const node = await createRequestingNode({
    relays: relay.addresses,
    iceServers: [],
    modelDigests: [],
    platform: nodePlatform,
    log: (line) => lines.push(line),
  })
  atEnd(() => node.stop())
  expect(node.relays()[0]).toMatchObject({
    state: 'refused',
    reason: expect.stringMatching(/max-connections: this relay holds 1 connections; try another relay/u) as string,
  })
  expect(lines.filter((line) => line.includes('max-connections'))).toHaveLength(1)
  expect(statusLine(relay, 'max-connections')).toBeDefined()
  await first.libp2p.stop()
  await vi.waitFor(() => expect(node.relays()[0]?.state).toBe('connected'), { timeout: 20_000 })
}, 30_000)

it('pending connections: somebody who never finishes the handshake takes a place only there', async () => {
  const relay = await relayForTest({ maxPendingConnections: 2 })
  expect(await knock(relay, '')).toBe('open')
  expect(await knock(relay, '')).toBe('open')
  expect(await knock(relay, '')).toMatchObject({
    code: 1013,
    reason: expect.stringMatching(/^max-pending-connections: /u) as string,
  })
})

it('reservations: refused by name on the directory stream, freed at once when a peer leaves', async () => {
  const relay = await relayForTest({ maxReservations: 1 })
  const [first, second] = [await clientForTest({ reserve: true }), await clientForTest({ reserve: true })]
  await reserved(first, relay)
  const directory = await DirectoryClient.open(second, relay)
  const refused = await directory.until((message) => message['type'] === 'refused', 8_000).catch(() => null)
  // The library asks once, maybe before the directory stream was there; the log has it in any case.
  await vi.waitFor(() => expect(statusLine(relay, 'max-reservations')).toContain(`peer=${second.peerId}`))
  if (refused !== null) expect(refused['limit']).toBe('max-reservations')
  await first.libp2p.stop()
  const third = await clientForTest({ reserve: true })
  await reserved(third, relay)
})

it('reservations of one address: the last place, none beyond it, and one again when a tab leaves', async () => {
  const relay = await relayForTest({ maxReservationsPerAddress: 1, trustProxy: ['127.0.0.1'] })
  const [first, second, third, elsewhere] = await Promise.all(
    Array.from({ length: 4 }, () => clientForTest({ reserve: true })),
  )
  if (!first || !second || !third || !elsewhere) throw new Error('four clients were made')
  await reserved(first, relay, '203.0.113.1')
  await dial(second, relay, '203.0.113.1')
  await vi.waitFor(() => expect(statusLine(relay, 'max-reservations-per-address')).toContain(second.peerId))
  await reserved(elsewhere, relay, '203.0.113.2')
  await first.libp2p.stop()
  await reserved(third, relay, '203.0.113.1')
})

it('records of one address', async () => {
  const relay = await relayForTest({ maxRecordsPerAddress: 1, trustProxy: ['127.0.0.1'] })
  const answers: unknown[] = []
  for (const from of ['203.0.113.1', '203.0.113.1', '203.0.113.2']) {
    const client = await clientForTest()
    await dial(client, relay, from)
    const directory = await DirectoryClient.open(client, relay)
    await directory.publish(await recordOf(client))
    await directory.channel.send({ type: 'ping', id: 1 })
    await directory.until((message) => message['type'] === 'pong')
    const refused = directory.messages.find((message) => message['type'] === 'refused')
    answers.push(refused === undefined ? 'in' : refused['limit'])
  }
  expect(answers).toEqual(['in', 'max-records-per-address', 'in'])
})

it('circuits of one peer: the last one inside works, the next is refused', async () => {
  const relay = await relayForTest({ maxCircuitsPerPeer: 2 })
  const target = await clientForTest({ reserve: true })
  await reserved(target, relay)
  const sources = await Promise.all([clientForTest(), clientForTest(), clientForTest()])
  for (const source of sources.slice(0, 2)) {
    await dial(source, relay)
    await circuitTo(source, relay, target)
  }
  const [, leaving, last] = sources
  if (last === undefined || leaving === undefined) throw new Error('three clients were made')
  await dial(last, relay)
  await expect(circuitTo(last, relay, target)).rejects.toThrow()
  expect(statusLine(relay, 'max-circuits-per-peer')).toContain(`peer=${last.peerId}`)
  await leaving.libp2p.stop()
  await vi.waitFor(() => circuitTo(last, relay, target), { timeout: 5_000 })
})

it('circuits in all, and the day’s bytes: beyond them a circuit carries signalling only', async () => {
  const relay = await relayForTest({ maxCircuits: 1, egressBytesPerDay: 1 })
  const target = await clientForTest({ reserve: true })
  await reserved(target, relay)
  const [source, other] = [await clientForTest(), await clientForTest()]
  await dial(source, relay)
  await circuitTo(source, relay, target)
  const connection = source.libp2p.getConnections().find((c) => c.remotePeer.equals(target.libp2p.peerId))
  expect(Number(connection?.limits?.bytes)).toBeLessThanOrEqual(128 * 1024)
  await dial(other, relay)
  await expect(circuitTo(other, relay, target)).rejects.toThrow()
  expect(statusLine(relay, 'max-circuits')).toContain(`peer=${other.peerId}`)
})

it('circuits last and carry what the limits say, not the library’s two minutes and 128 KiB', async () => {
  const relay = await relayForTest()
  const target = await clientForTest({ reserve: true })
  await reserved(target, relay)
  const source = await clientForTest()
  await dial(source, relay)
  await circuitTo(source, relay, target)
  const connection = source.libp2p.getConnections().find((c) => c.remotePeer.equals(target.libp2p.peerId))
  expect(Number(connection?.limits?.bytes)).toBeGreaterThan(60 * 1024 * 1024)
  expect(connection?.limits?.seconds ?? 0).toBeGreaterThan(24 * 60 * 60 - 60)
  expect(target.libp2p.getConnections().some((c) => c.streams.some((s) => s.protocol === STOP))).toBe(true)
})

it('a class of twenty that joins in the same second is let in whole, each with a place to be reached at', async () => {
  const relay = await relayForTest()
  const clients = await Promise.all(Array.from({ length: 20 }, () => clientForTest({ reserve: true })))
  // Five a second from one address, ten at once and fifteen reservations are what the library would grant.
  await Promise.all(clients.map((client) => reserved(client, relay)))
  expect(relay.lines.join('')).not.toContain('PEER_STATUS')
})

it('records: longer than the limit, and listed no longer than it', async () => {
  const relay = await relayForTest({ maxRecordBytes: 600, recordTtl: 2 })
  const client = await clientForTest()
  const directory = await DirectoryClient.open(client, relay)
  await directory.publish(await recordOf(client, { relays: Array.from({ length: 4 }, () => relay.addresses[0] ?? '') }))
  expect(await directory.until((message) => message['type'] === 'refused')).toMatchObject({ limit: 'max-record-bytes' })
  expect(statusLine(relay, 'max-record-bytes')).toContain(client.peerId)
  const other = await DirectoryClient.open(await clientForTest(), relay)
  await directory.publish(await recordOf(client))
  await vi.waitFor(() => expect(other.records.has(client.peerId)).toBe(true))
  // Whoever comes after its time is told of nobody.
  await vi.waitFor(
    async () => {
      const late = await DirectoryClient.open(await clientForTest(), relay)
      await late.channel.send({ type: 'ping', id: 1 })
      await late.until((message) => message['type'] === 'pong')
      expect(late.records.size).toBe(0)
    },
    { timeout: 20_000, interval: 200 },
  )
})

it('records: of one address and in all', async () => {
  const relay = await relayForTest({ maxRecords: 2 })
  for (let i = 0; i < 3; i += 1) {
    const client = await clientForTest()
    const directory = await DirectoryClient.open(client, relay)
    await directory.publish(await recordOf(client))
    if (i < 2) {
      await directory.channel.send({ type: 'ping', id: 7 })
      await directory.until((message) => message['type'] === 'pong')
      expect(directory.messages.some((message) => message['type'] === 'refused')).toBe(false)
    } else {
      const refused = await directory.until((message) => message['type'] === 'refused')
      expect(refused).toMatchObject({ limit: 'max-records', text: expect.stringContaining('2 peers') as string })
      expect(statusLine(relay, 'max-records')).toContain(client.peerId)
    }
  }
})
