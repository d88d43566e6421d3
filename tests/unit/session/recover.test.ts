import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { GenerateEvent } from '../../../session/types.ts'
import { expectedIds } from './support/fake-engine.ts'
import { FakeSwarm, type Fault } from './support/fake-swarm.ts'
import { collect, fakeModel, newChat, request, useVirtualTime } from './support/run.ts'

// Each takes well under a second; the machine may be busy with other suites.
vi.setConfig({ testTimeout: 30_000 })

const PROMPT = [5, 9, 2, 33, 7]
const BLOCKS = 8
const EXPECTED = expectedIds(PROMPT, 12, BLOCKS)

/** Two peers for each pair of blocks. */
function withReplicas(): FakeSwarm {
  const swarm = new FakeSwarm(BLOCKS)
  for (const [i, name] of ['a', 'b', 'c', 'd'].entries()) {
    swarm.join(name, i * 2, i * 2 + 2, { blockStepsPerSecond: 1000 })
    swarm.join(`${name}2`, i * 2, i * 2 + 2, { blockStepsPerSecond: 10 })
  }
  return swarm
}

function of<T extends GenerateEvent['type']>(
  events: readonly GenerateEvent[],
  type: T,
): Extract<GenerateEvent, { type: T }>[] {
  return events.filter((event) => event.type === type) as Extract<GenerateEvent, { type: T }>[]
}

beforeEach(useVirtualTime)
afterEach(() => {
  vi.useRealTimers()
})

test('the only holder of blocks is tried every few seconds, however often it could not be reached', async () => {
  const swarm = new FakeSwarm(BLOCKS)
  swarm.join('a', 0, 4)
  swarm.join('b', 4, BLOCKS)
  swarm.faults = Array.from({ length: 8 }, (_, i): Fault => ({ on: 'dial', nth: i + 1, kind: 'refuse', peerId: 'a' }))
  const chat = newChat(swarm)
  const started = performance.now()
  const { end } = await collect(chat.generate(request(PROMPT)))
  expect(end.ids).toEqual(EXPECTED)
  // Its bans together last three minutes.
  expect(performance.now() - started).toBeLessThan(60_000)
})

