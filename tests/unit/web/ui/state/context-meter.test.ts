import { signal } from '@preact/signals'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { DEFAULT_SETTINGS } from '../../../../../web/ui/state/chat-types.ts'
import { createChats } from '../../../../../web/ui/state/chats.ts'
import { createContextMeter } from '../../../../../web/ui/state/context-meter.ts'
import type { OpenedModel } from '../../../../../web/ui/state/ports.ts'
import { MemoryChats } from '../../../../../web/ui/storage/chat-db.ts'
import { endEvent, fakeLocks, FakePrompts, TINYTALES } from '../../../../e2e/harness/fakes.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

async function bench(contextTokens: number) {
  const prompts = new FakePrompts({ play: () => [endEvent()], contextTokens })
  const chats = createChats({
    storage: new MemoryChats(true),
    locks: fakeLocks(),
    prompts,
    model: () => TINYTALES,
    settings: () => DEFAULT_SETTINGS,
    now: () => 0,
    randomSeed: () => 1,
    newId: () => 'chat',
  })
  const model = await prompts.open(TINYTALES)
  const opened = signal<OpenedModel | null>(model)
  return { meter: createContextMeter(chats.current, opened), chats, opened, encode: vi.spyOn(model, 'encode') }
}

test('says how much the conversation takes with what is being written, a moment after the last key', async () => {
  const { meter, encode } = await bench(10)
  for (const draft of ['one', 'one two', 'one two three']) meter.draft.value = draft
  await vi.runAllTimersAsync()
  expect(meter.usage.peek()).toEqual({ used: 3, context: 10 })
  expect(encode).toHaveBeenCalledTimes(1)
})

test('says before sending that nothing fits any more', async () => {
  const { meter } = await bench(3)
  meter.draft.value = 'one two'
  await vi.runAllTimersAsync()
  expect(meter.full.peek()).toBe(false)
  meter.draft.value = 'one two three'
  await vi.runAllTimersAsync()
  expect(meter.full.peek()).toBe(true)
})

test('counts what was said before, and nothing without a model', async () => {
  const { meter, chats, opened } = await bench(100)
  await chats.current.peek().send('one two')
  meter.draft.value = 'three'
  await vi.runAllTimersAsync()
  expect(meter.usage.peek()?.used).toBe(3)
  opened.value = null
  expect(meter.usage.peek()).toBeNull()
})
