import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { GenerateEvent } from '../../../session/types.ts'
import { expectedIds, FAKE_VOCAB, sampledIds } from './support/fake-engine.ts'
import { FakeSwarm } from './support/fake-swarm.ts'
import { collect, fakeModel, newChat, request, useVirtualTime } from './support/run.ts'

// Each takes well under a second; the machine may be busy with other suites.
vi.setConfig({ testTimeout: 30_000 })

const PROMPT = [5, 9, 2, 33, 7]
const BLOCKS = 8

function fourTabs(): FakeSwarm {
  const swarm = new FakeSwarm(BLOCKS)
  for (const [i, name] of ['a', 'b', 'c', 'd'].entries()) swarm.join(name, i * 2, i * 2 + 2)
  return swarm
}

beforeEach(useVirtualTime)
afterEach(() => {
  vi.useRealTimers()
})

describe('one answer', () => {
  test('crosses four hops and is the exact greedy text', async () => {
    const swarm = fourTabs()
    const chat = newChat(swarm)
    const { events, end } = await collect(chat.generate(request(PROMPT)))
    expect(end.finish).toBe('length')
    expect(end.ids).toEqual(expectedIds(PROMPT, 12, BLOCKS))
    expect(end.route.map((hop) => `${hop.peerId} ${hop.span.start}:${hop.span.end}`)).toEqual([
      'a 0:2',
      'b 2:4',
      'c 4:6',
      'd 6:8',
    ])
    expect(end).toMatchObject({ weights: 'f32', backend: 'fake', timings: { failovers: 0, promptTokens: 5 } })
    expect(events[0]).toMatchObject({ type: 'route', direct: [true, true, true, true] })
    expect(events.filter((event) => event.type === 'token').map((event) => event.index)).toEqual([...Array(12).keys()])
    await chat.close()
    expect(swarm.openSessions).toBe(0)
  })

  test('a long prompt goes in chunks and reports progress', async () => {
    const swarm = fourTabs()
    const prompt = Array.from({ length: 400 }, (_, i) => i % 60)
    const { events, end } = await collect(newChat(swarm).generate(request(prompt, { maxTokens: 3 })))
    expect(end.ids).toEqual(expectedIds(prompt, 3, BLOCKS))
    const progress = events.filter((event) => event.type === 'prefill')
    expect(progress.map((event) => event.done)).toEqual([0, 128, 256, 400])
    expect(swarm.peer('a')!.counts.get('step')).toBe(4 + 2)
  })

  test('a hidden size of 4096 leaves 16 rows of 256 KiB a chunk', async () => {
    const swarm = fourTabs()
    const chat = newChat(swarm, fakeModel(swarm, { hiddenSize: 4096 }))
    await collect(
      chat.generate(
        request(
          Array.from({ length: 40 }, () => 1),
          { maxTokens: 1 },
        ),
      ),
    )
    expect(swarm.peer('a')!.counts.get('step')).toBe(3)
  })

  test('ends at the end token, which is among the ids and not in the text; ignoreEos goes on', async () => {
    const swarm = fourTabs()
    const expected = expectedIds(PROMPT, 12, BLOCKS)
    const eos = expected[4]!
    const first = expected.indexOf(eos)
    const model = fakeModel(swarm, { eosTokenIds: [40, eos].filter((id) => id === eos || !expected.includes(id)) })
    const { end } = await collect(newChat(swarm, model).generate(request(PROMPT)))
    expect(end).toMatchObject({ finish: 'stop', ids: expected.slice(0, first + 1) })
    const ignoring = await collect(newChat(swarm, model).generate(request(PROMPT, { ignoreEos: true })))
    expect(ignoring.end).toMatchObject({ finish: 'length', ids: expected })
  })

  test('sampling with a seed repeats; another seed differs', async () => {
    const swarm = fourTabs()
    const sampling = { temperature: 1.5, topP: 0.95, topK: 0, repetitionPenalty: 1.1, seed: 11 }
    const run = async (seed: number): Promise<readonly number[]> =>
      (await collect(newChat(swarm).generate(request(PROMPT, { sampling: { ...sampling, seed } })))).end.ids
    const once = await run(11)
    expect(await run(11)).toEqual(once)
    expect(await run(12)).not.toEqual(once)
  })

  test.each([1, 2, 3])(
    'a choice that hangs on logits the hop did not send asks it again, and is exact (%i)',
    async (seed) => {
      const swarm = fourTabs()
      const model = fakeModel(swarm)
      const sampling = { temperature: 8, topP: 1, topK: 0, repetitionPenalty: 1.5, seed }
      const asked = request(PROMPT, { sampling, maxTokens: 40, ignoreEos: true })
      const { end } = await collect(newChat(swarm, model).generate(asked))
      expect(end.ids).toEqual(sampledIds(PROMPT, 40, BLOCKS, sampling))
      expect(swarm.askedAgain).toBeGreaterThan(0)
    },
  )

  test('goes on from the tokens of a journal', async () => {
    const swarm = fourTabs()
    const expected = expectedIds(PROMPT, 12, BLOCKS)
    const { end, events } = await collect(
      newChat(swarm).generate(request(PROMPT, { generatedIds: expected.slice(0, 5) })),
    )
    expect(end.ids).toEqual(expected)
    expect(events.find((event) => event.type === 'token')).toMatchObject({ index: 5, id: expected[5] })
  })

  test('the context is the limit: the last position is used and no more', async () => {
    const swarm = fourTabs()
    const model = fakeModel(swarm, { maxPositionEmbeddings: 8 })
    const { end } = await collect(newChat(swarm, model).generate(request(PROMPT, { maxTokens: 100 })))
    expect(end).toMatchObject({ finish: 'length', ids: expectedIds(PROMPT, 3, BLOCKS) })
  })

  test.each([
    [[], {}, 'EMPTY_PROMPT'],
    [[FAKE_VOCAB], {}, 'BAD_TOKEN_ID'],
    [[-1], {}, 'BAD_TOKEN_ID'],
    [Array.from({ length: 512 }, () => 1), {}, 'PROMPT_TOO_LONG'],
    [PROMPT, { maxTokens: 0 }, 'BAD_OPTION'],
  ])('refuses prompt %j with %j before anything is sent: %s', async (ids, change, code) => {
    const swarm = fourTabs()
    await expect(collect(newChat(swarm).generate(request(ids, change)))).rejects.toMatchObject({ code })
    expect(swarm.streams.size).toBe(0)
  })

  test('peers of another revision and peers that are still loading are not used', async () => {
    const swarm = fourTabs()
    swarm.join('other', 0, 8, { model: { repo: 'fake', revision: 'x', digest: 'e'.repeat(32), blocks: 8 } })
    swarm.join('loading', 0, 8, { state: 'joining' })
    swarm.join('leaving', 0, 8, { state: 'leaving' })
    const { end } = await collect(newChat(swarm).generate(request(PROMPT)))
    expect(end.route.map((hop) => hop.peerId)).toEqual(['a', 'b', 'c', 'd'])
  })
})

