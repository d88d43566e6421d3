/** The directory: welcome, fan-out, gone reports, refusals; between tabs of one relay and of two. */
import { request } from 'node:http'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, it, vi } from 'vitest'
import { RECORD_REFRESH_MS } from '../../../swarm/limits.ts'
import {
  circuitAddresses,
  clientForTest,
  cut,
  dial,
  DirectoryClient,
  recordOf,
  relayForTest,
  reserved,
  temporaryFolder,
  type TestClient,
  type TestRelay,
} from './support.ts'

async function member(relay: TestRelay): Promise<{ client: TestClient; directory: DirectoryClient }> {
  const client = await clientForTest()
  return { client, directory: await DirectoryClient.open(client, relay) }
}

it('welcomes with the time and all fresh records, and sends each change at once', async () => {
  const relay = await relayForTest()
  const one = await member(relay)
  expect(one.directory.welcome).toMatchObject({ type: 'welcome', version: '1.0', peerId: one.client.peerId })
  expect(Math.abs(Number(one.directory.welcome['time']) - Date.now())).toBeLessThan(1_000)
  const signed = await recordOf(one.client)
  await one.directory.publish(signed)
  const two = await member(relay)
  await vi.waitFor(() => expect(two.directory.records.get(one.client.peerId)).toEqual(signed.record))
  const before = performance.now()
  await one.directory.publish(await recordOf(one.client, { seq: signed.record.seq + 1, state: 'leaving' }))
  await vi.waitFor(() => expect(two.directory.records.get(one.client.peerId)?.state).toBe('leaving'), { interval: 1 })
  expect(performance.now() - before).toBeLessThan(500)
  // Nobody is sent their own record.
  expect(one.directory.records.size).toBe(0)
})

it('reports a peer gone as soon as its connection ends', async () => {
  const relay = await relayForTest()
  const [one, two] = [await member(relay), await member(relay)]
  await one.directory.publish(await recordOf(one.client))
  await vi.waitFor(() => expect(two.directory.records.has(one.client.peerId)).toBe(true))
  const before = performance.now()
  cut(one.client, relay)
  await two.directory.until((message) => message['type'] === 'gone' && message['peerId'] === one.client.peerId)
  expect(performance.now() - before).toBeLessThan(500)
  const three = await member(relay)
  await three.directory.channel.send({ type: 'ping', id: 1 })
  await three.directory.until((message) => message['type'] === 'pong')
  expect(three.directory.records.has(one.client.peerId)).toBe(false)
})

it('refuses what is not a peer’s own fresh signed record, and sends nothing of it on', async () => {
  const relay = await relayForTest()
  const [one, two] = [await member(relay), await member(relay)]
  const stranger = await clientForTest()
  const own = await recordOf(one.client)
  const forged = { ...own, bytes: own.bytes.slice() }
  forged.bytes[forged.bytes.length - 1] = (forged.bytes[forged.bytes.length - 1] ?? 0) ^ 1
  const old = Date.now() - 10 * RECORD_REFRESH_MS
  const refused: [string, string][] = []
  for (const [name, signed] of [
    ['of another peer', await recordOf(stranger)],
    ['forged', forged],
    ['expired', await recordOf(one.client, { issuedAt: old, seq: old })],
  ] as const) {
    one.directory.messages.length = 0
    await one.directory.publish(signed)
    const answer = await one.directory.until((message) => message['type'] === 'refused')
    refused.push([name, String(answer['limit'])])
    expect(String(answer['text']).length).toBeGreaterThan(20)
  }
  expect(refused).toEqual([
    ['of another peer', 'record'],
    ['forged', 'record'],
    ['expired', 'record-time'],
  ])
  await one.directory.publish(own)
  await vi.waitFor(() => expect(two.directory.records.size).toBe(1))
  expect([...two.directory.records.keys()]).toEqual([one.client.peerId])
})

