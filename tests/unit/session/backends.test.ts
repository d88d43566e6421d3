/** An answer that lost a hop goes on with one that computes as the lost one did, where there is one with room. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { expectedIds } from './support/fake-engine.ts'
import { FakeSwarm } from './support/fake-swarm.ts'
import { collect, newChat, request, useVirtualTime } from './support/run.ts'

const PROMPT = [5, 9, 2, 33, 7]
const BLOCKS = 8
const EXPECTED = expectedIds(PROMPT, 12, BLOCKS)

beforeEach(useVirtualTime)
afterEach(() => {
  vi.useRealTimers()
})

/** A GPU and a processor serve the model, and b, the processor, is lost in the sixth step. */
function losing(): FakeSwarm {
  const swarm = new FakeSwarm(BLOCKS)
  swarm.join('a', 0, 4, { backend: 'webgpu' })
  swarm.join('b', 4, 8, { backend: 'wasm' })
  swarm.faults = [{ peerId: 'b', on: 'step', nth: 6, kind: 'close' }]
  return swarm
}

const begun = { blockStepsPerSecond: 10 }
const faster = { blockStepsPerSecond: 10_000 }

/** Other peers join once the answer has begun, so that the route is the same in each case. */
async function routeAfter(swarm: FakeSwarm, join: () => void): Promise<string[]> {
  let isJoined = false
  const { end, events } = await collect(newChat(swarm).generate(request(PROMPT)), (event) => {
    if (event.type === 'token' && !isJoined) {
      isJoined = true
      join()
    }
  })
  expect(events.map((event) => event.type)).toContain('lost')
  expect(end.ids).toEqual(EXPECTED)
  return end.route.map(({ peerId, backend }) => `${peerId} ${backend}`)
}

test('the same kind is taken, however much faster another is', async () => {
  const swarm = losing()
  const route = await routeAfter(swarm, () => {
    swarm.join('slow', 4, 8, { ...begun, backend: 'wasm' })
    swarm.join('gpu', 4, 8, { ...faster, backend: 'webgpu' })
  })
  expect(route).toEqual(['a webgpu', 'slow wasm'])
})

test('what keeps keys and values in another format is of another kind', async () => {
  const swarm = new FakeSwarm(BLOCKS)
  swarm.join('a', 0, 4, { backend: 'webgpu' })
  swarm.join('b', 4, 8, { backend: 'webgpu', kv: 'f16' })
  swarm.faults = [{ peerId: 'b', on: 'step', nth: 6, kind: 'close' }]
  const route = await routeAfter(swarm, () => {
    swarm.join('halves', 4, 8, { ...begun, backend: 'webgpu', kv: 'f16' })
    swarm.join('exact', 4, 8, { ...faster, backend: 'webgpu' })
  })
  expect(route).toEqual(['a webgpu', 'halves webgpu'])
})

test('of a peer with more blocks only those that its kind computed', async () => {
  const swarm = losing()
  const route = await routeAfter(swarm, () => {
    swarm.join('whole', 0, 8, { ...begun, backend: 'wasm' })
    swarm.join('gpu', 4, 8, { ...faster, backend: 'webgpu' })
  })
  expect(route).toEqual(['a webgpu', 'whole wasm'])
})

test.each([
  ['is there', {}],
  ['has room', { backend: 'wasm', cacheTokensLeft: 3 }],
] as const)('where none of the same kind %s another goes on', async (_what, change) => {
  const swarm = losing()
  const route = await routeAfter(swarm, () => {
    if ('backend' in change) swarm.join('full', 4, 8, change)
    swarm.join('gpu', 4, 8, { backend: 'webgpu' })
  })
  expect(route).toEqual(['a webgpu', 'gpu webgpu'])
})

test('a new text takes whatever is best', async () => {
  const swarm = new FakeSwarm(BLOCKS)
  swarm.join('slow', 0, 8, { ...begun, backend: 'wasm' })
  swarm.join('fast', 0, 8, { ...faster, backend: 'webgpu' })
  const { end } = await collect(newChat(swarm).generate(request(PROMPT)))
  expect(end.route.map(({ peerId }) => peerId)).toEqual(['fast'])
})
