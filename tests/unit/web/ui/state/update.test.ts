import { expect, test } from 'vitest'
import { createSwarmState } from '../../../../../web/ui/state/swarm.ts'
import { createUpdate } from '../../../../../web/ui/state/update.ts'
import type { RelayLine } from '../../../../../web/ui/state/ports.ts'
import { fakeSnapshot, FakeSwarm } from '../../../../e2e/harness/fakes.ts'

function setUp() {
  const swarm = new FakeSwarm(fakeSnapshot([]))
  const server = { build: null as string | null, looks: 0 }
  let seen = (): void => undefined
  const update = createUpdate({
    port: {
      look: async () => {
        server.looks += 1
        return server.build
      },
    },
    swarm: createSwarmState(swarm),
    onVisible: (listener) => {
      seen = listener
    },
    reload: () => undefined,
  })
  const relay = (state: RelayLine['state']): void =>
    swarm.set(fakeSnapshot([], { relays: [{ address: 'relay', state }] }))
  const turn = (): Promise<void> => Promise.resolve().then(() => undefined)
  return { update, server, relay, show: () => seen(), turn }
}

test('a newer build is looked for when the tab is seen, and offered until it is answered', async () => {
  const { update, server, show, turn } = setUp()
  expect(server.looks).toBe(0)
  show()
  await turn()
  expect(update.isOffered.value).toBe(false)
  server.build = 'main-2.js'
  show()
  await turn()
  expect(update.isOffered.value).toBe(true)
  update.later()
  show()
  await turn()
  expect(update.isOffered.value).toBe(false)
  server.build = 'main-3.js'
  show()
  await turn()
  expect(update.isOffered.value).toBe(true)
})

test.each(['connected', 'refused'] as const)('and when a relay that was away is %s', async (state) => {
  const { server, relay, turn } = setUp()
  relay('connected')
  relay('connected')
  expect(server.looks).toBe(0)
  relay('restarting')
  relay(state)
  await turn()
  expect(server.looks).toBe(1)
  relay(state)
  expect(server.looks).toBe(1)
  relay('lost')
  relay('connected')
  expect(server.looks).toBe(2)
})