it('refuses another version with a sentence and goes on with unknown keys and messages', async () => {
  const relay = await relayForTest()
  const stranger = await clientForTest()
  const refused = await DirectoryClient.open(stranger, relay, { version: '2.0' })
  expect(refused.welcome).toMatchObject({ type: 'refused', limit: 'version' })
  expect(String(refused.welcome['text'])).toContain('Reload the page')
  await vi.waitFor(() => expect(refused.isEnded).toBe(true))
  const newer = await DirectoryClient.open(await clientForTest(), relay, { version: '1.7', colour: 'green' })
  expect(newer.welcome).toMatchObject({ type: 'welcome' })
  await newer.channel.send({ type: 'dance', steps: 3 })
  await newer.channel.send({ type: 'ping', id: 9 })
  expect(await newer.until((message) => message['type'] === 'pong')).toMatchObject({ id: 9 })
})

it('refuses a second living peer of one identity, and lets a dead one be replaced', async () => {
  const relay = await relayForTest()
  const privateKey = await generateKeyPair('Ed25519')
  const living = await clientForTest({ privateKey })
  const first = await DirectoryClient.open(living, relay)
  expect(first.welcome).toMatchObject({ type: 'welcome' })
  const again = await clientForTest({ privateKey })
  const second = await DirectoryClient.open(again, relay)
  expect(second.welcome).toMatchObject({ type: 'refused', limit: 'identity' })
  expect(String(second.welcome['text'])).toContain('already in the swarm')
  await vi.waitFor(() => expect(again.libp2p.getConnections()).toEqual([]))
  await first.channel.send({ type: 'ping', id: 1 })
  await first.until((message) => message['type'] === 'pong')
  // Its network is gone: nothing is read any more, and nothing says so.
  living.sockets.get(relay.peerId)?.pause()
  const third = await DirectoryClient.open(await clientForTest({ privateKey }), relay)
  expect(third.welcome).toMatchObject({ type: 'welcome' })
})

it('drops what a peer left over, and leads others to it over the connection that lives', async () => {
  const relay = await relayForTest()
  const listener = await clientForTest({ reserve: true })
  await reserved(listener, relay)
  await DirectoryClient.open(listener, relay)
  // The library's own abort: it says that it goes, and leaves its socket open.
  for (const connection of listener.libp2p.getConnections()) connection.abort(new Error('given up'))
  await reserved(listener, relay)
  await DirectoryClient.open(listener, relay)
  const asker = await clientForTest()
  await dial(asker, relay)
  const address = multiaddr(`${relay.addresses[0]}/p2p-circuit/p2p/${listener.peerId}`)
  const connection = await asker.libp2p.dial(address, { signal: AbortSignal.timeout(10_000) })
  expect(connection.remotePeer.toString()).toBe(listener.peerId)
})

it('says that it restarts before it stops', async () => {
  const relay = await relayForTest()
  const { directory } = await member(relay)
  await relay.stop()
  expect(await directory.until((message) => message['type'] === 'restarting')).toMatchObject({ forMs: 10_000 })
  expect(directory.messages.some((message) => message['type'] === 'gone')).toBe(false)
})

it('comes back after a restart under the same id, and a listening peer gets its reservation again', async () => {
  const dataDir = await temporaryFolder()
  const relay = await relayForTest({ dataDir })
  const client = await clientForTest({ reserve: true })
  await reserved(client, relay)
  await relay.stop()
  await vi.waitFor(() => expect(circuitAddresses(client)).toEqual([]), { timeout: 5_000 })
  const next = await relayForTest({ dataDir, port: relay.port })
  expect(next.addresses).toEqual(relay.addresses)
  await vi.waitFor(() => dial(client, next), { timeout: 10_000, interval: 200 })
  await vi.waitFor(() => expect(circuitAddresses(client).length).toBe(1), { timeout: 10_000 })
})

