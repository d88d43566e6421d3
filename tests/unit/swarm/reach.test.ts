import { expect, test } from 'vitest'
import { reachOf, type AddressFinding, type DialFinding, type RelayFinding } from '../../../swarm/reach.ts'

const reserved: RelayFinding = { outcome: 'reserved', address: '/ip4/127.0.0.1' }
const asked = (outcome: AddressFinding['outcome']): AddressFinding => ({ outcome, asked: true })
const unasked = (outcome: AddressFinding['outcome']): AddressFinding => ({ outcome, asked: false })

test.each<[RelayFinding, AddressFinding, DialFinding['outcome'], string]>([
  [reserved, asked('public'), 'direct', 'direct public'],
  [reserved, unasked('local'), 'direct', 'direct here'],
  // A second peer on the same machine proves nothing to those behind other routers.
  [reserved, asked('local'), 'direct', 'relayed no-public-address'],
  [reserved, asked('public'), 'relayed', 'relayed no-direct'],
  [reserved, unasked('local'), 'relayed', 'relayed no-direct'],
  [reserved, asked('none'), 'relayed', 'relayed no-udp'],
  [reserved, asked('public'), 'failed', 'unreachable no-way'],
  [{ outcome: 'unreserved', address: '' }, asked('public'), 'skipped', 'unreachable no-place'],
  [{ outcome: 'refused', reason: 'full' }, asked('public'), 'skipped', 'unreachable refused'],
  // Whatever a second peer could do: nobody is introduced without a relay.
  [{ outcome: 'none', reason: 'lost' }, asked('public'), 'direct', 'unreachable no-relay'],
])('%j, %j, %s: %s', (relay, addresses, outcome, expected) => {
  const dial: DialFinding = outcome === 'failed' ? { outcome, reason: 'timeout' } : { outcome }
  const { verdict, why } = reachOf({ relay, addresses, dial })
  expect(`${verdict} ${why}`).toBe(expected)
})
