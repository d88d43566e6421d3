import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { SwarmError } from '../../../../../swarm/errors.ts'
import {
  DEFAULT_SETTINGS,
  type AnswerEntry,
  type ChatSettings,
  type Entry,
} from '../../../../../web/ui/state/chat-types.ts'
import { createChats, type Chats } from '../../../../../web/ui/state/chats.ts'
import { JOURNAL_MS } from '../../../../../web/ui/state/journal.ts'
import { MemoryChats } from '../../../../../web/ui/storage/chat-db.ts'
import {
  endEvent,
  fakeLocks,
  FakePrompts,
  TINYTALES,
  type FakePromptOptions,
  type Played,
} from '../../../../e2e/harness/fakes.ts'

/** Storage that records the order of what happens. */
class WatchedStorage extends MemoryChats {
  readonly happened: string[] = []
  readonly #listeners: ((chatId: string) => void)[] = []

  override onChange(listener: (chatId: string) => void): void {
    this.#listeners.push(listener)
  }

  /** As a write of another tab is told. */
  tell(chatId: string): void {
    for (const listener of this.#listeners) listener(chatId)
  }

  override async putEntry(chatId: string, index: number, entry: Entry, options?: { durable?: boolean }): Promise<void> {
    // A write takes a moment, as on a disk: what does not wait for it comes out of order.
    await Promise.resolve()
    await Promise.resolve()
    await super.putEntry(chatId, index, entry)
    const state = entry.role === 'user' ? 'user' : `${entry.status}:${entry.ids.length}`
    this.happened.push(`put ${index} ${state}${options?.durable === true ? ' durable' : ''}`)
  }
}

interface Bench {
  chats: Chats
  prompts: FakePrompts
  storage: WatchedStorage
  taken: Set<string>
  settings: ChatSettings
}

function bench(options: FakePromptOptions, storage = new WatchedStorage(true), taken = new Set<string>()): Bench {
  const prompts = new FakePrompts(options)
  const settings = { ...DEFAULT_SETTINGS }
  // A reloaded page makes other ids than the one before it.
  let ids = storage.happened.length * 100
  const chats = createChats({
    storage,
    locks: fakeLocks(taken),
    prompts,
    model: () => TINYTALES,
    settings: () => settings,
    now: () => Date.now(),
    randomSeed: () => 11,
    newId: () => `chat-${(ids += 1)}`,
  })
  return { chats, prompts, storage, taken, settings }
}

const tokens = (count: number, from = 0): Played[] =>
  Array.from({ length: count }, (_, i): Played => ({ type: 'token', index: i, id: from + i, text: 'ignored' }))

function lastAnswer(chats: Chats): AnswerEntry {
  const entry = chats.current.peek().entries.peek().at(-1)
  if (entry?.role !== 'assistant') throw new Error('no answer')
  return entry
}

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

describe('sending', () => {
  test('writes the message to disk, durably, before anything is asked', async () => {
    const { chats, storage } = bench({
      play: () => {
        storage.happened.push('asked')
        return [...tokens(2), endEvent()]
      },
    })
    expect(await chats.current.peek().send(' Hello! ')).toBe(true)
    expect(storage.happened).toEqual(['put 0 user durable', 'put 1 streaming:0', 'asked', 'put 1 done:2'])
    expect(chats.current.peek().entries.peek()[0]).toMatchObject({ role: 'user', text: 'Hello!' })
    expect(lastAnswer(chats)).toMatchObject({ text: 'w0 w1 ', status: 'done', cut: false })
    expect(lastAnswer(chats).stats).toMatchObject({ reusedTokens: 14, promptTokens: 26 })
  })

  test('keeps the message when the model cannot be read', async () => {
    const openError = new SwarmError('HUB_UNREACHABLE', 'hub.example did not answer')
    const { chats, storage } = bench({ play: () => [], openError })
    await chats.current.peek().send('Hello!')
    expect((await storage.entries('chat-1')).map((entry) => entry.role)).toEqual(['user', 'assistant'])
    expect(lastAnswer(chats)).toMatchObject({ status: 'failed', error: { code: 'HUB_UNREACHABLE' } })
  })

  test('asks with the model’s own sampling where nothing is set, and with what is set', async () => {
    const { chats, prompts, settings } = bench({ play: () => [endEvent()] })
    await chats.current.peek().send('a')
    expect(prompts.requests[0]).toMatchObject({
      maxTokens: 256,
      sampling: { temperature: 0.7, topP: 0.95, topK: 0, repetitionPenalty: 1, seed: 11 },
    })
    Object.assign(settings, { temperature: 0, seed: 5, maxTokens: 3 })
    await chats.current.peek().send('b')
    expect(prompts.requests[1]).toMatchObject({ maxTokens: 3, sampling: { temperature: 0, seed: 5 } })
  })

  test.each(['off', 'auto'] as const)(
    'guesses at tokens as set (%s), and keeps what they brought',
    async (speculate) => {
      const speculation = { laps: 5, drafted: 6, accepted: 4 }
      const end = endEvent()
      if (end.type === 'end') end.timings.speculation = speculation
      const { chats, prompts, settings } = bench({ play: () => [end] })
      Object.assign(settings, { speculate })
      await chats.current.peek().send('a')
      expect(prompts.requests[0]?.speculate).toBe(speculate)
      expect(lastAnswer(chats).stats?.speculation).toEqual(speculation)
    },
  )

  test('never asks for more tokens than the context has room for', async () => {
    const { chats, prompts } = bench({ play: () => [endEvent()], contextTokens: 10 })
    await chats.current.peek().send('one two three four')
    expect(prompts.requests[0]?.maxTokens).toBe(6)
  })

  test('a full context is refused without asking', async () => {
    const { chats, prompts } = bench({ play: () => [endEvent()], contextTokens: 3 })
    await chats.current.peek().send('one two three')
    expect(prompts.requests).toEqual([])
    expect(lastAnswer(chats).error?.code).toBe('CONTEXT_FULL')
  })

  test('the second turn carries the conversation', async () => {
    const { chats, prompts } = bench({ play: () => [...tokens(2), endEvent()] })
    await chats.current.peek().send('one two')
    await chats.current.peek().send('three')
    // one two, w0 w1 (and the space after it), three.
    expect(prompts.requests[1]?.promptIds.length).toBe(6)
  })

  test('a system prompt goes first', () => {
    const { chats, settings } = bench({ play: () => [] })
    settings.systemPrompt = 'Be brief.'
    expect(chats.current.peek().messages('Hi')).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hi' },
    ])
  })

