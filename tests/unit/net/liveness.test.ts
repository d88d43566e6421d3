/** Heartbeats by a virtual clock: who is taken for dead, after how long, and who is not. */
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Liveness } from '../../../net/liveness.ts'
import { HEARTBEAT_DEAD_MS } from '../../../swarm/limits.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

interface FakePeer {
  isConnected: boolean
  answers: boolean
  pings: number
  /** Its next stream is closing: to send on it throws. */
  isClosing?: boolean
}

async function watchedPeer(peer: FakePeer): Promise<{ liveness: Liveness; dead: number[] }> {
  const dead: number[] = []
  const connection = {
    newStream: async () => {
      const stream = Object.assign(new EventTarget(), {
        status: 'open',
        abort: () => undefined,
        send: (bytes: Uint8Array) => {
          peer.pings += 1
          if (peer.isClosing === true) {
            peer.isClosing = false
            throw new Error('Cannot write to a stream that is closing')
          }
          if (peer.answers) {
            setTimeout(() => stream.dispatchEvent(Object.assign(new Event('message'), { data: chunk(bytes) })), 5)
          }
          return true
        },
      })
      return stream as unknown as Stream
    },
  } as unknown as Connection
  const liveness = new Liveness({
    libp2p: { handle: async () => undefined } as unknown as Libp2p,
    directConnection: () => (peer.isConnected ? connection : null),
    onDead: (_peerId, silentMs) => dead.push(silentMs),
  })
  await liveness.start()
  liveness.watch('peer')
  return { liveness, dead }
}

function chunk(bytes: Uint8Array): { subarray: () => Uint8Array } {
  return { subarray: () => bytes }
}

test('a peer that answers is not dead, and is asked about once a second', async () => {
  const peer = { isConnected: true, answers: true, pings: 0 }
  const { liveness, dead } = await watchedPeer(peer)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(dead).toEqual([])
  expect(peer.pings).toBeGreaterThan(50)
  expect(peer.pings).toBeLessThan(70)
  expect(liveness.rttMs('peer')).toBeGreaterThanOrEqual(5)
})

test('a silent one is dead within three seconds', async () => {
  const peer = { isConnected: true, answers: false, pings: 0 }
  const { dead } = await watchedPeer(peer)
  await vi.advanceTimersByTimeAsync(HEARTBEAT_DEAD_MS)
  expect(dead).toHaveLength(1)
  expect(peer.pings).toBeGreaterThan(1)
})

test('one that is still being dialled is not dead however long it takes, and its three seconds begin then', async () => {
  const peer = { isConnected: false, answers: false, pings: 0 }
  const { dead } = await watchedPeer(peer)
  await vi.advanceTimersByTimeAsync(20_000)
  expect(dead).toEqual([])
  peer.isConnected = true
  await vi.advanceTimersByTimeAsync(HEARTBEAT_DEAD_MS - 1_000)
  expect(dead).toEqual([])
  await vi.advanceTimersByTimeAsync(1_000)
  expect(dead).toHaveLength(1)
})

test.each([1_300, 1_900, 10_000])('nobody is dead because our own page stood still for %i ms', async (stallMs) => {
  const peer = { isConnected: true, answers: true, pings: 0 }
  const { dead } = await watchedPeer(peer)
  // Every ping so far has its answer; the next ones lie unread when no timer runs for a while.
  await vi.advanceTimersByTimeAsync(5_100)
  peer.answers = false
  await vi.advanceTimersByTimeAsync(1_000)
  const realNow = performance.now.bind(performance)
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => realNow() + stallMs)
  // What a tick finds that comes so late is no silence of anybody; from then on it counts again.
  await vi.advanceTimersByTimeAsync(500)
  expect(dead).toEqual([])
  await vi.advanceTimersByTimeAsync(HEARTBEAT_DEAD_MS)
  expect(dead).toHaveLength(1)
  clock.mockRestore()
})

test('a stream that is just closing is replaced, and throws at nobody', async () => {
  const peer = { isConnected: true, answers: true, pings: 0, isClosing: true }
  const { dead } = await watchedPeer(peer)
  await vi.advanceTimersByTimeAsync(10_000)
  expect(peer.isClosing).toBe(false)
  expect(dead).toEqual([])
  expect(peer.pings).toBeGreaterThan(8)
})

test('one round trip is measured; without an answer or a connection there is none', async () => {
  const peer = { isConnected: true, answers: true, pings: 0 }
  const { liveness } = await watchedPeer(peer)
  const measured = liveness.measure('peer', 1_000)
  await vi.advanceTimersByTimeAsync(10)
  expect(await measured).toBe(5)
  peer.answers = false
  const silent = liveness.measure('peer', 1_000)
  await vi.advanceTimersByTimeAsync(1_000)
  expect(await silent).toBeNull()
  const unconnected = liveness.measure('other', 1_000)
  peer.isConnected = false
  await vi.advanceTimersByTimeAsync(1_000)
  expect(await unconnected).toBeNull()
  liveness.stop()
})
