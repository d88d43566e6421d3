/** A text keeps to one weight format, the most exact one that has a route, unless it is asked to mix them. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { GenerateEvent } from '../../../session/types.ts'
import { expectedIds } from './support/fake-engine.ts'
import { FakeSwarm } from './support/fake-swarm.ts'
import { collect, fakeModel, newChat, request, useVirtualTime } from './support/run.ts'

const PROMPT = [5, 9, 2, 33, 7]
const BLOCKS = 8
const EXPECTED = expectedIds(PROMPT, 12, BLOCKS)

beforeEach(useVirtualTime)
afterEach(() => {
  vi.useRealTimers()
})

function reasons(events: readonly GenerateEvent[]): string[] {
  return events.flatMap((event) => (event.type === 'paused' ? [event.reason] : []))
}

test('the most exact format that has a route is taken, however fast the others are', async () => {
  const swarm = new FakeSwarm(BLOCKS)
  swarm.join('exact', 0, 8, { weights: 'f32', blockStepsPerSecond: 10 })
  swarm.join('fast', 0, 8, { weights: 'int4', blockStepsPerSecond: 10_000 })
  swarm.join('half', 0, 4, { weights: 'f16' })
  const { end } = await collect(newChat(swarm).generate(request(PROMPT)))
  expect(end.route.map((hop) => hop.peerId)).toEqual(['exact'])
})

test('a format without a route makes way for one that has', async () => {
  const swarm = new FakeSwarm(BLOCKS)
  swarm.join('half', 0, 4, { weights: 'f32' })
  swarm.join('a', 0, 4, { weights: 'int4' })
  swarm.join('b', 4, 8, { weights: 'int4' })
  const { end } = await collect(newChat(swarm).generate(request(PROMPT)))
  expect(end.route.map((hop) => hop.peerId)).toEqual(['a', 'b'])
})

test('where no one format holds the model the answer waits and says why; asked to mix, it goes on at once', async () => {
  const swarm = new FakeSwarm(BLOCKS)
  swarm.join('a', 0, 5, { weights: 'f32' })
  swarm.join('b', 5, 8, { weights: 'int4' })
  const mixed = await collect(newChat(swarm, fakeModel(swarm), 1, { mixWeights: true }).generate(request(PROMPT)))
  expect(mixed.types).not.toContain('paused')
  expect(mixed.end.ids).toEqual(EXPECTED)
  const { events, end } = await collect(newChat(swarm).generate(request(PROMPT)), (event) => {
    if (event.type === 'paused') swarm.join('c', 5, 8, { weights: 'f32' })
  })
  expect(reasons(events)).toEqual([
    'nobody serves blocks 5–7 as f32, and a text keeps to one format unless formats may mix (--mix-weights, or the setting of the page)',
  ])
  expect(end.route.map((hop) => hop.peerId)).toEqual(['a', 'c'])
})

test('blocks that nobody serves in any format are named as they are', async () => {
  const swarm = new FakeSwarm(BLOCKS)
  swarm.join('a', 0, 3, { weights: 'f32' })
  swarm.join('b', 2, 5, { weights: 'int4' })
  const { events } = await collect(newChat(swarm).generate(request(PROMPT)), (event) => {
    if (event.type === 'paused') swarm.join('c', 0, 8, { weights: 'f32' })
  })
  expect(reasons(events)).toEqual(['nobody serves blocks 5–7'])
})

test('a text that lost a hop goes on in its format only; the next text may take another', async () => {
  const swarm = new FakeSwarm(BLOCKS)
  swarm.join('a', 0, 4, { weights: 'f32' })
  swarm.join('b', 4, 8, { weights: 'f32' })
  swarm.join('whole', 0, 8, { weights: 'int8' })
  swarm.faults = [{ peerId: 'b', on: 'step', nth: 6, kind: 'close' }]
  const chat = newChat(swarm)
  const { events, end } = await collect(chat.generate(request(PROMPT)), (event) => {
    if (event.type === 'paused') setTimeout(() => swarm.join('b2', 4, 8, { weights: 'f32' }), 5_000)
  })
  expect(reasons(events)).toEqual(['nobody serves blocks 4–7 as f32, and this text began with that format'])
  expect(end.ids).toEqual(EXPECTED)
  expect(end.route.map((hop) => hop.peerId)).toEqual(['a', 'b2'])
  swarm.lose('b2')
  await chat.close()
  const next = await collect(newChat(swarm).generate(request(PROMPT)))
  expect(next.end.route.map((hop) => hop.peerId)).toEqual(['whole'])
})

test('mixing is asked for text by text, and a route that may mix is given up when it no longer is', async () => {
  const swarm = new FakeSwarm(BLOCKS)
  swarm.join('a', 0, 5, { weights: 'f32' })
  swarm.join('b', 5, 8, { weights: 'int4' })
  const chat = newChat(swarm)
  const mixed = await collect(chat.generate({ ...request(PROMPT), mixWeights: true }))
  expect(mixed.end.route.map((hop) => hop.peerId)).toEqual(['a', 'b'])
  swarm.join('c', 5, 8, { weights: 'f32' })
  const { end } = await collect(chat.generate(request(PROMPT)))
  expect(end.route.map((hop) => hop.peerId)).toEqual(['a', 'c'])
})