describe('a hop is lost and a replica exists', () => {
  const points: Pick<Fault, 'on' | 'nth'>[] = [
    { on: 'dial', nth: 1 },
    { on: 'open', nth: 1 },
    { on: 'step', nth: 1 },
    { on: 'step', nth: 2 },
    { on: 'step', nth: 7 },
    { on: 'step', nth: 12 },
  ]
  const kinds: Fault['kind'][] = ['close', 'hang', 'refuse', 'garbage']
  const cases = points.flatMap((point) =>
    kinds.flatMap((kind) => ['a', 'b', 'd'].map((peerId) => ({ ...point, kind, peerId }))),
  )
  test.each(cases)('$kind at $on $nth of $peerId: the same text', async (fault) => {
    const swarm = withReplicas()
    swarm.faults = [fault]
    const chat = newChat(swarm)
    const { events, end } = await collect(chat.generate(request(PROMPT)))
    expect(end.ids).toEqual(EXPECTED)
    expect(end.finish).toBe('length')
    const isHangOnDial = fault.kind === 'hang' && fault.on === 'dial'
    if (!isHangOnDial) expect(end.route.map((hop) => hop.peerId)).toContain(`${fault.peerId}2`)
    const indices = of(events, 'token').map((event) => event.index)
    expect(indices).toEqual([...EXPECTED.keys()])
    if (fault.on === 'step') {
      expect(of(events, 'lost').map((event) => event.peerId)).toEqual([fault.peerId])
      expect(end.timings.failovers).toBe(1)
      expect(of(events, 'resumed').length).toBe(1)
    }
    await chat.close()
    expect(swarm.openSessions - (swarm.peer(fault.peerId)?.sessions.size ?? 0)).toBe(0)
  })

  test('a hung hop is noticed after three seconds, a broken one at once', async () => {
    const hung = withReplicas()
    hung.faults = [{ peerId: 'c', on: 'step', nth: 5, kind: 'hang' }]
    const slow = await collect(newChat(hung).generate(request(PROMPT)))
    const [lost] = of(slow.events, 'lost')
    expect(lost!.afterMs).toBeGreaterThanOrEqual(3000)
    expect(lost!.afterMs).toBeLessThan(3500)

    const broken = withReplicas()
    broken.faults = [{ peerId: 'c', on: 'step', nth: 5, kind: 'close' }]
    const fast = await collect(newChat(broken).generate(request(PROMPT)))
    expect(of(fast.events, 'lost')[0]!.afterMs).toBeLessThan(500)
  })

  test('the replacement is lost too, during the replay', async () => {
    const swarm = withReplicas()
    swarm.join('b3', 2, 4, { blockStepsPerSecond: 1 })
    swarm.faults = [
      { peerId: 'b', on: 'step', nth: 6, kind: 'close' },
      { peerId: 'b2', on: 'step', nth: 1, kind: 'close' },
    ]
    const { end, events } = await collect(newChat(swarm).generate(request(PROMPT)))
    expect(end.ids).toEqual(EXPECTED)
    expect(of(events, 'lost').map((event) => event.peerId)).toEqual(['b', 'b2'])
  })

  describe.each([true, false, undefined])('a device whose record says exact: %s', (exact) => {
    const long = Array.from({ length: 300 }, (_, i) => (i * 7) % 50)
    const swarmOf = (): FakeSwarm => {
      const swarm = new FakeSwarm(BLOCKS)
      swarm.join('a', 0, 4)
      for (const [name, speed] of [
        ['b', 1000],
        ['b2', 100],
        ['b3', 10],
      ] as const) {
        swarm.join(name, 4, BLOCKS, { blockStepsPerSecond: speed, ...(exact === undefined ? {} : { exact }) })
      }
      return swarm
    }
    const rowsOf = (swarm: FakeSwarm, peerId: string): number[] => swarm.peer(peerId)!.steps.map(({ rows }) => rows)

    test('a replay runs the chunks that were run before, or fewer where bits do not depend on them', async () => {
      const swarm = swarmOf()
      // After three chunks of the prompt and four tokens.
      swarm.faults = [{ peerId: 'b', on: 'step', nth: 8, kind: 'close' }]
      const { end } = await collect(newChat(swarm).generate(request(long)))
      expect(end.ids).toEqual(expectedIds(long, 12, BLOCKS))
      const replayed = exact === false ? [128, 128, 44, 1, 1, 1, 1, 1] : [128, 128, 49]
      expect(rowsOf(swarm, 'b2').slice(0, replayed.length)).toEqual(replayed)
      expect(rowsOf(swarm, 'b2').slice(replayed.length)).toEqual(Array.from({ length: 6 }, () => 1))
    })

    test('so does the replay of a replay that was lost', async () => {
      const swarm = swarmOf()
      swarm.faults = [
        { peerId: 'b', on: 'step', nth: 8, kind: 'close' },
        { peerId: 'b2', on: 'step', nth: 2, kind: 'close' },
      ]
      const { end } = await collect(newChat(swarm).generate(request(long)))
      expect(end.ids).toEqual(expectedIds(long, 12, BLOCKS))
      const replayed = exact === false ? [128, 128, 44, 1, 1, 1, 1, 1] : [128, 128, 49]
      expect(rowsOf(swarm, 'b3').slice(0, replayed.length)).toEqual(replayed)
    })
  })

  test('lost between two turns: the next turn replays everything', async () => {
    const swarm = withReplicas()
    const chat = newChat(swarm)
    const first = await collect(chat.generate(request(PROMPT)))
    swarm.lose('c')
    const prompt = [...PROMPT, ...first.end.ids, 3]
    const { end } = await collect(chat.generate(request(prompt)))
    expect(end.ids).toEqual(expectedIds(prompt, 12, BLOCKS))
    expect(end.timings).toMatchObject({ reusedTokens: 0, failovers: 0 })
  })

  test('a late answer is dropped', async () => {
    const swarm = withReplicas()
    swarm.faults = [
      { peerId: 'd', on: 'step', nth: 4, kind: 'late' },
      { peerId: 'd', on: 'step', nth: 5, kind: 'late' },
    ]
    const { end } = await collect(newChat(swarm).generate(request(PROMPT)))
    expect(end.ids).toEqual(EXPECTED)
    expect(end.timings.failovers).toBe(0)
  })

  test('sampled text is the same too', async () => {
    const sampling = { temperature: 1.2, topP: 0.95, topK: 0, repetitionPenalty: 1.1, seed: 5 }
    const run = async (faults: Fault[]): Promise<readonly number[]> => {
      const swarm = withReplicas()
      swarm.faults = faults
      return (await collect(newChat(swarm).generate(request(PROMPT, { sampling })))).end.ids
    }
    const calm = await run([])
    expect(await run([{ peerId: 'b', on: 'step', nth: 6, kind: 'close' }])).toEqual(calm)
    expect(await run([{ peerId: 'd', on: 'step', nth: 9, kind: 'hang' }])).toEqual(calm)
  })
})

