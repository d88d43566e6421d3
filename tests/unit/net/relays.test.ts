import type { Connection, Libp2p } from '@libp2p/interface'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Relays } from '../../../net/relays.ts'

const RELAY_ID = '12D3KooWNn1R9c6awM8w2YMHzDEFWUk6hFh4tPsT2WQH5evJ9zrG'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Connected to a relay whose directory streams do what `newStream` says. */
function relaysOver(newStream: () => Promise<never>): Relays {
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
