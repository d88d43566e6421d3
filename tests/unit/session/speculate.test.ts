import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { DraftTokens } from '../../../session/speculate.ts'
import type { SamplingOptions, Tokenizer } from '../../../session/types.ts'
import { expectedIds, FAKE_VOCAB, sampledIds } from './support/fake-engine.ts'
import { FakeSwarm, type Fault } from './support/fake-swarm.ts'
import { collect, fakeModel, newChat, request, useVirtualTime, type EndEvent } from './support/run.ts'

// Each takes well under a second; the machine may be busy with other suites.
vi.setConfig({ testTimeout: 30_000 })

const PROMPT = [5, 9, 2, 33, 7]
const BLOCKS = 8
const GREEDY: SamplingOptions = { temperature: 0, topP: 1, topK: 0, repetitionPenalty: 1, seed: 1 }

/** Two peers for each pair of blocks. */
function withReplicas(): FakeSwarm {
  const swarm = new FakeSwarm(BLOCKS)
  for (const [i, name] of ['a', 'b', 'c', 'd'].entries()) {
    swarm.join(name, i * 2, i * 2 + 2, { blockStepsPerSecond: 1000 })
    swarm.join(`${name}2`, i * 2, i * 2 + 2, { blockStepsPerSecond: 10 })
  }
  return swarm
}

/** Guesses of which each is right where `isRight` says so: `ids` is what plain decoding comes to. */
function guesses(ids: readonly number[], isRight: () => boolean): DraftTokens {
  return (held, count) => {
    return Array.from({ length: count }, (_, i) => {
      const right = ids[held.length + i] ?? 0
      return isRight() ? right : (right + 1) % FAKE_VOCAB
    })
  }
}

function stepsOf(swarm: FakeSwarm): number {
  return swarm.peer('a')!.steps.length
}

/** Ids as letters, so that texts that end an answer have something to be found in. */
const letters: Tokenizer = {
  encode: () => Promise.reject(new Error('unused')),
  applyChatTemplate: () => Promise.reject(new Error('unused')),
  decode: (ids) => ids.map(letterOf).join(''),
  stream: () => ({ push: letterOf, flush: () => '' }),
  dispose: () => undefined,
}
function letterOf(id: number): string {
  return String.fromCharCode(97 + (id % 26))
}

beforeEach(useVirtualTime)
afterEach(() => {
  vi.useRealTimers()
})

