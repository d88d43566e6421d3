import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ChatSession } from '../../../session/generate.ts'
import type { DraftTokens } from '../../../session/speculate.ts'
import { expectedIds, sampledIds } from './support/fake-engine.ts'
import { collect, fakeModel, request } from './support/run.ts'
import { CacheRunner, ServedSwarm } from './support/served-swarm.ts'

// Each takes well under a second; the machine may be busy with other suites.
vi.setConfig({ testTimeout: 30_000 })

const PROMPT = [5, 9, 2, 33, 7]
const BLOCKS = 8
const EXPECTED = expectedIds(PROMPT, 12, BLOCKS)
let served: ServedSwarm

beforeEach(() => {
  served = new ServedSwarm(BLOCKS)
  for (const [i, name] of ['a', 'b', 'c', 'd'].entries()) {
    served.join(name, i * 2, i * 2 + 2, 1000)
    served.join(`${name}2`, i * 2, i * 2 + 2, 10)
  }
})
afterEach(() => served.stop())

function newChat(draft?: DraftTokens): ChatSession {
  return new ChatSession(served.node(), fakeModel(served.swarm), {
    now: () => performance.now(),
    randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
    ...(draft === undefined ? {} : { draft }),
  })
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 5_000
  while (!holds()) {
    if (performance.now() > deadline) throw new Error('it did not happen within 5 s')
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('four hops answer, a second turn reuses their caches, closing frees them', async () => {
  const chat = newChat()
  const first = await collect(chat.generate(request(PROMPT)))
  expect(first.end.ids).toEqual(EXPECTED)
  expect(first.end.route.map((hop) => hop.peerId)).toEqual(['a', 'b', 'c', 'd'])
  const prompt = [...PROMPT, ...first.end.ids.slice(0, 6), 50, 51]
  const second = await collect(chat.generate(request(prompt)))
  expect(second.end.ids).toEqual(expectedIds(prompt, 12, BLOCKS))
  expect(second.end.timings.reusedTokens).toBe(PROMPT.length + 6)
  await chat.close()
  await until(() => served.openSessions === 0)
})

test('a prompt of many chunks', async () => {
  const prompt = Array.from({ length: 470 }, (_, i) => (i * 7) % 60)
  const { end } = await collect(newChat().generate(request(prompt)))
  expect(end.ids).toEqual(expectedIds(prompt, 12, BLOCKS))
})

test('more logits than the step brought', async () => {
  const sampling = { temperature: 8, topP: 1, topK: 0, repetitionPenalty: 1.5, seed: 1 }
  const lastLogits = vi.spyOn(CacheRunner.prototype, 'lastLogits')
  const asked = request(PROMPT, { sampling, maxTokens: 40, ignoreEos: true })
  const { end } = await collect(newChat().generate(asked))
  expect(end.ids).toEqual(sampledIds(PROMPT, 40, BLOCKS, sampling))
  expect(lastLogits).toHaveBeenCalled()
  lastLogits.mockRestore()
})

test.each([0, 0.9])(
  'guesses, every third wrong, at temperature %d, with a peer lost in their midst',
  async (temperature) => {
    const sampling = { temperature, topP: 0.95, topK: 0, repetitionPenalty: 1.1, seed: 3 }
    const expected = sampledIds(PROMPT, 60, BLOCKS, sampling)
    const whole = [...PROMPT, ...expected]
    let turn = 0
    const chat = newChat((held, count) =>
      Array.from({ length: count }, (_, i) => ((turn += 1) % 3 === 0 ? 1 : (whole[held.length + i] ?? 1))),
    )
    const asked = request(PROMPT, { sampling, maxTokens: 60, ignoreEos: true, speculate: 5 })
    const { end } = await collect(chat.generate(asked), (event) => {
      if (event.type === 'token' && event.index === 20) served.lose('c')
    })
    expect(end.ids).toEqual(expected)
    expect(end.timings.failovers).toBe(1)
    expect(end.timings.speculation!.accepted).toBeGreaterThan(20)
    const prompt = [...PROMPT, ...expected.slice(0, 30), 50, 51]
    const second = await collect(chat.generate(request(prompt)))
    expect(second.end.ids).toEqual(expectedIds(prompt, 12, BLOCKS))
    expect(second.end.timings.reusedTokens).toBe(PROMPT.length + 30)
    await chat.close()
    await until(() => served.openSessions === 0)
  },
)

test('a peer is lost, one moves, and one is lost again: the same text', async () => {
  const chat = newChat()
  const { end, events } = await collect(chat.generate(request(PROMPT)), (event) => {
    if (event.type !== 'token') return
    if (event.index === 3) served.lose('b')
    if (event.index === 6) void served.peers.get('c')!.server.retireRunner(served.peers.get('c')!.runner)
    if (event.index === 9) served.lose('d')
  })
  expect(end.ids).toEqual(EXPECTED)
  expect(events.filter((event) => event.type === 'lost').map((event) => event.peerId)).toEqual(['b', 'c', 'd'])
  expect(end.route.map((hop) => hop.peerId)).toEqual(['a', 'b2', 'c2', 'd2'])
  await chat.close()
  await until(() => served.openSessions === 0)
})

test('a hop without room is passed over', async () => {
  ;(served.peers.get('b')!.runner as CacheRunner).cacheTokens = 3
  const { end } = await collect(newChat().generate(request(PROMPT)))
  expect(end.ids).toEqual(EXPECTED)
  expect(end.route.map((hop) => hop.peerId)).toEqual(['a', 'b2', 'c', 'd'])
})

test('stop frees every cache', async () => {
  const controller = new AbortController()
  const chat = newChat()
  const { end } = await collect(chat.generate(request(PROMPT, { signal: controller.signal })), (event) => {
    if (event.type === 'token' && event.index === 4) controller.abort()
  })
  expect(end).toMatchObject({ finish: 'cancel', ids: EXPECTED.slice(0, 5) })
  await until(() => served.openSessions === 0)
})
