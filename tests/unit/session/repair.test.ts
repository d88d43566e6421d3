/**
 * A hop is lost in the midst of an answer: another takes its place and runs again what it had run; the others go on with what they
 * hold. The real requesting side against the real serving end, joined in memory.
 */
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { FrameStream } from '../../../net/types.ts'
import { ChatSession } from '../../../session/generate.ts'
import { jsonFrame, readJson } from '../../../swarm/codec.ts'
import { expectedIds } from './support/fake-engine.ts'
import { collect, fakeModel, request } from './support/run.ts'
import { ServedSwarm, type CacheRunner } from './support/served-swarm.ts'

vi.setConfig({ testTimeout: 30_000 })

const PROMPT = Array.from({ length: 150 }, (_, i) => (i * 7) % 60)
const BLOCKS = 8
const NEW = 12
const EXPECTED = expectedIds(PROMPT, NEW, BLOCKS)
/** The last token is not run. */
const ROWS = PROMPT.length + NEW - 1
let served: ServedSwarm

beforeEach(() => {
  served = new ServedSwarm(BLOCKS)
  for (const [i, name] of ['a', 'b', 'c', 'd'].entries()) served.join(name, i * 2, i * 2 + 2, 1000)
})
afterEach(() => served.stop())

function newChat(): ChatSession {
  return new ChatSession(served.node(), fakeModel(served.swarm), {
    now: () => performance.now(),
    randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  })
}

const rowsRun = (name: string): number => (served.peers.get(name)!.runner as CacheRunner).rowsRun

/** The answer, where `happens` at the token of that index. */
async function answer(happens: Record<number, () => void>, chat = newChat()) {
  const { end, events } = await collect(chat.generate(request(PROMPT)), (event) => {
    if (event.type === 'token') happens[event.index]?.()
  })
  return { end, events, chat }
}

test.each([
  ['the first', 'a', 0],
  ['one in the middle', 'b', 2],
  ['the last', 'd', 6],
] as const)(
  '%s hop is lost: the one in its place runs everything, the others nothing twice',
  async (_, lost, start) => {
    served.join('new', start, start + 2, 10)
    const { end, events, chat } = await answer({ 3: () => served.lose(lost) })
    expect(end.ids).toEqual(EXPECTED)
    expect(end.timings.failovers).toBe(1)
    for (const name of ['a', 'b', 'c', 'd'].filter((each) => each !== lost))
      expect([name, rowsRun(name)]).toEqual([name, ROWS])
    expect(rowsRun('new')).toBe(ROWS)
    // What runs again is said as it gets on, in the order of the events of any other loss.
    expect(
      events.map(({ type }) => type).filter((type) => type === 'lost' || type === 'route' || type === 'resumed'),
    ).toEqual(['route', 'lost', 'route', 'resumed'])
    const progress = events.flatMap((event) => (event.type === 'prefill' ? [[event.done, event.total]] : []))
    expect(progress.at(-1)).toEqual([PROMPT.length + 3, PROMPT.length + 3])
    const prompt = [...PROMPT, ...end.ids.slice(0, 6), 50, 51]
    const second = await collect(chat.generate(request(prompt)))
    expect(second.end.ids).toEqual(expectedIds(prompt, NEW, BLOCKS))
    expect(second.end.timings.reusedTokens).toBe(PROMPT.length + 6)
    await chat.close()
    await vi.waitFor(() => expect(served.openSessions).toBe(0))
  },
)

test('two beside each other, and two apart, are replaced by whoever holds their blocks', async () => {
  served.join('b1', 2, 3, 10)
  served.join('b2', 3, 6, 10)
  const one = await answer({ 3: () => (served.lose('b'), served.lose('c')) })
  expect(one.end.ids).toEqual(EXPECTED)
  expect(one.end.route.map(({ peerId, span }) => `${peerId} ${span.start}:${span.end}`)).toEqual([
    'a 0:2',
    'b1 2:3',
    'b2 3:6',
    'd 6:8',
  ])
  expect([rowsRun('a'), rowsRun('d')]).toEqual([ROWS, ROWS])
  await one.chat.close()
  served.join('a2', 0, 2, 10)
  served.join('d2', 6, 8, 10)
  const two = await answer({ 3: () => (served.lose('a'), served.lose('d')) })
  expect(two.end.ids).toEqual(EXPECTED)
  expect([rowsRun('a2'), rowsRun('d2')]).toEqual([ROWS, ROWS])
})

