/** Direct dials: the address that is built, how long and how often is tried, and who leaves the dial to the other side. */
import type { Connection } from '@libp2p/interface'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Dialler, type DiallerOptions } from '../../../net/dialler.ts'
import { DIAL_TIMEOUT_MS, DIAL_TRIES } from '../../../swarm/limits.ts'
import type { PeerRecord } from '../../../swarm/peer-record.ts'
import { FakeLibp2p, IDS, RELAY } from './fake-libp2p.ts'

const [OTHER, SELF, PEER] = IDS
const OTHER_RELAY = `/ip4/127.0.0.1/tcp/4002/ws/p2p/${OTHER}`

beforeEach(() => {
  vi.useFakeTimers()
  // Dials are given up by AbortSignal.timeout, which fake timers leave alone.
  vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
    const controller = new AbortController()
    setTimeout(() => controller.abort(new Error(`timeout ${ms}`)), ms)
    return controller.signal
  })
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

function dialler(options: Partial<DiallerOptions> = {}): { libp2p: FakeLibp2p; dialler: Dialler } {
  const libp2p = new FakeLibp2p(SELF)
  const direct = (peerId: string): Connection | null =>
    libp2p.connections.find(({ remotePeer }) => remotePeer.toString() === peerId) ?? null
  const made = new Dialler({
    libp2p: libp2p.asLibp2p,
    direct,
    record: () => ({ relays: [RELAY] }) as unknown as PeerRecord,
    connectedRelays: () => [RELAY],
    dialCircuit: () => Promise.reject(new Error('no circuit is dialled here')),
    waitsFor: () => false,
    ...options,
  })
  return { libp2p, dialler: made }
}

const never = new AbortController().signal

function hangUntilAborted(_address: string, signal: AbortSignal): Promise<Connection> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
}

test('the address is built from the record’s relays, and nobody is asked for it', async () => {
  const { libp2p, dialler: d } = dialler({ record: () => undefined })
  libp2p.onDial = async () => libp2p.open(PEER, 'webrtc')
  await d.connect(PEER, never)
  expect(libp2p.dialled.map(({ address }) => address)).toEqual([`${RELAY}/p2p-circuit/webrtc/p2p/${PEER}`])
})

test('a dial that hangs is given up after three seconds, three times, by the relays in turn', async () => {
  const { libp2p, dialler: d } = dialler({
    record: () => ({ relays: [OTHER_RELAY, RELAY] }) as unknown as PeerRecord,
  })
  libp2p.onDial = hangUntilAborted
  const failed = expect(d.connect(PEER, never)).rejects.toMatchObject({ code: 'DIAL_FAILED', peerId: PEER })
  await vi.advanceTimersByTimeAsync(DIAL_TIMEOUT_MS - 1)
  expect(libp2p.dialled).toHaveLength(1)
  await vi.advanceTimersByTimeAsync(DIAL_TRIES * DIAL_TIMEOUT_MS)
  await failed
  expect(libp2p.dialled.map(({ address }) => address.slice(0, address.indexOf('/p2p-circuit')))).toEqual([
    RELAY,
    OTHER_RELAY,
    RELAY,
  ])
})

test('the second try counts', async () => {
  const { libp2p, dialler: d } = dialler()
  libp2p.onDial = async (address, signal) =>
    libp2p.dialled.length === 1 ? hangUntilAborted(address, signal) : libp2p.open(PEER, 'webrtc')
  const connection = d.connect(PEER, never)
  await vi.advanceTimersByTimeAsync(DIAL_TIMEOUT_MS)
  expect((await connection).remotePeer.toString()).toBe(PEER)
})

test('many calls for one peer are one dial', async () => {
  const { libp2p, dialler: d } = dialler()
  libp2p.onDial = async () => libp2p.open(PEER, 'webrtc')
  await Promise.all([d.connect(PEER, never), d.connect(PEER, never), d.connect(PEER, never)])
  expect(libp2p.dialled).toHaveLength(1)
})

test('a dial that only a relayed connection came of is none', async () => {
  const { libp2p, dialler: d } = dialler({ direct: () => null })
  libp2p.onDial = async () => libp2p.open(PEER, 'circuit')
  await expect(d.connect(PEER, never)).rejects.toThrow(/only a relayed connection/u)
})

test('dials of others that were joined, and were content with a circuit, take no try of ours', async () => {
  const { libp2p, dialler: d } = dialler()
  libp2p.onDial = async (address, signal) => {
    if (libp2p.dialled.length <= 2) return libp2p.open(OTHER, 'circuit')
    if (libp2p.dialled.length <= 4) return hangUntilAborted(address, signal)
    return libp2p.open(PEER, 'webrtc')
  }
  const connection = d.connect(PEER, never)
  await vi.advanceTimersByTimeAsync(2 * DIAL_TIMEOUT_MS)
  expect((await connection).remotePeer.toString()).toBe(PEER)
})

test('a dial that moves is not given up after three seconds', async () => {
  const { libp2p, dialler: d } = dialler()
  libp2p.onDial = async (_address, _signal, onProgress) => {
    for (let i = 0; i < 3; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, DIAL_TIMEOUT_MS - 500))
      onProgress()
    }
    return libp2p.open(PEER, 'webrtc')
  }
  const connection = d.connect(PEER, never)
  await vi.advanceTimersByTimeAsync(4 * DIAL_TIMEOUT_MS)
  expect((await connection).remotePeer.toString()).toBe(PEER)
  expect(libp2p.dialled).toHaveLength(1)
  expect(libp2p.dialled[0]?.signal.aborted).toBe(false)
})

test('whoever waits for the other side dials nothing when it comes, and dials itself when it does not', async () => {
  const { libp2p, dialler: d } = dialler({ waitsFor: () => true })
  const comes = d.connect(PEER, never)
  await vi.advanceTimersByTimeAsync(200)
  libp2p.open(PEER, 'webrtc', { direction: 'inbound' })
  await vi.advanceTimersByTimeAsync(100)
  expect((await comes).direction).toBe('inbound')
  expect(libp2p.dialled).toEqual([])

  libp2p.onDial = async () => libp2p.open(OTHER, 'webrtc')
  const comesNot = d.connect(OTHER, never)
  await vi.advanceTimersByTimeAsync(300)
  expect(libp2p.dialled).toEqual([])
  await vi.advanceTimersByTimeAsync(1_000)
  await comesNot
  expect(libp2p.dialled).toHaveLength(1)
})

test('dialling ahead of need: a few at a time, and failures are silent', async () => {
  const { libp2p, dialler: d } = dialler()
  libp2p.onDial = hangUntilAborted
  d.warm(Array.from({ length: 9 }, (_, i) => `${PEER.slice(0, -1)}${i + 1}`))
  await vi.advanceTimersByTimeAsync(0)
  expect(libp2p.dialled.length).toBeGreaterThan(0)
  expect(libp2p.dialled.length).toBeLessThanOrEqual(4)
  await vi.advanceTimersByTimeAsync(4 * DIAL_TRIES * DIAL_TIMEOUT_MS)
  expect(new Set(libp2p.dialled.map(({ address }) => address)).size).toBe(9)
})

test('a sensor is a circuit of its own beside the direct connection', async () => {
  const { libp2p, dialler: d } = dialler()
  libp2p.onDial = async () => libp2p.open(PEER, 'circuit')
  await d.dialCircuit(PEER, never)
  expect(libp2p.dialled).toMatchObject([{ address: `${RELAY}/p2p-circuit/p2p/${PEER}`, force: true }])
})
