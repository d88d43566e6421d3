/** The link to a relay: versions, clocks that are wrong, and a process that ends by itself when its peer stops. */
import { afterEach, expect, test } from 'vitest'
import { startTcpForward } from '../../support/tcp-forward.ts'
import { startDonorProcess } from './processes.ts'
import { openSession } from './session.ts'
import { MODEL, startClient, startDonor, startTestRelay, until } from './support.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

test('a relay of another version is shown as refused, with what to do', async () => {
  const relay = await startTestRelay({ version: '9.3' })
  cleanups.push(() => relay.kill())
  const client = await startClient([relay.address])
  cleanups.push(() => client.stop())
  await until('refused', () => client.relays()[0]?.state === 'refused')
  expect(client.relays()[0]?.reason).toMatch(/9\.3.*Reload the page/u)
  expect(client.relays()[0]?.trouble).toBe('version')
})

test('a relay with another key than the address names is told from one that does not answer', async () => {
  const relay = await startTestRelay()
  cleanups.push(() => relay.kill())
  const other = await startTestRelay()
  cleanups.push(() => other.kill())
  const client = await startClient([relay.address.replace(/[^/]*$/u, other.address.split('/p2p/')[1] ?? '')])
  cleanups.push(() => client.stop())
  await until('lost', () => client.relays()[0]?.state === 'lost')
  expect(client.relays()[0]).toMatchObject({ trouble: 'other-relay' })
  expect(client.relays()[0]?.reason).toContain('another relay answers there')
})

test('a relay that is not there is shown as lost, and is found when it comes', async () => {
  const seed = new Uint8Array(32).fill(9)
  const before = await startTestRelay({ seed })
  const { address, port } = before
  await before.kill()
  const client = await startClient([address])
  cleanups.push(() => client.stop())
  expect(client.relays()[0]?.state).toBe('lost')
  const relay = await startTestRelay({ port, seed })
  cleanups.push(() => relay.kill())
  await until('connected', () => client.relays()[0]?.state === 'connected')
})

test.each([660_000, -660_000])('clocks that are %i ms off do not matter', async (clockOffsetMs) => {
  const relay = await startTestRelay()
  cleanups.push(() => relay.kill())
  const donor = await startDonorProcess([relay.address], { start: 0, end: 9 }, { clockOffsetMs })
  cleanups.push(async () => {
    donor.child.kill('SIGKILL')
    await donor.exited
  })
  const client = await startClient([relay.address])
  cleanups.push(() => client.stop())
  await until('listed', () => (client.directory.get(donor.peerId)?.relays.length ?? 0) > 0)
  expect(Math.abs((client.directory.get(donor.peerId)?.issuedAt ?? 0) - Date.now())).toBeLessThan(20_000)
  const session = await openSession(client, [{ peerId: donor.peerId, span: { start: 0, end: 9 } }])
  expect(await session.token(1)).toBe(37)
  await session.close()
})

test('a process ends by itself after its peer has stopped', async () => {
  const relay = await startTestRelay()
  cleanups.push(() => relay.kill())
  const donor = await startDonorProcess([relay.address], { start: 0, end: 9 })
  cleanups.push(async () => void donor.child.kill('SIGKILL'))
  const client = await startClient([relay.address])
  cleanups.push(() => client.stop())
  await until('listed', () => (client.directory.get(donor.peerId)?.relays.length ?? 0) > 0)
  await client.openInference(donor.peerId, AbortSignal.timeout(30_000))
  const startedAt = performance.now()
  donor.child.kill('SIGTERM')
  expect(await donor.exited).toBe(0)
  console.log(`stopped and ended after ${Math.round(performance.now() - startedAt)} ms`)
  expect(donor.output()).toContain('stopped')
  await until('gone', () => client.directory.get(donor.peerId) === undefined)
})

test('a peer a slow way away is dialled for as long as the dial moves, and is not taken for dead meanwhile', async () => {
  const relay = await startTestRelay()
  cleanups.push(() => relay.kill())
  const slow = await startTcpForward({ toPort: relay.port, delayMs: 250 })
  cleanups.push(() => slow.stop())
  const donor = await startDonor([relay.address.replace(`/tcp/${relay.port}/`, `/tcp/${slow.port}/`)], {
    start: 0,
    end: 9,
  })
  cleanups.push(() => donor.node.stop())
  const client = await startClient([relay.address])
  cleanups.push(() => client.stop())
  const losses: string[] = []
  client.onPeerLost((peerId, reason) => losses.push(`${peerId} ${reason}`))
  await until('listed', () => (client.directory.get(donor.node.peerId)?.relays.length ?? 0) > 0)
  const startedAt = performance.now()
  const session = await openSession(client, [{ peerId: donor.node.peerId, span: { start: 0, end: 9 } }])
  console.log(`opened after ${Math.round(performance.now() - startedAt)} ms`)
  expect(await session.token(1)).toBe(37)
  expect(losses).toEqual([])
  await session.close()
})

test('a hop of another model is refused by name, and dials to strangers are not made', async () => {
  const relay = await startTestRelay()
  cleanups.push(() => relay.kill())
  const ours = await startDonor([relay.address], { start: 0, end: 3 })
  const other = { ...MODEL, digest: 'e'.repeat(32), revision: 'def' }
  const foreign = await startDonor([relay.address], { start: 3, end: 9 }, { model: other })
  for (const { node } of [ours, foreign]) cleanups.push(() => node.stop())
  const client = await startClient([relay.address])
  cleanups.push(() => client.stop())
  await until('both listed', () => client.directory.models().length === 2)
  await until('known to the first hop', () => ours.node.directory.get(foreign.node.peerId) !== undefined)
  const hops = [
    { peerId: ours.node.peerId, span: { start: 0, end: 3 } },
    { peerId: foreign.node.peerId, span: { start: 3, end: 9 } },
  ]
  await expect(openSession(client, hops)).rejects.toThrow(/WRONG_MODEL|another model|serves model/u)
  await expect(ours.node.openPush(foreign.node.peerId, AbortSignal.timeout(5_000))).rejects.toMatchObject({
    code: 'WRONG_PEER',
  })
  await expect(
    client.openInference('12D3KooWGRUVh7TUkf9kbHaeVvHbzKZSbBLCKPVhGXPvb1pJMkEn', AbortSignal.timeout(12_000)),
  ).rejects.toMatchObject({ code: 'DIAL_FAILED' })
})
