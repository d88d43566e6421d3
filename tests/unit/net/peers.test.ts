/** Who is believed gone: what the end of a circuit, of a direct connection and of a relay say; and what is double. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Peers, type PeersOptions } from '../../../net/peers.ts'
import { Sensors } from '../../../net/sensors.ts'
import type { PeerRecord } from '../../../swarm/peer-record.ts'
import { FakeLibp2p, IDS, RELAY } from './fake-libp2p.ts'

const [SMALL, SELF, PEER, RELAY_ID] = IDS

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

interface World {
  libp2p: FakeLibp2p
  peers: Peers
  /** `certain` losses: the peer is gone. */
  lost: string[]
  /** Lost direct connections of peers that may live. */
  loosened: string[]
  asked: string[]
  relayLives: boolean
  /** The answer to a question, null: none in time. */
  answers: boolean
}

function world(options: Partial<PeersOptions> = {}): World {
  const libp2p = new FakeLibp2p(SELF)
  const w: World = {
    libp2p,
    lost: [],
    loosened: [],
    asked: [],
    relayLives: true,
    answers: false,
    peers: new Peers({
      libp2p: libp2p.asLibp2p,
      isRelay: (peerId) => peerId === RELAY_ID,
      isRelayTrustworthy: () => w.relayLives,
      ask: async (peerId, timeoutMs) => {
        w.asked.push(peerId)
        if (w.answers) return true
        await new Promise((resolve) => setTimeout(resolve, timeoutMs))
        return false
      },
      onLost: (peerId, _reason, isCertain) => (isCertain ? w.lost : w.loosened).push(peerId),
      onDirect: () => undefined,
      ...options,
    }),
  }
  return w
}

test('a closed tab: its circuit ends while the relay lives, it answers nothing, and is gone within half a second', async () => {
  const w = world()
  const direct = w.libp2p.open(PEER, 'webrtc')
  w.libp2p.lose(w.libp2p.open(PEER, 'circuit'))
  await vi.advanceTimersByTimeAsync(500)
  expect(w.lost).toEqual([PEER])
  // Whatever waits on a stream of it learns of it: WebRTC itself would take ten seconds.
  expect(direct.wasAborted).toBe(true)
})

test('a circuit that expired or was renewed is no loss: the peer answers over WebRTC', async () => {
  const w = world()
  w.answers = true
  w.libp2p.open(PEER, 'webrtc')
  w.libp2p.lose(w.libp2p.open(PEER, 'circuit'))
  await vi.advanceTimersByTimeAsync(5_000)
  expect(w.asked).toEqual([PEER])
  expect([...w.lost, ...w.loosened]).toEqual([])
})

test('a relay that dies closes all its circuits at once: slow answers are waited for, and nobody has left', async () => {
  const w = world({
    ask: async (peerId, timeoutMs) => {
      w.asked.push(peerId)
      // Everyone is asked in the same moment: answers take 600 ms, longer than a live relay's notice would be waited for.
      await new Promise((resolve) => setTimeout(resolve, Math.min(600, timeoutMs)))
      return timeoutMs >= 600
    },
  })
  const circuits = [SMALL, PEER].map((peerId) => {
    w.libp2p.open(peerId, 'webrtc')
    return w.libp2p.open(peerId, 'circuit')
  })
  for (const circuit of circuits) w.libp2p.lose(circuit)
  // Our own connection to it ends a moment later.
  await vi.advanceTimersByTimeAsync(50)
  w.relayLives = false
  await vi.advanceTimersByTimeAsync(5_000)
  expect(new Set(w.asked)).toEqual(new Set([SMALL, PEER]))
  expect(w.lost).toEqual([])
})

test('a circuit that only carried a dial says nothing when it closes', async () => {
  const w = world()
  w.libp2p.lose(w.libp2p.open(PEER, 'circuit'))
  await vi.advanceTimersByTimeAsync(5_000)
  expect([...w.asked, ...w.lost, ...w.loosened]).toEqual([])
})