test('two hops that cannot connect work together through the requesting peer', async () => {
  const swarm = withReplicas()
  for (const from of ['b', 'b2']) for (const to of ['c', 'c2']) swarm.cannotConnect.add(`${from} ${to}`)
  const chat = newChat(swarm)
  const { events, end } = await collect(chat.generate(request(PROMPT)))
  expect(end.ids).toEqual(EXPECTED)
  expect(of(events, 'route').at(-1)!.direct).toEqual([true, false, true, true])
  // The next turn knows.
  const next = await collect(chat.generate(request([...PROMPT, 1])))
  expect(next.end.ids).toEqual(expectedIds([...PROMPT, 1], 12, BLOCKS))
})

test.each([
  [2, true],
  [1000, false],
])('a hop that has not heard of its next hop %d times', async (times, direct) => {
  const swarm = withReplicas()
  swarm.strangers.set('b c', times)
  const { events, end } = await collect(newChat(swarm).generate(request(PROMPT)))
  expect(end.ids).toEqual(EXPECTED)
  expect(end.route.map((hop) => hop.peerId)).toEqual(['a', 'b', 'c', 'd'])
  expect(of(events, 'route').at(-1)!.direct).toEqual([true, direct, true, true])
})

describe('no replica', () => {
  function single(): FakeSwarm {
    const swarm = new FakeSwarm(BLOCKS)
    for (const [i, name] of ['a', 'b', 'c', 'd'].entries()) swarm.join(name, i * 2, i * 2 + 2)
    return swarm
  }

  test('pauses with the missing blocks named and goes on when they return', async () => {
    const swarm = single()
    swarm.faults = [{ peerId: 'c', on: 'step', nth: 6, kind: 'close' }]
    let pausedAt = 0
    const { events, end } = await collect(newChat(swarm).generate(request(PROMPT)), (event) => {
      if (event.type !== 'paused') return
      pausedAt += 1
      setTimeout(() => swarm.join('fresh', 4, 6), 60_000)
    })
    expect(pausedAt).toBe(1)
    expect(of(events, 'paused')[0]).toMatchObject({ missingBlocks: [4, 5], reason: 'nobody serves blocks 4–5' })
    expect(end.ids).toEqual(EXPECTED)
    expect(end.route.map((hop) => hop.peerId)).toEqual(['a', 'b', 'fresh', 'd'])
    expect(swarm.dhtQueries).toBeGreaterThan(1)
  })

  test('the same peer that comes back is used at once, not after its ban', async () => {
    const swarm = single()
    swarm.faults = [{ peerId: 'c', on: 'step', nth: 6, kind: 'close' }]
    let pausedMs = 0
    let resumedMs = 0
    const { end } = await collect(newChat(swarm).generate(request(PROMPT)), (event) => {
      if (event.type === 'paused') {
        pausedMs = performance.now()
        setTimeout(() => swarm.join('c', 4, 6), 1000)
      }
      if (event.type === 'resumed') resumedMs = performance.now()
    })
    expect(end.ids).toEqual(EXPECTED)
    expect(resumedMs - pausedMs).toBeLessThan(2000)
  })

  test('cancel works while paused', async () => {
    const swarm = single()
    swarm.faults = [{ peerId: 'c', on: 'step', nth: 6, kind: 'close' }]
    const controller = new AbortController()
    const { end } = await collect(newChat(swarm).generate(request(PROMPT, { signal: controller.signal })), (event) => {
      if (event.type === 'paused') setTimeout(() => controller.abort(), 5000)
    })
    expect(end).toMatchObject({ finish: 'cancel', ids: EXPECTED.slice(0, 5) })
    await vi.advanceTimersByTimeAsync(10)
    expect(swarm.openSessions).toBe(0)
  })

  test('waits for its first route in silence for a second, then says what is missing', async () => {
    const swarm = new FakeSwarm(BLOCKS)
    swarm.join('a', 0, 4)
    const early = new FakeSwarm(BLOCKS)
    setTimeout(() => early.join('all', 0, 8), 500)
    expect((await collect(newChat(early).generate(request(PROMPT)))).types).not.toContain('paused')
    const { events, end } = await collect(newChat(swarm).generate(request(PROMPT)), (event) => {
      if (event.type === 'paused') swarm.join('b', 4, 8)
    })
    expect(of(events, 'paused')[0]).toMatchObject({ missingBlocks: [4, 5, 6, 7] })
    expect(end.ids).toEqual(EXPECTED)
  })

  test('a peer without room is asked again until it has some', async () => {
    const swarm = single()
    swarm.faults = [1, 2, 3].map(
      (nth) => ({ peerId: 'b', on: 'open', nth, kind: 'refuse', code: 'CACHE_FULL' }) as const,
    )
    const { events, end } = await collect(newChat(swarm).generate(request(PROMPT)))
    expect(end.ids).toEqual(EXPECTED)
    for (const paused of of(events, 'paused')) {
      expect(paused).toMatchObject({ missingBlocks: [] })
      expect(paused.reason).toContain('no peer with blocks 2–3 has room')
    }
    expect(of(events, 'paused').length).toBeGreaterThan(0)
  })

  test('peers that break the rules again and again end the answer with the reason', async () => {
    const swarm = single()
    swarm.faults = Array.from(
      { length: 20 },
      (_, i) => ({ peerId: 'd', on: 'step', nth: 3 + i, kind: 'garbage' }) as const,
    )
    const { end } = await collect(newChat(swarm).generate(request(PROMPT)))
    expect(end).toMatchObject({ finish: 'error', error: { code: 'BAD_FRAME', peerId: 'd' } })
    expect(end.ids).toEqual(EXPECTED.slice(0, 2))
  })
})