it('two relays are one swarm: records and gone reports cross, in both directions and late', async () => {
  const first = await relayForTest()
  const early = await member(first)
  await early.directory.publish(await recordOf(early.client, { relays: first.addresses }))
  const second = await relayForTest({ dhtInitialPeers: first.addresses.join(',') })
  expect((await second.appConfig()).relays).toEqual([...second.addresses, ...first.addresses])
  const late = await member(second)
  await vi.waitFor(() => expect(late.directory.records.has(early.client.peerId)).toBe(true), { timeout: 10_000 })
  await late.directory.publish(await recordOf(late.client, { relays: second.addresses }))
  await vi.waitFor(() => expect(early.directory.records.has(late.client.peerId)).toBe(true), { timeout: 5_000 })
  const before = performance.now()
  cut(late.client, second)
  await early.directory.until((message) => message['type'] === 'gone' && message['peerId'] === late.client.peerId)
  expect(performance.now() - before).toBeLessThan(1_000)
})

it('a tab that loses one of two relays is not reported gone', async () => {
  const first = await relayForTest()
  const second = await relayForTest({ dhtInitialPeers: first.addresses.join(',') })
  const watcher = await member(second)
  const tab = await clientForTest()
  const one = await DirectoryClient.open(tab, first)
  await DirectoryClient.open(tab, second)
  await one.publish(await recordOf(tab, { relays: [...first.addresses, ...second.addresses] }))
  await vi.waitFor(() => expect(watcher.directory.records.has(tab.peerId)).toBe(true), { timeout: 10_000 })
  cut(tab, second)
  // Answered after the disconnect was seen, so a wrong report would be before it.
  await vi.waitFor(async () => {
    const { text } = await metrics(second)
    expect(text).toContain('tabswarm_relay_connections 1\n')
  })
  await watcher.directory.channel.send({ type: 'ping', id: 5 })
  await watcher.directory.until((message) => message['type'] === 'pong')
  expect(watcher.directory.messages.filter((message) => message['type'] === 'gone')).toEqual([])
  // Gone everywhere: reported.
  await tab.libp2p.stop()
  await watcher.directory.until((message) => message['type'] === 'gone' && message['peerId'] === tab.peerId)
})

it('a relay outlives the other one and links again when it is back', async () => {
  const dataDir = await temporaryFolder()
  const first = await relayForTest({ dataDir })
  const second = await relayForTest({ dhtInitialPeers: first.addresses.join(',') })
  const watcher = await member(second)
  await first.stop({ announce: false })
  const back = await relayForTest({ dataDir, port: first.port })
  const tab = await member(back)
  await tab.directory.publish(await recordOf(tab.client))
  await vi.waitFor(() => expect(watcher.directory.records.has(tab.client.peerId)).toBe(true), { timeout: 20_000 })
  expect(watcher.directory.messages.filter((message) => message['type'] === 'gone')).toEqual([])
})

it('with the directory off a peer is told the time and nothing of others, and the page is told', async () => {
  const relay = await relayForTest({ directory: 'off' })
  expect((await relay.appConfig()).developer).toEqual({ directory: 'off' })
  const [one, two] = [await member(relay), await member(relay)]
  expect(Math.abs(Number(two.directory.welcome['time']) - Date.now())).toBeLessThan(1_000)
  await one.directory.publish(await recordOf(one.client))
  await one.directory.channel.send({ type: 'ping', id: 1 })
  await one.directory.until((message) => message['type'] === 'pong')
  const three = await member(relay)
  cut(one.client, relay)
  for (const { directory } of [two, three]) {
    await directory.channel.send({ type: 'ping', id: 2 })
    await directory.until((message) => message['type'] === 'pong')
    expect(directory.messages).toEqual([{ type: 'pong', id: 2 }])
  }
})

function metrics(relay: TestRelay): Promise<{ text: string }> {
  return new Promise((resolve, reject) => {
    const req = request({ host: '127.0.0.1', port: relay.port, path: '/metrics', agent: false }, (res) => {
      let text = ''
      res.setEncoding('utf8')
      res.on('data', (part: string) => (text += part))
      res.on('end', () => resolve({ text }))
    })
    req.on('error', reject)
    req.end()
  })
}