test('nor does it after a direct connection was lost, made again, and lost with the relay', async () => {
  const w = world()
  const sensor = w.libp2p.open(PEER, 'circuit')
  w.libp2p.lose(w.libp2p.open(PEER, 'webrtc'))
  w.libp2p.lose(w.libp2p.open(PEER, 'webrtc'))
  w.relayLives = false
  w.libp2p.lose(sensor)
  await vi.advanceTimersByTimeAsync(5_000)
  // The relay is back, and a dial runs out of time.
  w.relayLives = true
  w.libp2p.lose(w.libp2p.open(PEER, 'circuit'))
  await vi.advanceTimersByTimeAsync(5_000)
  expect(w.lost).toEqual([])
  // One that succeeds makes its circuit a sensor.
  const carrier = w.libp2p.open(PEER, 'circuit')
  w.libp2p.lose(w.libp2p.open(PEER, 'webrtc'))
  w.libp2p.lose(carrier)
  await vi.advanceTimersByTimeAsync(5_000)
  expect(w.lost).toEqual([PEER])
})

test('the end of the direct connection is told at once; without a circuit the peer is gone for good', async () => {
  const w = world()
  const circuit = w.libp2p.open(PEER, 'circuit')
  w.libp2p.lose(w.libp2p.open(PEER, 'webrtc'))
  expect(w.loosened).toEqual([PEER])
  await vi.advanceTimersByTimeAsync(1_000)
  expect(w.lost).toEqual([])
  w.libp2p.lose(circuit)
  await vi.advanceTimersByTimeAsync(1_000)
  expect(w.lost).toEqual([PEER])
})

test('of two peers the smaller id dials', () => {
  const { peers } = world()
  expect([peers.isDialler(PEER), peers.isDialler(SMALL)]).toEqual([true, false])
})

test('both dialled: the side with the smaller id closes what is double, both sides use the same one meanwhile', async () => {
  const w = world()
  const theirs = w.libp2p.open(PEER, 'webrtc', { direction: 'inbound', at: 1 })
  const ours = w.libp2p.open(PEER, 'webrtc', { direction: 'outbound', at: 2 })
  const circuits = [w.libp2p.open(PEER, 'circuit'), w.libp2p.open(PEER, 'circuit')]
  expect(w.peers.direct(PEER)).toBe(ours)
  w.peers.tidy(() => false)
  await vi.advanceTimersByTimeAsync(0)
  expect(w.libp2p.getConnections().length).toBe(2)
  expect([ours.status, theirs.status]).toEqual(['open', 'closed'])
  expect(circuits.filter(({ status }) => status === 'open')).toHaveLength(1)
  await vi.advanceTimersByTimeAsync(5_000)
  expect([...w.lost, ...w.loosened]).toEqual([])
})

test('both dialled: the larger id leaves it to the other, and a connection with sessions is kept', async () => {
  const w = world()
  for (const direction of ['inbound', 'outbound'] as const) w.libp2p.open(SMALL, 'webrtc', { direction })
  for (const direction of ['inbound', 'outbound'] as const) w.libp2p.open(PEER, 'webrtc', { direction })
  w.peers.tidy(({ direction, remotePeer }) => direction === 'inbound' && remotePeer.toString() === PEER)
  await vi.advanceTimersByTimeAsync(0)
  expect(w.libp2p.getConnections()).toHaveLength(4)
})

test('a page that is left ends everything at once, and believes nothing any more', async () => {
  const w = world()
  const all = [w.libp2p.open(PEER, 'webrtc'), w.libp2p.open(PEER, 'circuit'), w.libp2p.open(SMALL, 'webrtc')]
  w.peers.abortEverything(new Error('leaving'))
  expect(all.every(({ wasAborted }) => wasAborted)).toBe(true)
  await vi.advanceTimersByTimeAsync(5_000)
  expect([...w.lost, ...w.loosened]).toEqual([])
})

test('a circuit is dialled again beside a direct connection that has none, by the side whose turn it is', () => {
  const w = world()
  w.libp2p.open(PEER, 'webrtc')
  w.libp2p.open(SMALL, 'webrtc')
  const dialled: string[] = []
  const sensors = new Sensors({
    peers: w.peers,
    record: () => ({ relays: [RELAY] }) as unknown as PeerRecord,
    connectedRelays: () => [RELAY],
    isOurs: (peerId) => w.peers.isDialler(peerId),
    dialCircuit: async (peerId) => void dialled.push(peerId),
  })
  sensors.keep()
  sensors.keep()
  expect(dialled).toEqual([PEER])
  w.libp2p.open(PEER, 'circuit')
  vi.advanceTimersByTime(10_000)
  sensors.keep()
  expect(dialled).toEqual([PEER])
})
