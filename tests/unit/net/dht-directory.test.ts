/** How the DHT is asked: first hits are used while the search still runs, and nothing is asked without an end. */
import { peerIdFromString } from '@libp2p/peer-id'
import { expect, test, vi } from 'vitest'
import { DhtDirectory } from '../../../net/dht-directory.ts'
import type { DhtService } from '../../../net/dht.ts'
import { IDS } from './fake-libp2p.ts'

const [PROVIDER, SELF] = IDS
const DIGEST = 'd'.repeat(32)

interface Asked {
  what: string
  signal: AbortSignal | undefined
}

/** A DHT whose searches bring one hit and then never end by themselves. */
function endlessDht(asked: Asked[]): DhtService {
  const never = (signal: AbortSignal | undefined): Promise<never> =>
    new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)))
  const search = (what: string, hits: object[]) =>
    async function* events(_key: unknown, ...rest: { signal?: AbortSignal }[]): AsyncGenerator<object> {
      const { signal } = rest.at(-1) ?? {}
      asked.push({ what, signal })
      yield* hits
      await never(signal)
    }
  return {
    findProviders: search('findProviders', [
      { name: 'PROVIDER', providers: [{ id: peerIdFromString(PROVIDER) }, { id: peerIdFromString(SELF) }] },
    ]),
    get: search('get', [
      { name: 'VALUE', value: Uint8Array.of(1) },
      { name: 'PEER_RESPONSE', record: { value: Uint8Array.of(2) } },
      { name: 'VALUE', value: Uint8Array.of(3) },
    ]),
    put: search('put', []),
    provide: search('provide', []),
  } as unknown as DhtService
}

function directory(asked: Asked[], taken: number[]): DhtDirectory {
  return new DhtDirectory({
    dht: endlessDht(asked),
    selfId: SELF,
    isKnown: () => false,
    take: async (bytes) => {
      taken.push(bytes[0] ?? 0)
      return true
    },
    onProvider: () => undefined,
    debug: () => undefined,
  })
}

test('records come while the search for providers still runs, two copies are enough, and everything ends', async () => {
  const asked: Asked[] = []
  const taken: number[] = []
  const d = directory(asked, taken)
  let isOver = false
  const refreshed = d.refresh(DIGEST).then((added) => ((isOver = true), added))
  await expect.poll(() => taken).toEqual([1, 2])
  expect(isOver).toBe(false)
  // It ends by its own limit, seconds before the test does.
  expect(await refreshed).toBe(1)
  expect(asked.map(({ what }) => what)).toEqual(['findProviders', 'get'])
})

test('nothing is asked of the DHT without an end to it, and a node that stops asks nothing more', async () => {
  const asked: Asked[] = []
  const d = directory(asked, [])
  const refreshed = d.refresh(DIGEST)
  const provided = d.provide(DIGEST)
  d.publish(DIGEST, Uint8Array.of(9), false)
  await expect.poll(() => asked.map(({ what }) => what).toSorted()).toEqual(['findProviders', 'get', 'provide', 'put'])
  expect(asked.every(({ signal }) => signal !== undefined && !signal.aborted)).toBe(true)
  d.stop()
  await Promise.all([refreshed, provided])
  expect(asked.every(({ signal }) => signal?.aborted)).toBe(true)
})

test('of a provider whose newest record is known only the way to it is asked for', async () => {
  const asked: Asked[] = []
  const providers: string[] = []
  const d = new DhtDirectory({
    dht: endlessDht(asked),
    selfId: SELF,
    isKnown: (peerId) => peerId === PROVIDER,
    take: async () => true,
    onProvider: (peerId) => void providers.push(peerId),
    debug: () => undefined,
  })
  const ending = new AbortController()
  const refreshed = d.refresh(DIGEST, ending.signal)
  await expect.poll(() => providers).toEqual([PROVIDER])
  ending.abort()
  expect(await refreshed).toBe(0)
  expect(asked.map(({ what }) => what)).toEqual(['findProviders'])
})

test('records that come one after another are one put in some seconds; an urgent one does not wait', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  const put: number[] = []
  const dht = {
    put: async function* (_key: unknown, value: Uint8Array) {
      put.push(value[0] ?? -1)
      yield* []
    },
  } as unknown as DhtService
  const d = new DhtDirectory({
    dht,
    selfId: SELF,
    isKnown: () => false,
    take: async () => true,
    onProvider: () => undefined,
    debug: () => undefined,
  })
  const publish = (byte: number, isUrgent: boolean): void => d.publish(DIGEST, Uint8Array.of(byte), isUrgent)
  for (const byte of [1, 2, 3]) {
    publish(byte, false)
    await vi.advanceTimersByTimeAsync(100)
  }
  expect(put).toEqual([1])
  await vi.advanceTimersByTimeAsync(5_000)
  expect(put).toEqual([1, 3])
  publish(4, false)
  publish(5, true)
  await vi.advanceTimersByTimeAsync(0)
  expect(put).toEqual([1, 3, 5])
  await vi.advanceTimersByTimeAsync(10_000)
  expect(put).toEqual([1, 3, 5])
  publish(6, false)
  await vi.advanceTimersByTimeAsync(0)
  publish(7, false)
  await vi.advanceTimersByTimeAsync(0)
  expect(put).toEqual([1, 3, 5, 6])
  d.stop()
  await vi.advanceTimersByTimeAsync(10_000)
  // A node that goes says so itself.
  expect(put).toEqual([1, 3, 5, 6])
  vi.useRealTimers()
})
