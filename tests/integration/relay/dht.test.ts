/** The relay as a DHT server: tabs that it introduced find each other's records by the DHT alone. */
import { randomBytes } from 'node:crypto'
import { expect, it, vi } from 'vitest'
import { createRequestingNode, type NodeOptions } from '../../../net/node.ts'
import { createServingNode } from '../../../net/serving-node.ts'
import { nodePlatform } from '../../../net/platform-node.ts'
import { atEnd, relayForTest } from './support.ts'

const model = { repo: 'tinytales', revision: 'a'.repeat(40), digest: 'd'.repeat(32), blocks: 8 }

function options(relays: readonly string[], extra: Partial<NodeOptions> = {}): NodeOptions {
  return {
    relays,
    privateKey: randomBytes(32),
    iceServers: [],
    modelDigests: [model.digest],
    platform: nodePlatform,
    log: () => undefined,
    ...extra,
  }
}

it('with directory and fan-out off, a requesting peer finds a serving one through the relay’s DHT', async () => {
  const relay = await relayForTest({ directory: 'off' })
  const donor = await createServingNode(options(relay.addresses, { directory: 'off' }))
  atEnd(() => donor.stop())
  donor.announcer.announce({
    model,
    state: 'online',
    span: { start: 0, end: 8 },
    claimedAt: Date.now(),
    maxBlocks: 8,
    blockStepsPerSecond: 10,
    cacheTokensLeft: 1_000,
    sessions: 0,
    weights: 'f32',
    backend: 'software',
  })
  const client = await createRequestingNode(options(relay.addresses, { directory: 'off' }))
  atEnd(() => client.stop())
  await vi.waitFor(
    async () => {
      await client.refreshFromDht(model.digest, AbortSignal.timeout(5_000))
      expect(client.directory.records(model.digest).map((record) => record.peerId)).toEqual([donor.peerId])
    },
    { timeout: 40_000, interval: 500 },
  )
})

it('with the directory on, it is there at once', async () => {
  const relay = await relayForTest()
  const donor = await createServingNode(options(relay.addresses))
  atEnd(() => donor.stop())
  const client = await createRequestingNode(options(relay.addresses))
  atEnd(() => client.stop())
  donor.announcer.announce({
    model,
    state: 'online',
    span: { start: 0, end: 8 },
    claimedAt: Date.now(),
    maxBlocks: 8,
    blockStepsPerSecond: 10,
    cacheTokensLeft: 1_000,
    sessions: 0,
    weights: 'f32',
    backend: 'software',
  })
  await vi.waitFor(() => expect(client.directory.get(donor.peerId)?.span).toEqual({ start: 0, end: 8 }), {
    timeout: 5_000,
  })
})
