import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import {
  createMemoryJournalStore,
  TokenJournal,
  type JournalHead,
  type JournalStore,
} from '../../../session/journal.ts'

const HEAD: JournalHead = {
  chat: 'c',
  message: 'm',
  modelDigest: 'd',
  promptIds: [1, 2],
  sampling: { temperature: 0, topP: 1, topK: 0, repetitionPenalty: 1, seed: 3 },
  maxTokens: 10,
  stopSequences: [],
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

async function storedIds(store: JournalStore): Promise<number[]> {
  return (await store.read('c', 'm'))!.tokens.map((token) => token.id)
}

test('is at most eight tokens or a quarter of a second behind', async () => {
  const store = createMemoryJournalStore()
  const journal = await TokenJournal.begin(store, HEAD)
  for (let i = 0; i < 7; i += 1) journal.append(i, 100 + i)
  await vi.advanceTimersByTimeAsync(249)
  expect(await storedIds(store)).toEqual([])
  await vi.advanceTimersByTimeAsync(1)
  expect((await storedIds(store)).length).toBe(7)
  for (let i = 7; i < 15; i += 1) journal.append(i, 100 + i)
  await vi.advanceTimersByTimeAsync(0)
  expect((await storedIds(store)).length).toBe(15)
})

test('an index is written once; the same token again is fine, another is a bug, a hole is a bug', async () => {
  const store = createMemoryJournalStore()
  const journal = await TokenJournal.begin(store, HEAD)
  journal.append(0, 5)
  journal.append(0, 5)
  expect(() => journal.append(0, 6)).toThrow('bug: token 0 is 5 and would become 6')
  expect(() => journal.append(2, 6)).toThrow('bug: token 2 after 1 tokens')
  await journal.flush()
  expect(await storedIds(store)).toEqual([5])
})

test('whatever is appended, flushed, cut and reopened is one sequence', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(fc.nat(50), { maxLength: 20 }), { maxLength: 5 }), async (runs) => {
      const store = createMemoryJournalStore()
      let journal = await TokenJournal.begin(store, HEAD)
      const all: number[] = []
      for (const run of runs) {
        for (const id of run) {
          journal.append(journal.ids.length, id)
          all.push(id)
        }
        await journal.flush()
        // a reload: everything comes again from the beginning
        journal = (await TokenJournal.reopen(store, 'c', 'm'))!
        all.forEach((id, index) => journal.append(index, id))
      }
      expect(journal.ids).toEqual(all)
      expect(journal.head).toEqual(HEAD)
      expect(await storedIds(store)).toEqual(all)
    }),
  )
})

test('a torn write leaves the tokens before the hole', async () => {
  const store = createMemoryJournalStore()
  await store.begin(HEAD)
  await store.append('c', 'm', [
    { index: 0, id: 4 },
    { index: 2, id: 6 },
  ])
  const journal = (await TokenJournal.reopen(store, 'c', 'm'))!
  expect(journal.ids).toEqual([4])
  for (const [index, id] of [4, 5, 6, 7].entries()) journal.append(index, id)
  await journal.flush()
  expect(await storedIds(store)).toEqual([4, 5, 6, 7])
  expect(await TokenJournal.reopen(store, 'c', 'other')).toBeNull()
})

test('a full disk is told, with what to do', async () => {
  const store: JournalStore = {
    ...createMemoryJournalStore(),
    append: () => Promise.reject(new Error('QuotaExceededError')),
  }
  const journal = await TokenJournal.begin(store, HEAD)
  journal.append(0, 1)
  await expect(journal.flush()).rejects.toMatchObject({ code: 'STORAGE_FULL' })
  expect(() => journal.append(1, 1)).toThrow('the chat could not be stored')
})
