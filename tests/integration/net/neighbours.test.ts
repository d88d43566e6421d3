/** Neighbours tell each other what they know when they connect: the way that needs neither a relay's word nor the DHT. */
import { afterEach, expect, test } from 'vitest'
import { MODEL, startClient, startDonor, startTestRelay, until } from './support.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

test('whoever connects to one peer knows everybody that peer knows', async () => {
  // It introduces, and says nothing of anybody.
  const relay = await startTestRelay({ directory: 'off' })
  cleanups.push(() => relay.kill())
  const [near, far] = await Promise.all([0, 3].map((start) => startDonor([relay.address], { start, end: start + 3 })))
  if (near === undefined || far === undefined) throw new Error('two donors')
  for (const { node } of [near, far]) cleanups.push(() => node.stop())
  near.node.warm([far.node.peerId])
  await until('they know each other', () => near.node.directory.get(far.node.peerId) !== undefined, 30_000)
  // Without a model of its own to look for it asks the DHT nothing.
  const client = await startClient([relay.address], { modelDigests: [] })
  cleanups.push(() => client.stop())
  expect(client.directory.records(MODEL.digest)).toEqual([])
  client.warm([near.node.peerId])
  await until('it knows both', () => client.directory.records(MODEL.digest).length === 2, 30_000)
  // And by these records alone it reaches the one it never met.
  const stream = await client.openInference(far.node.peerId, AbortSignal.timeout(20_000))
  expect(stream.direct).toBe(true)
  await stream.close()
})
