/** Many answers that begin in the same moment, before any record tells of another: they spread over the ways there are. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { expectedIds } from './support/fake-engine.ts'
import { FakeSwarm } from './support/fake-swarm.ts'
import { collect, newChat, request, useVirtualTime } from './support/run.ts'

vi.setConfig({ testTimeout: 30_000 })

const PROMPT = [5, 9, 2]
const BLOCKS = 8

beforeEach(useVirtualTime)
afterEach(() => {
  vi.useRealTimers()
})

async function hopsOfCrowd(swarm: FakeSwarm, count: number): Promise<number[]> {
  const chats = Array.from({ length: count }, (_, index) => newChat(swarm, undefined, index + 1))
  const ends = await Promise.all(chats.map(async (chat) => (await collect(chat.generate(request(PROMPT)))).end))
  for (const { ids } of ends) expect(ids).toEqual(expectedIds(PROMPT, 12, BLOCKS))
  await Promise.all(chats.map((chat) => chat.close()))
  expect(swarm.openSessions).toBe(0)
  return ends.map(({ route }) => route.length).toSorted((a, b) => a - b)
}

function withQuarters(): FakeSwarm {
  const swarm = new FakeSwarm(BLOCKS)
  // Records say that nobody has a session, and go on saying so.
  for (const start of [0, 2, 4, 6]) swarm.join(`q${start}`, start, start + 2)
  swarm.join('whole', 0, BLOCKS)
  return swarm
}

test('one takes the fewest hops', async () => {
  expect(await hopsOfCrowd(withQuarters(), 1)).toEqual([1])
})

test('six at once do not all take them', async () => {
  const hops = await hopsOfCrowd(withQuarters(), 6)
  expect(hops.filter((count) => count === 1).length).toBeLessThanOrEqual(2)
  expect(hops.filter((count) => count === 4).length).toBeGreaterThanOrEqual(4)
})

test('where there is one way only, a crowd stays on it', async () => {
  const swarm = new FakeSwarm(BLOCKS)
  for (const start of [0, 2, 4, 6]) swarm.join(`q${start}`, start, start + 2)
  expect(await hopsOfCrowd(swarm, 3)).toEqual([4, 4, 4])
})