test('the one in its place is lost too, while it runs and later, and a neighbour as well: the same text', async () => {
  for (const name of ['b2', 'b3', 'b4']) served.join(name, 2, 4, 10)
  served.join('c2', 4, 6, 10)
  let isFirst = true
  const { end } = await collect(newChat().generate(request(PROMPT)), (event) => {
    if (event.type === 'token' && event.index === 3) served.lose('b')
    if (event.type === 'prefill' && event.reused === 0 && event.total === PROMPT.length + 3 && isFirst) {
      isFirst = false
      served.lose(['b2', 'b3', 'b4'].find((name) => rowsRun(name) > 0) as string)
    }
    if (event.type === 'token' && event.index === 7) served.lose('c')
  })
  expect(isFirst).toBe(false)
  expect(end.ids).toEqual(EXPECTED)
  expect(end.timings.failovers).toBe(3)
  expect(rowsRun('d')).toBeLessThan(2 * ROWS)
})

test('a hop that takes nothing new goes on with what it has', async () => {
  served.join('b2', 2, 4, 10)
  const finishing = served.peers.get('c')!.server
  const { end } = await answer({
    3: () => {
      finishing.refuseSessions('stops soon')
      served.swarm.join('c', 4, 6, { state: 'leaving' })
      served.lose('b')
    },
  })
  expect(end.ids).toEqual(EXPECTED)
  expect(rowsRun('c')).toBe(ROWS)
})

test('where the hop before it has no room for what it sends on, everything runs again', async () => {
  // Room for 100 tokens.
  served.join('narrow', 0, 2, 10_000, 400)
  served.join('b2', 2, 4, 10)
  const { end } = await answer({ 3: () => served.lose('b') })
  expect(end.ids).toEqual(EXPECTED)
  expect(end.route.map(({ peerId }) => peerId)).toEqual(['narrow', 'b2', 'c', 'd'])
  expect(rowsRun('narrow')).toBe(ROWS + PROMPT.length + 3)
})

test.each([
  ['those that are left', () => true],
  ['the one in its place', (peerId: string) => peerId === 'b2'],
])('%s are of an earlier version, which knows nothing of going on: everything runs again', async (_, isOld) => {
  served.join('b2', 2, 4, 10)
  const node = served.node()
  const openInference: typeof node.openInference = async (peerId, signal) => {
    const stream = await node.openInference(peerId, signal)
    return isOld(peerId) ? withoutResuming(stream) : stream
  }
  const chat = new ChatSession({ ...node, openInference }, fakeModel(served.swarm), {
    now: () => performance.now(),
    randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  })
  const { end } = await answer({ 3: () => served.lose('b') }, chat)
  expect(end.ids).toEqual(EXPECTED)
  expect(['a', 'c', 'd'].map(rowsRun)).toEqual(Array(3).fill(ROWS + PROMPT.length + 3))
  await chat.close()
  await vi.waitFor(() => expect(served.peers.get('d')!.runner.status().sessions).toBe(0))
})

test('a peer that broke the rules is not trusted with what the others hold: everything runs again', async () => {
  served.join('b2', 2, 4, 10)
  const runner = served.peers.get('b')!.runner as CacheRunner
  const step = runner.step.bind(runner)
  const chat = newChat()
  const { end } = await answer(
    {
      3: () => {
        runner.step = async (batch) =>
          (await step(batch)).map((output) => ({ ...output, hidden: Float32Array.of(Number.NaN) }))
      },
    },
    chat,
  )
  expect(end.ids).toEqual(EXPECTED)
  expect(end.route.map(({ peerId }) => peerId)).toEqual(['a', 'b2', 'c', 'd'])
  expect(rowsRun('d')).toBe(ROWS + PROMPT.length + 3)
})