test('whatever happens in whatever order, the ids are those of a calm run', async () => {
  const faultArbitrary: fc.Arbitrary<Fault> = fc.record({
    peerId: fc.constantFrom('a', 'b', 'c', 'd', 'a2', 'b2', 'c2', 'd2'),
    on: fc.constantFrom('dial' as const, 'open' as const, 'step' as const, 'step' as const, 'step' as const),
    nth: fc.integer({ min: 1, max: 14 }),
    kind: fc.constantFrom('close' as const, 'hang' as const, 'refuse' as const, 'garbage' as const, 'late' as const),
    code: fc.constantFrom('BUSY' as const, 'CACHE_FULL' as const, 'NOT_FINITE' as const),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(faultArbitrary, { maxLength: 6 }),
      fc.infiniteStream(fc.integer({ min: 0, max: 400 })),
      fc.nat(1000),
      async (faults, delays, seed) => {
        const swarm = withReplicas()
        swarm.faults = [...faults]
        swarm.drawDelayMs = () => delays.next().value as number
        // A tab that is gone for good would pause the answer for ever: others take its place.
        let round = 0
        const rejoin = (): void => {
          round += 1
          for (const [i, name] of ['a', 'b', 'c', 'd'].entries()) swarm.join(`${name}-${round}`, i * 2, i * 2 + 2)
          timer = setTimeout(rejoin, 20_000)
        }
        let timer = setTimeout(rejoin, 20_000)
        const chat = newChat(swarm, fakeModel(swarm), seed + 1)
        const { events, end } = await collect(chat.generate(request(PROMPT)))
        clearTimeout(timer)
        expect(end.ids).toEqual(EXPECTED)
        expect(of(events, 'token').map((event) => event.id)).toEqual(EXPECTED)
        await chat.close()
      },
    ),
    { numRuns: 60 },
  )
}, 60_000)
