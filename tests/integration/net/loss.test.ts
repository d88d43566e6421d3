/** How a loss is noticed, and what is no loss: killed, hung and departing peers, and a relay that dies. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { LossReason, SwarmNode } from '../../../net/types.ts'
import type { PageLife } from '../../../net/node.ts'
import { openSession } from './session.ts'
import { startDonorProcess, type DonorProcess } from './processes.ts'
import { MODEL, startClient, startDonor, startTestRelay, until, type Donor, type TestRelay } from './support.ts'

const SEED = new Uint8Array(32).fill(7)
let relay: TestRelay
let client: SwarmNode & PageLife
const donors: Donor[] = []
const processes: DonorProcess[] = []
let losses: { peerId: string; reason: LossReason; at: number }[]

beforeEach(async () => {
  relay = await startTestRelay({ seed: SEED })
  client = await startClient([relay.address])
  losses = []
  client.onPeerLost((peerId, reason) => losses.push({ peerId, reason, at: performance.now() }))
})
afterEach(async () => {
  for (const { child } of processes.splice(0)) child.kill('SIGKILL')
  await Promise.all([client.stop(), ...donors.splice(0).map(({ node }) => node.stop())])
  await relay.kill()
})

async function listed(count: number): Promise<void> {
  await until(
    'all listed',
    () => client.directory.records(MODEL.digest).filter((r) => r.relays.length > 0).length === count,
  )
}

async function donorProcess(): Promise<DonorProcess> {
  const donor = await startDonorProcess([relay.address], { start: 0, end: 9 })
  processes.push(donor)
  await listed(1)
  return donor
}

async function lossOf(peerId: string): Promise<{ reason: LossReason; at: number }> {
  await until('the loss', () => losses.some((loss) => loss.peerId === peerId))
  return losses.find((loss) => loss.peerId === peerId) as { reason: LossReason; at: number }
}

test('a killed peer is noticed within half a second by its circuit', async () => {
  const donor = await donorProcess()
  const session = await openSession(client, [{ peerId: donor.peerId, span: { start: 0, end: 9 } }])
  expect(await session.token(1)).toBe(37)
  const waiting = session.token(2)
  await waiting
  const failed = session.streams[0]?.receive().then(
    () => null,
    (error: unknown) => error,
  )
  const killedAt = performance.now()
  donor.child.kill('SIGKILL')
  const { at, reason } = await lossOf(donor.peerId)
  // By the relay or the circuit, long before a heartbeat is missed.
  expect(reason).not.toBe('timeout')
  console.log(`killed peer noticed after ${Math.round(at - killedAt)} ms`)
  expect(at - killedAt).toBeLessThan(5_000)
  expect(await failed).toMatchObject({ code: 'PEER_LOST', peerId: donor.peerId, retryable: true })
  expect(client.directory.get(donor.peerId)).toBeUndefined()
})

test('a hung peer is noticed by its silence, and is listed again when it goes on', async () => {
  const donor = await donorProcess()
  const session = await openSession(client, [{ peerId: donor.peerId, span: { start: 0, end: 9 } }])
  await session.token(1)
  const stoppedAt = performance.now()
  donor.child.kill('SIGSTOP')
  const { at, reason } = await lossOf(donor.peerId)
  console.log(`hung peer noticed after ${Math.round(at - stoppedAt)} ms`)
  expect(reason).toBe('timeout')
  expect(at - stoppedAt).toBeGreaterThan(1_500)
  expect(at - stoppedAt).toBeLessThan(30_000)
  donor.child.kill('SIGCONT')
  await until('listed again', () => client.directory.get(donor.peerId) !== undefined, 40_000)
})

test('a goodbye is a loss at once, and a tab that leaves is noticed', async () => {
  const [polite, abrupt] = await Promise.all([0, 0].map(() => startDonor([relay.address], { start: 0, end: 9 })))
  if (polite === undefined || abrupt === undefined) throw new Error('two donors')
  donors.push(polite, abrupt)
  await listed(2)
  await Promise.all([polite, abrupt].map(({ node }) => client.openInference(node.peerId, AbortSignal.timeout(30_000))))
  const saidAt = performance.now()
  await polite.node.announcer.goodbye()
  const goodbye = await lossOf(polite.node.peerId)
  expect(goodbye.reason).toBe('goodbye')
  const leftAt = performance.now()
  abrupt.node.leaveNow()
  const left = await lossOf(abrupt.node.peerId)
  console.log(`goodbye after ${Math.round(goodbye.at - saidAt)} ms, leaveNow after ${Math.round(left.at - leftAt)} ms`)
  await until('no longer listed', () => client.directory.records(MODEL.digest).length === 0)
})

test('a relay that dies is no loss: the session goes on, and the peers are listed again when it is back', async () => {
  for (const start of [0, 3, 6]) donors.push(await startDonor([relay.address], { start, end: start + 3 }))
  await listed(3)
  const hops = donors.map(({ node, fields }) => ({ peerId: node.peerId, span: fields.span }))
  const session = await openSession(client, hops)
  expect(await session.token(1)).toBe(37)
  const { port } = relay
  await relay.kill()
  await until('noticed', () => client.relays()[0]?.state === 'lost')
  for (let id = 2; id < 30; id += 1) expect(await session.token(id)).toBe(36 + id)
  expect(losses).toEqual([])
  expect(client.directory.records(MODEL.digest)).toHaveLength(3)
  const backAt = performance.now()
  relay = await startTestRelay({ port, seed: SEED })
  await until('listed at the relay again', () =>
    donors.every(({ node }) => (relay.store.get(node.peerId)?.relays.length ?? 0) > 0),
  )
  console.log(`listed again ${Math.round(performance.now() - backAt)} ms after the relay came back`)
  expect(await session.token(40)).toBe(76)
  // The circuits beside the direct connections are back too: the next death is noticed as fast as before.
  const ids = donors.map(({ node }) => node.peerId)
  await until('sensors', () =>
    ids.every((id) => relay.libp2p.getConnections().some((c) => c.remotePeer.toString() === id)),
  )
  expect(losses).toEqual([])
  await session.close()
}, 200_000)
