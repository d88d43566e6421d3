/** A session over three hops of real peers: WebRTC between Node processes' peers on loopback, through a relay. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readLogits } from '../../../swarm/codec.ts'
import { toldRoundTrip } from '../../../swarm/peer-record.ts'
import type { SwarmNode } from '../../../net/types.ts'
import { next, openFrame, SESSION, tokensFrame } from '../../unit/net/requester.ts'
import { emptyFrame } from '../../../swarm/codec.ts'
import { MODEL, startClient, startDonor, startTestRelay, until, type Donor, type TestRelay } from './support.ts'

let relay: TestRelay
let donors: Donor[]
let client: SwarmNode

beforeEach(async () => {
  relay = await startTestRelay()
  donors = await Promise.all([0, 3, 6].map((start) => startDonor([relay.address], { start, end: start + 3 })))
  client = await startClient([relay.address])
})
afterEach(async () => {
  await Promise.all([client.stop(), ...donors.map(({ node }) => node.stop())])
  await relay.kill()
})

test('tokens go in at the first hop and logits come back from the last', async () => {
  await until(
    'all listed',
    () => client.directory.records(MODEL.digest).filter((r) => r.relays.length > 0).length === 3,
  )
  const ids = donors.map(({ node }) => node.peerId)
  const startedAt = performance.now()
  const streams = await Promise.all(ids.map((id) => client.openInference(id, AbortSignal.timeout(30_000))))
  console.log(`dialled three hops in ${Math.round(performance.now() - startedAt)} ms`)
  for (const [i, stream] of streams.entries()) {
    await stream.send(
      openFrame({
        start: i * 3,
        end: i * 3 + 3,
        previous: i === 0 ? client.peerId : (ids[i - 1] ?? ''),
        next: ids[i + 1] ?? null,
      }),
    )
  }
  for (const stream of streams) expect((await next(stream, 30_000)).type).toBe('opened')
  expect(streams.every((stream) => stream.direct)).toBe(true)
  const [first, , last] = streams
  if (first === undefined || last === undefined) throw new Error('three streams')
  await first.send(tokensFrame([5, 6, 7], { step: 1, position: 0 }))
  expect((await next(last)).type).toBe('done')
  const tokenAt = performance.now()
  await first.send(tokensFrame([8], { step: 2, position: 3, topK: 4 }))
  const answer = await next(last)
  console.log(`one token over three hops: ${(performance.now() - tokenAt).toFixed(1)} ms`)
  // Blocks 0 to 8 add up to 36.
  expect([...readLogits(answer)[0]!.ids]).toEqual([44, 45, 46, 47])
  await Promise.all(streams.map((stream) => stream.send(emptyFrame('close', SESSION, 0))))
  await until('caches freed', () => donors.every(({ runner }) => runner.sessions.size === 0))
  await Promise.all(streams.map((stream) => stream.close()))
})

test('each tells in its record how far those are that hold the blocks beside its own', async () => {
  const ids = donors.map(({ node }) => node.peerId)
  const told = (): string[][] =>
    ids.map((id) => {
      const record = client.directory.get(id)
      return ids.filter((other) => record !== undefined && toldRoundTrip(record, other) !== null)
    })
  const [first = '', middle = '', last = ''] = ids
  await until('all ways told', () => told().every((others) => others.length > 0) && told()[1]?.length === 2, 100_000)
  expect(told()).toEqual([[middle], [first, last], [middle]])
  // Whoever asks measures the ends itself, over the connections that it has.
  client.warm(ids)
  await until('own ways measured', () => client.rttMs(first) !== null && client.rttMs(last) !== null)
})