describe('guesses', () => {
  const expected = expectedIds(PROMPT, 40, BLOCKS)
  const whole = [...PROMPT, ...expected]
  const asked = { maxTokens: 40, ignoreEos: true, speculate: 4 }

  test('all right: five tokens a lap, in a step each, without a message more', async () => {
    const swarm = withReplicas()
    const chat = newChat(swarm, fakeModel(swarm), 1, { draft: guesses(whole, () => true) })
    const { end } = await collect(chat.generate(request(PROMPT, asked)))
    expect(end.ids).toEqual(expected)
    // The prompt, seven laps of five tokens, and the last four: no more are wanted.
    expect(end.timings.speculation).toEqual({ laps: 9, drafted: 31, accepted: 31 })
    expect(stepsOf(swarm)).toBe(9)
    expect(swarm.peer('a')!.cuts).toBe(0)
  })

  test('all wrong: a token a lap, and what was guessed is forgotten at every hop by the next step', async () => {
    const swarm = withReplicas()
    const chat = newChat(swarm, fakeModel(swarm), 1, { draft: guesses(whole, () => false) })
    const { end } = await collect(chat.generate(request(PROMPT, asked)))
    expect(end.ids).toEqual(expected)
    expect(end.timings.speculation).toMatchObject({ laps: 40, accepted: 0 })
    for (const name of ['a', 'b', 'c', 'd']) {
      expect(swarm.peer(name)!.cuts).toBe(38)
      expect(swarm.peer(name)!.counts.get('truncate')).toBeUndefined()
    }
  })

  test('the answer ends at the end token among them, and the next turn reuses what is right', async () => {
    const swarm = withReplicas()
    const eos = expected[6]!
    const length = expected.indexOf(eos) + 1
    const chat = newChat(swarm, fakeModel(swarm, { eosTokenIds: [eos] }), 1, { draft: guesses(whole, () => true) })
    const first = await collect(chat.generate(request(PROMPT, { ...asked, ignoreEos: false })))
    expect(first.end).toMatchObject({ finish: 'stop', ids: expected.slice(0, length) })
    const prompt = [...PROMPT, ...first.end.ids, 4, 8]
    const second = await collect(chat.generate(request(prompt, { maxTokens: 4, ignoreEos: true })))
    expect(second.end.ids).toEqual(expectedIds(prompt, 4, BLOCKS))
    // The end token was run as a guess.
    expect(second.end.timings.reusedTokens).toBeGreaterThanOrEqual(prompt.length - 3)
  })

  test('none is tried where a hop of the route knows nothing of them', async () => {
    const swarm = withReplicas()
    swarm.withoutRows.add('c')
    const chat = newChat(swarm, fakeModel(swarm), 1, { draft: guesses(whole, () => true) })
    const { end } = await collect(chat.generate(request(PROMPT, asked)))
    expect(end.ids).toEqual(expected)
    expect(end.timings.speculation).toEqual({ laps: 40, drafted: 0, accepted: 0 })
    expect(
      swarm
        .peer('a')!
        .steps.slice(1)
        .every(({ rows }) => rows === 1),
    ).toBe(true)
  })

  test('none is tried where rows change in their last bits with the steps they come in', async () => {
    const swarm = withReplicas()
    swarm.join('c', 4, 6, { blockStepsPerSecond: 1000, exact: false })
    const chat = newChat(swarm, fakeModel(swarm), 1, { draft: guesses(whole, () => true) })
    const { end } = await collect(chat.generate(request(PROMPT, asked)))
    expect(end.ids).toEqual(expected)
    expect(end.timings.speculation).toMatchObject({ drafted: 0 })
  })

  test('off says nothing of them', async () => {
    const swarm = withReplicas()
    const { end } = await collect(newChat(swarm).generate(request(PROMPT)))
    expect(end.timings.speculation).toBeUndefined()
  })

  test.each([0, 16, 1.5, -1])('%j at a time is refused before anything is sent', async (speculate) => {
    const swarm = withReplicas()
    const run = collect(newChat(swarm).generate(request(PROMPT, { speculate })))
    await expect(run).rejects.toMatchObject({ code: 'BAD_OPTION' })
    expect(swarm.streams.size).toBe(0)
  })

  test.each([1, 2, 3])('a choice in their midst that hangs on logits that did not come is exact (%i)', async (seed) => {
    const swarm = withReplicas()
    const sampling = { temperature: 8, topP: 1, topK: 0, repetitionPenalty: 1.5, seed }
    const sampled = sampledIds(PROMPT, 40, BLOCKS, sampling)
    const draft = guesses([...PROMPT, ...sampled], () => true)
    const chat = newChat(swarm, fakeModel(swarm), 1, { draft })
    const { end } = await collect(chat.generate(request(PROMPT, { ...asked, sampling })))
    expect(end.ids).toEqual(sampled)
    expect(swarm.askedAgain).toBeGreaterThan(0)
    // The token before it was run once more.
    expect(swarm.peer('a')!.cuts).toBeGreaterThan(0)
    expect(end.timings.speculation!.accepted).toBeGreaterThan(0)
  })

  const faults = ['a', 'b', 'd'].flatMap((peerId) =>
    (['close', 'hang', 'refuse', 'garbage'] as const).flatMap((kind) =>
      [2, 4, 6].map((nth): Fault => ({ peerId, on: 'step', nth, kind })),
    ),
  )
  test.each(faults)('$kind at step $nth of $peerId in the midst of them: the same text', async (fault) => {
    const swarm = withReplicas()
    swarm.faults = [fault]
    let turn = 0
    const draft = guesses(whole, () => (turn += 1) % 3 !== 0)
    const chat = newChat(swarm, fakeModel(swarm), 1, { draft })
    const { events, end } = await collect(chat.generate(request(PROMPT, asked)))
    expect(end.ids).toEqual(expected)
    expect(end.timings.failovers).toBe(1)
    const tokens = events.filter((event) => event.type === 'token')
    expect(tokens.map(({ index, id }) => [index, id])).toEqual([...expected.entries()])
    expect(end.timings.speculation!.accepted).toBeGreaterThan(0)
    await chat.close()
    expect(swarm.openSessions - (swarm.peer(fault.peerId)?.sessions.size ?? 0)).toBe(0)
  })

  test('cross a pair of hops that cannot connect through the requesting peer', async () => {
    const swarm = withReplicas()
    swarm.cannotConnect.add('b c')
    let turn = 0
    const draft = guesses(whole, () => (turn += 1) % 3 !== 0)
    const { end } = await collect(newChat(swarm, fakeModel(swarm), 1, { draft }).generate(request(PROMPT, asked)))
    expect(end.ids).toEqual(expected)
    expect(end.timings.speculation!.accepted).toBeGreaterThan(0)
  })
})

