import { expect, it } from 'vitest'
import { Departures } from '../../../relay/departures.ts'

function swarm(relays: string[]) {
  const state = { connected: true, linked: new Set(['B', 'C']) }
  const departures = new Departures({
    isConnected: () => state.connected,
    relaysOf: () => relays,
    isLinked: (id) => state.linked.has(id),
  })
  return { state, departures }
}

it('a peer of this relay alone is gone when its connection ends', () => {
  const { state, departures } = swarm([])
  state.connected = false
  expect(departures.onDisconnect('p')).toBe(true)
})

it('a peer that another linked relay holds is gone when both say so, in either order', () => {
  const first = swarm(['B'])
  first.state.connected = false
  expect(first.departures.onDisconnect('p')).toBe(false)
  expect(first.departures.onReport('p', 'B')).toBe(true)
  const second = swarm(['B'])
  expect(second.departures.onReport('p', 'B')).toBe(false)
  second.state.connected = false
  expect(second.departures.onDisconnect('p')).toBe(true)
})

it('a report from before the peer’s last record counts no more', () => {
  const { state, departures } = swarm(['B'])
  departures.onReport('p', 'B')
  departures.onRecord('p')
  state.connected = false
  expect(departures.onDisconnect('p')).toBe(false)
})

it('a relay that does not hold the peer can report nothing while one that does is linked', () => {
  const { state, departures } = swarm(['B'])
  state.connected = false
  expect(departures.onReport('p', 'C')).toBe(false)
  state.linked.delete('B')
  expect(departures.onReport('p', 'C')).toBe(true)
})

it('a lost link is not waited for', () => {
  const { state, departures } = swarm(['B'])
  state.connected = false
  state.linked.delete('B')
  expect(departures.onDisconnect('p')).toBe(true)
})