test('nobody is left in its place for a while: it waits, and goes on by itself', async () => {
  const { end, events } = await answer({
    3: () => {
      served.lose('b')
      setTimeout(() => served.join('b2', 2, 4, 10), 300)
    },
  })
  expect(end.ids).toEqual(EXPECTED)
  expect(events.some(({ type }) => type === 'paused')).toBe(true)
  expect(['a', 'c', 'd', 'b2'].map(rowsRun)).toEqual([ROWS, ROWS, ROWS, ROWS])
})

test('losses, moves, pauses and joins at any token, in any order: the same text, and nothing stays open', async () => {
  const happening = fc.record({
    at: fc.nat(NEW - 1),
    what: fc.constantFrom('lose', 'retire', 'hand over', 'refuse', 'join' as const),
    stage: fc.nat(3),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { maxLength: 6 }), fc.boolean(), async (happenings, hasRoom) => {
      const swarm = new ServedSwarm(BLOCKS)
      let joined = 0
      const join = (stage: number): void => {
        joined += 1
        swarm.join(`s${stage} ${joined}`, stage * 2, stage * 2 + 2, 1000 / joined, hasRoom ? undefined : 500)
      }
      for (const stage of [0, 1, 2, 3, 0, 1, 2, 3]) join(stage)
      const chat = new ChatSession(swarm.node(), fakeModel(swarm.swarm), {
        now: () => performance.now(),
        randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
      })
      const { end } = await collect(chat.generate(request(PROMPT)), (event) => {
        if (event.type !== 'token') return
        for (const { what, stage } of happenings.filter(({ at }) => at === event.index)) {
          // The one in use is the fastest; another joins, so that the answer need not wait.
          const name = [...swarm.peers.keys()].find((id) => id.startsWith(`s${stage} `))
          const { server, runner } = swarm.peers.get(name ?? '') ?? {}
          join(stage)
          if (name === undefined || server === undefined || runner === undefined || what === 'join') continue
          if (what === 'lose') swarm.lose(name)
          else if (what === 'hand over') void server.handOver('is paused by its owner')
          else if (what === 'refuse') server.refuseSessions('stops soon')
          else {
            swarm.swarm.lose(name)
            void server.retireRunner(runner)
          }
        }
      })
      expect(end.ids).toEqual(EXPECTED)
      await chat.close()
      await swarm.stop()
      expect(swarm.openSessions).toBe(0)
    }),
    { numRuns: 60 },
  )
})

test('a stop while it looks for another frees what the others held for it', async () => {
  const controller = new AbortController()
  const chat = newChat()
  const { end } = await collect(chat.generate(request(PROMPT, { signal: controller.signal })), (event) => {
    if (event.type === 'token' && event.index === 4) served.lose('d')
    if (event.type === 'paused') controller.abort()
  })
  expect(end.finish).toBe('cancel')
  // Not at the lost hop's neighbour: it has heard of the loss itself, and nobody can reach its session any more.
  await vi.waitFor(() =>
    expect(['a', 'b'].map((name) => served.peers.get(name)!.runner.status().sessions)).toEqual([0, 0]),
  )
})

/** As a peer's that never says that it can go on with a session. */
function withoutResuming(stream: FrameStream): FrameStream {
  return {
    direct: stream.direct,
    peerId: stream.peerId,
    send: (frame) => stream.send(frame),
    close: () => stream.close(),
    abort: (error) => stream.abort(error),
    async receive(signal) {
      const frame = await stream.receive(signal)
      if (frame?.type !== 'opened') return frame
      const { resumes: _, ...message } = readJson(frame)
      return jsonFrame('opened', frame.session, frame.epoch, message)
    },
  }
}