  test('a full storage is one sentence, and the message comes back', async () => {
    const { chats, storage, prompts } = bench({ play: () => [endEvent()] })
    storage.putEntry = () => Promise.reject(new DOMException('no room', 'QuotaExceededError'))
    expect(await chats.current.peek().send('Hello!')).toBe(false)
    expect(chats.current.peek().problem.peek()?.code).toBe('STORAGE_FULL')
    expect(prompts.requests).toEqual([])
  })

  test('an answer that has no room in storage is written all the same, and the page says that it is not kept', async () => {
    const { chats, storage } = bench({ play: () => [...tokens(2), endEvent()] })
    const put = storage.putEntry.bind(storage)
    storage.putEntry = (chatId, index, entry, options) =>
      entry.role === 'user'
        ? put(chatId, index, entry, options)
        : Promise.reject(new DOMException('no room', 'QuotaExceededError'))
    expect(await chats.current.peek().send('Hello!')).toBe(true)
    expect(lastAnswer(chats)).toMatchObject({ status: 'done', text: 'w0 w1 ' })
    expect(chats.current.peek().problem.peek()?.code).toBe('STORAGE_FULL')
    expect(chats.current.peek().live.peek()).toBeNull()
  })

  test('an answer goes on when storage fills up under it, and the page says so', async () => {
    const { chats, storage } = bench({
      play: () => {
        storage.putEntry = () => Promise.reject(new DOMException('no room', 'QuotaExceededError'))
        return [...tokens(3), endEvent()]
      },
    })
    expect(await chats.current.peek().send('Hello!')).toBe(true)
    expect(lastAnswer(chats)).toMatchObject({ status: 'done', text: 'w0 w1 w2 ' })
    expect(chats.current.peek().problem.peek()?.code).toBe('STORAGE_FULL')
    // What could not be stored stays on the screen when the next message is sent.
    await chats.current.peek().send('Again')
    expect(chats.current.peek().entries.peek()).toHaveLength(2)
  })

  test('texts that end the answer go along', async () => {
    const { chats, prompts, settings } = bench({ play: () => [...tokens(3), endEvent()] })
    Object.assign(settings, { stop: ['###', '1 w'] })
    await chats.current.peek().send('a')
    expect(prompts.requests[0]?.stopSequences).toEqual(['###', '1 w'])
    // The session ends with the token that completes the text; what is shown is cut before it.
    expect(lastAnswer(chats)).toMatchObject({ text: 'w0 w', ids: [0, 1, 2] })
  })

  test('a chat that another tab is answering in is left alone', async () => {
    const { chats, prompts, storage } = bench({ play: () => [endEvent()] }, undefined, new Set(['chat-1']))
    expect(await chats.current.peek().send('Hello!')).toBe(false)
    expect(chats.current.peek().problem.peek()?.code).toBe('CHAT_TAKEN')
    expect(prompts.requests).toEqual([])
    expect(storage.happened).toEqual([])
  })
})