describe('turns of a chat', () => {
  test('the second turn runs only the new tokens', async () => {
    const swarm = fourTabs()
    const chat = newChat(swarm)
    const first = await collect(chat.generate(request(PROMPT)))
    const rowsBefore = swarm.peer('a')!.rowsRun
    const second = [...PROMPT, ...first.end.ids, 4, 8]
    const turn = await collect(chat.generate(request(second, { maxTokens: 4 })))
    expect(turn.end.ids).toEqual(expectedIds(second, 4, BLOCKS))
    // All but the last token of the first answer is held: that one was never run.
    const reused = PROMPT.length + first.end.ids.length - 1
    expect(turn.end.timings.reusedTokens).toBe(reused)
    expect(turn.events.find((event) => event.type === 'prefill')).toMatchObject({ total: 3, reused })
    expect(swarm.peer('a')!.rowsRun - rowsBefore).toBe(3 + 3)
  })

  test('an edited message cuts the cache back to what is shared', async () => {
    const swarm = fourTabs()
    const chat = newChat(swarm)
    await collect(chat.generate(request(PROMPT)))
    const edited = [...PROMPT.slice(0, 3), 60, 61]
    const turn = await collect(chat.generate(request(edited)))
    expect(turn.end.ids).toEqual(expectedIds(edited, 12, BLOCKS))
    expect(turn.end.timings.reusedTokens).toBe(3)
    const again = await collect(chat.generate(request(edited)))
    expect(again.end.ids).toEqual(turn.end.ids)
    expect(again.end.timings.reusedTokens).toBe(edited.length - 1)
  })

  test('a turn that outgrows the reserved cache opens a larger session', async () => {
    const swarm = fourTabs()
    const model = fakeModel(swarm, { maxPositionEmbeddings: 10_000 })
    const chat = newChat(swarm, model)
    await collect(chat.generate(request(PROMPT)))
    const long = Array.from({ length: 2100 }, (_, i) => i % 60)
    const { end } = await collect(chat.generate(request(long, { maxTokens: 2 })))
    expect(end.ids).toEqual(expectedIds(long, 2, BLOCKS))
    expect(end.timings.reusedTokens).toBe(0)
    expect(swarm.openSessions).toBe(4)
  })

  test('a full conversation is CONTEXT_FULL', async () => {
    const swarm = fourTabs()
    const chat = newChat(swarm)
    await collect(chat.generate(request(PROMPT)))
    const full = Array.from({ length: 512 }, () => 1)
    await expect(collect(chat.generate(request(full)))).rejects.toMatchObject({ code: 'CONTEXT_FULL' })
  })
})

describe('stop means stop', () => {
  test.each(['prefill', 'token', 'route'])(
    'cancelled at the first %s: no token after it, every cache freed',
    async (at) => {
      const swarm = fourTabs()
      const controller = new AbortController()
      const chat = newChat(swarm)
      let tokensAfter = 0
      const { end } = await collect(
        chat.generate(request(PROMPT, { signal: controller.signal, maxTokens: 100 })),
        (event: GenerateEvent) => {
          if (controller.signal.aborted && event.type === 'token') tokensAfter += 1
          if (event.type === at) controller.abort()
        },
      )
      expect(end.finish).toBe('cancel')
      expect(end.error).toBeUndefined()
      expect(tokensAfter).toBe(0)
      await vi.advanceTimersByTimeAsync(10)
      expect(swarm.openSessions).toBe(0)
      const next = await collect(chat.generate(request(PROMPT)))
      expect(next.end.ids).toEqual(expectedIds(PROMPT, 12, BLOCKS))
    },
  )

  test('cancelled before it begins', async () => {
    const swarm = fourTabs()
    const controller = new AbortController()
    controller.abort()
    const { types, end } = await collect(newChat(swarm).generate(request(PROMPT, { signal: controller.signal })))
    expect(types).toEqual(['end'])
    expect(end.finish).toBe('cancel')
  })

  test('leaving the loop frees the caches too', async () => {
    const swarm = fourTabs()
    for await (const event of newChat(swarm).generate(request(PROMPT))) if (event.type === 'token') break
    await vi.advanceTimersByTimeAsync(10)
    expect(swarm.openSessions).toBe(0)
  })
})