test('whatever is guessed, sampled, lost and late: the ids, the text and the end are those of plain decoding', async () => {
  const sampling: fc.Arbitrary<SamplingOptions> = fc.oneof(
    fc.constant(GREEDY),
    fc.record({
      temperature: fc.constantFrom(0, 0.7, 1, 3, 8),
      topP: fc.constantFrom(0.6, 0.95, 1),
      topK: fc.constantFrom(0, 3, 40),
      repetitionPenalty: fc.constantFrom(0.9, 1, 1.3),
      seed: fc.nat(1_000_000),
    }),
  )
  const fault: fc.Arbitrary<Fault> = fc.record({
    peerId: fc.constantFrom('a', 'b', 'c', 'd', 'b2'),
    on: fc.constant('step' as const),
    nth: fc.integer({ min: 1, max: 20 }),
    kind: fc.constantFrom('close' as const, 'hang' as const, 'refuse' as const, 'garbage' as const, 'late' as const),
  })
  // With both gone nobody serves these blocks, and an answer waits for somebody who does.
  const takesAway = ({ kind }: Fault): boolean => kind === 'close' || kind === 'hang'
  const leavesOne = (faults: readonly Fault[]): boolean =>
    ['b', 'b2'].some((id) => !faults.some((each) => each.peerId === id && takesAway(each)))
  let accepted = 0
  let lost = 0
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        prompt: fc.array(fc.nat(FAKE_VOCAB - 1), { minLength: 1, maxLength: 20 }),
        sampling,
        maxTokens: fc.integer({ min: 1, max: 30 }),
        stop: fc.constantFrom([], ['q'], ['x', 'ab'], ['e']),
        eos: fc.array(fc.nat(FAKE_VOCAB - 1), { maxLength: 20 }),
        speculate: fc.constantFrom<(number | 'auto')[]>('auto', 1, 2, 4, 15),
        rightPercent: fc.constantFrom(0, 50, 90, 100),
        faults: fc.array(fault, { maxLength: 2 }).filter(leavesOne),
      }),
      fc.infiniteStream(fc.nat(99)),
      fc.infiniteStream(fc.integer({ min: 0, max: 200 })),
      async ({ prompt, stop, eos, speculate, rightPercent, faults, ...rest }, chances, delays) => {
        const run = async (swarm: FakeSwarm, change: object, draft?: DraftTokens): Promise<EndEvent> => {
          const model = fakeModel(swarm, { eosTokenIds: eos, tokenizer: letters })
          const chat = newChat(swarm, model, 1, draft === undefined ? {} : { draft })
          const { end } = await collect(chat.generate(request(prompt, { ...rest, stopSequences: stop, ...change })))
          await chat.close()
          return end
        }
        const plain = await run(withReplicas(), {})
        const swarm = withReplicas()
        swarm.faults = [...faults]
        swarm.drawDelayMs = () => delays.next().value as number
        const isRight = (): boolean => (chances.next().value as number) < rightPercent
        const end = await run(swarm, { speculate }, guesses([...prompt, ...plain.ids], isRight))
        expect(end).toMatchObject({ finish: plain.finish, ids: plain.ids, text: plain.text })
        accepted += end.timings.speculation!.accepted
        lost += end.timings.failovers
      },
    ),
    { numRuns: 60 },
  )
  expect(accepted).toBeGreaterThan(50)
  expect(lost).toBeGreaterThan(2)
}, 60_000)