describe('while an answer streams', () => {
  test('the journal follows within its time and not at each token', async () => {
    const { chats, storage } = bench({ play: () => [...tokens(50), 'stay'] })
    const sending = chats.current.peek().send('Hello!')
    await vi.advanceTimersByTimeAsync(JOURNAL_MS)
    const writes = storage.happened.filter((line) => line.startsWith('put 1'))
    expect(writes).toEqual(['put 1 streaming:0', 'put 1 streaming:50'])
    expect(JOURNAL_MS).toBeLessThanOrEqual(250)
    chats.current.peek().stop()
    await sending
  })

  test('Stop keeps what came, and nothing comes after it', async () => {
    const { chats, prompts } = bench({ play: () => [...tokens(3), 'stay', ...tokens(3)] })
    const sending = chats.current.peek().send('Hello!')
    await vi.advanceTimersByTimeAsync(0)
    chats.current.peek().stop()
    expect(chats.current.peek().phase.peek().kind).toBe('stopping')
    await sending
    expect(prompts.requests[0]?.signal.aborted).toBe(true)
    expect(lastAnswer(chats)).toMatchObject({ status: 'stopped', text: 'w0 w1 w2 ' })
    expect(chats.current.peek().phase.peek().kind).toBe('idle')
  })

  test('a pause names its blocks and the answer goes on', async () => {
    const { chats } = bench({
      play: () => [
        ...tokens(1),
        { type: 'lost', peerId: 'p', reason: 'closed', afterMs: 40 },
        { type: 'paused', missingBlocks: [4, 5], reason: 'nobody serves them' },
        'stay',
      ],
    })
    const sending = chats.current.peek().send('Hello!')
    await vi.advanceTimersByTimeAsync(0)
    expect(chats.current.peek().phase.peek()).toMatchObject({ kind: 'paused', missingBlocks: [4, 5] })
    chats.current.peek().stop()
    await sending
    expect(lastAnswer(chats).lost).toEqual([{ peerId: 'p', reason: 'closed', afterMs: 40 }])
  })

  test('a session that throws becomes a failed answer with what was there', async () => {
    const { chats } = bench({
      play: () => {
        throw new SwarmError('PEER_LOST', 'peer x is gone')
      },
    })
    await chats.current.peek().send('Hello!')
    expect(lastAnswer(chats)).toMatchObject({ status: 'failed', error: { code: 'PEER_LOST' } })
  })
})

describe('after it', () => {
  test('Retry writes the answer anew in place of the old one', async () => {
    const { chats, storage } = bench({ play: (_request, turn) => [...tokens(turn + 1), endEvent()] })
    await chats.current.peek().send('Hello!')
    await chats.current.peek().retry()
    expect(await storage.entries('chat-1')).toHaveLength(2)
    expect(lastAnswer(chats).text).toBe('w0 w1 ')
  })

  test('Continue asks with the ids that were there and appends', async () => {
    const { chats, prompts } = bench({
      play: (_request, turn) => [...tokens(2, turn * 2), endEvent({ finish: turn === 0 ? 'length' : 'stop' })],
    })
    await chats.current.peek().send('one two')
    expect(lastAnswer(chats).cut).toBe(true)
    await chats.current.peek().resume()
    expect(prompts.requests[1]?.promptIds).toEqual([0, 1, 0, 1])
    expect(lastAnswer(chats)).toMatchObject({ ids: [0, 1, 2, 3], text: 'w0 w1 w2 w3 ', cut: false })
  })

  test('a model without a tokenizer answers in ids', async () => {
    const { chats } = bench({ play: () => [...tokens(3, 7), endEvent()], hasTokenizer: false })
    await chats.current.peek().send('1, 2, 3')
    expect(lastAnswer(chats).text).toBe('7, 8, 9')
  })
})

