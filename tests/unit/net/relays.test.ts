import type { Connection, Libp2p } from '@libp2p/interface'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Relays, type RelaysOptions } from '../../../net/relays.ts'
import { FakeLibp2p, IDS, type FakeConnection } from './fake-libp2p.ts'

const RELAY_ID = '12D3KooWNn1R9c6awM8w2YMHzDEFWUk6hFh4tPsT2WQH5evJ9zrG'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Connected to a relay whose directory streams do what `newStream` says. */
function relaysOver(newStream: () => Promise<never>, changes: Partial<RelaysOptions> = {}): Relays {
  const connection = { status: 'open', limits: undefined, newStream } as unknown as Connection
  const libp2p = { addEventListener: () => undefined, getConnections: () => [connection] } as unknown as Libp2p
  return new Relays({
    libp2p,
    reservations: { hasReservation: () => false, addRelay: () => Promise.resolve() } as never,
    addresses: [`/ip4/127.0.0.1/tcp/1/ws/p2p/${RELAY_ID}`],
    role: 'client',
    wantsReservations: false,
    refreshReservation: () => Promise.resolve(),
    events: {
      isOn: true,
      onWelcome: () => undefined,
      onRecord: () => undefined,
      onGone: () => undefined,
      onRefused: () => undefined,
    },
    ...changes,
  })
}

test('a directory stream that could not be opened is tried again while the relay is connected', async () => {
  const newStream = vi.fn(() => Promise.reject(new Error('too slow')))
  const relays = relaysOver(newStream)
  relays.start()
  await vi.advanceTimersByTimeAsync(3_500)
  expect(newStream).toHaveBeenCalledTimes(4)
  relays.stop()
})

test('several addresses of one relay are one link, dialled in turn, and the one that worked is named', async () => {
  const libp2p = new FakeLibp2p(IDS[0])
  const at = (port: number): string => `/ip4/127.0.0.1/tcp/${port}/ws/p2p/${RELAY_ID}`
  const connection = { status: 'open', limits: undefined, remotePeer: RELAY_ID } as unknown as FakeConnection
  libp2p.onDial = (address) => {
    if (address !== at(2)) return Promise.reject(new Error('refused'))
    libp2p.connections.push({ ...connection, newStream: () => Promise.reject(new Error('busy')) } as FakeConnection)
    return Promise.resolve(connection)
  }
  const relays = relaysOver(() => Promise.reject(new Error('unused')), {
    libp2p: libp2p.asLibp2p,
    addresses: [at(1), at(2), at(3)],
  })
  relays.start()
  await vi.advanceTimersByTimeAsync(1_500)
  expect(libp2p.dialled.map(({ address }) => address)).toEqual([at(1), at(2)])
  expect(relays.statuses().map(({ address }) => address)).toEqual([at(2)])
  expect(relays.connectedAddresses()).toEqual([at(2)])
  relays.stop()
})