describe('chats', () => {
  const stored = async (status: AnswerEntry['status']): Promise<WatchedStorage> => {
    const storage = new WatchedStorage(true)
    const { chats } = bench({ play: () => [...tokens(2), endEvent()] }, storage)
    await chats.current.peek().send('Hello!')
    await storage.putEntry('chat-1', 1, { ...lastAnswer(chats), status })
    return storage
  }

  test('survive a reload, the newest open', async () => {
    const { chats } = bench({ play: () => [] }, await stored('done'))
    await chats.load()
    expect(chats.list.peek().map(({ title }) => title)).toEqual(['Hello!'])
    expect(lastAnswer(chats)).toMatchObject({ status: 'done', text: 'w0 w1 ' })
  })

  test('show an answer that a closed page left behind as interrupted', async () => {
    const { chats } = bench({ play: () => [] }, await stored('streaming'))
    await chats.load()
    expect(lastAnswer(chats).status).toBe('interrupted')
  })

  test('leave an answer alone that another tab is writing', async () => {
    const { chats } = bench({ play: () => [] }, await stored('streaming'), new Set(['chat-1']))
    await chats.load()
    expect(lastAnswer(chats).status).toBe('streaming')
  })

  test('are deleted with what they hold, and a running answer writes nothing after that', async () => {
    const { chats, storage, prompts } = bench({ play: () => [...tokens(2), 'stay'] })
    const sending = chats.current.peek().send('Hello!')
    await vi.advanceTimersByTimeAsync(0)
    await chats.remove('chat-1')
    await sending
    await vi.advanceTimersByTimeAsync(1000)
    expect(await storage.chats()).toEqual([])
    expect(await storage.entries('chat-1')).toEqual([])
    expect(prompts.ended).toEqual(['chat-1'])
  })

  test('a new chat is not stored before its first message', async () => {
    const { chats, storage } = bench({ play: () => [endEvent()] })
    await chats.current.peek().send('one')
    chats.create()
    expect(await storage.chats()).toHaveLength(1)
    await chats.current.peek().send('two')
    expect(chats.list.peek().map(({ title }) => title)).toEqual(['two', 'one'])
  })

  test('are renamed, here and in storage, and keep the name', async () => {
    const { chats, storage } = bench({ play: () => [endEvent()] })
    await chats.current.peek().send('one')
    await chats.rename('chat-1', '  A better name ')
    await chats.rename('chat-1', '   ')
    expect(chats.list.peek()[0]?.title).toBe('A better name')
    await chats.current.peek().send('two')
    expect((await storage.chats())[0]?.title).toBe('A better name')
  })
})

describe('two tabs in one chat', () => {
  /** Both have it open; the second tab does not hear of what the first one writes. */
  const twoTabs = async (): Promise<{ first: Bench; second: Bench }> => {
    const first = bench({ play: () => [...tokens(2), endEvent()] })
    await first.chats.current.peek().send('one')
    const second = bench({ play: () => [...tokens(1), endEvent()] }, first.storage)
    await second.chats.load()
    vi.advanceTimersByTime(1_000)
    return { first, second }
  }

  test('what one of them wrote is never overwritten by the other', async () => {
    const { first, second } = await twoTabs()
    await first.chats.current.peek().send('two')
    await second.chats.current.peek().send('three')
    const stored = await first.storage.entries('chat-1')
    expect(stored.filter(({ role }) => role === 'user').map(({ text }) => text)).toEqual(['one', 'two', 'three'])
    expect(second.chats.current.peek().entries.peek()).toEqual(stored)
  })

  test('an answer that this tab did not show is not replaced by its Retry', async () => {
    const { first, second } = await twoTabs()
    await first.chats.current.peek().retry()
    const stored = await first.storage.entries('chat-1')
    await second.chats.current.peek().retry()
    expect(second.chats.current.peek().problem.peek()?.code).toBe('CHAT_TAKEN')
    expect(await first.storage.entries('chat-1')).toEqual(stored)
    expect(second.prompts.requests).toEqual([])
    // Now that it is seen, it may be.
    await second.chats.current.peek().retry()
    expect(second.prompts.requests).toHaveLength(1)
  })

  test('a tab follows what another one writes and removes', async () => {
    const { first, second } = await twoTabs()
    await first.chats.current.peek().send('two')
    second.storage.tell('chat-1')
    await vi.advanceTimersByTimeAsync(0)
    expect(second.chats.current.peek().entries.peek()).toHaveLength(4)
    await first.chats.remove('chat-1')
    second.storage.tell('chat-1')
    await vi.advanceTimersByTimeAsync(0)
    expect(second.chats.list.peek()).toEqual([])
    expect(second.chats.current.peek().entries.peek()).toEqual([])
  })

  test('an answer whose tab went away without a word becomes one to continue', async () => {
    const { second } = await twoTabs()
    const chat = second.chats.current.peek()
    const answer = lastAnswer(second.chats)
    // The page before a reload: its lock is still held for a moment when the new page reads.
    await second.storage.putEntry('chat-1', 1, { ...answer, status: 'streaming' })
    second.taken.add('chat-1')
    second.storage.tell('chat-1')
    await vi.advanceTimersByTimeAsync(2_000)
    expect(lastAnswer(second.chats).status).toBe('streaming')
    second.taken.delete('chat-1')
    await vi.advanceTimersByTimeAsync(1_000)
    expect(lastAnswer(second.chats).status).toBe('interrupted')
    expect(vi.getTimerCount()).toBe(0)
    await chat.resume()
    expect(lastAnswer(second.chats)).toMatchObject({ status: 'done', ids: [...answer.ids, 0] })
  })
})
