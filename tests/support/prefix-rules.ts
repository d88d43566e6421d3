/** The rules of a shared prefix, tried on a real runner: each broken rule is one line. Bits are those of a session that shares nothing. */
import type { PrefixNames, SpanRunner } from '../../swarm/span-runner.ts'
import type { ModelFiles } from '../reference/model-files.ts'
import type { MakeChain } from './runner-rules.ts'
import { bitsThatDiffer, ok } from './span-chain.ts'

const STRIDE = 16
const CACHE_TOKENS = 400
const PREFIX: PrefixNames = { owner: 'me', source: 'first', stride: STRIDE, names: ['s1', 's2', 's3'] }
/** Three names' worth, then what differs from chat to chat. */
const SYSTEM = Array.from({ length: 3 * STRIDE }, (_, i) => (i * 37) % 61)
const textOf = (chat: number): number[] => [...SYSTEM, ...Array.from({ length: 15 }, (_, i) => (i * 11 + chat) % 61)]
const idOf = (chat: number): string => chat.toString(16).padStart(32, '0')

export async function prefixRules(make: MakeChain, model: ModelFiles): Promise<string[]> {
  const broken: string[] = []
  const expect = (rule: string, holds: boolean): void => void (holds || broken.push(rule))
  const chain = await make(model, CACHE_TOKENS)
  const runner = chain.runners[0] as SpanRunner
  const free = (): number => runner.status().cacheTokensLeft
  let chats = 0
  const open = async (maxTokens: number, prefix?: PrefixNames): Promise<{ chat: number; begins: number }> => {
    chats += 1
    const request = { session: idOf(chats), span: runner.span, maxTokens }
    return { chat: chats, begins: await runner.openSession(prefix === undefined ? request : { ...request, prefix }) }
  }
  const run = async (chat: number, ids: number[], position: number, chunk: number) => {
    for (let at = position; ; at += chunk) {
      const tokens = Uint32Array.from(ids.slice(at, at + chunk))
      const step = { session: idOf(chat), position: at, rows: tokens.length, tokens, logits: { topK: 0 } }
      const { logits } = ok((await runner.step([step]))[0])
      if (at + chunk >= ids.length) return logits!
    }
  }
  /** Whether the chat's text, of which `begins` tokens are there, gives the bits that it gives alone. */
  const isSame = async (chat: number, begins: number, chunk: number): Promise<boolean> => {
    const shared = await run(chat, textOf(chat), begins, chunk)
    const alone = await open(80)
    const whole = await run(alone.chat, textOf(chat), 0, 80)
    await runner.closeSession(idOf(alone.chat))
    return bitsThatDiffer(shared, whole) === 0
  }

  const first = await open(70, PREFIX)
  expect('the first session begins at 0', first.begins === 0)
  await run(first.chat, textOf(first.chat).slice(0, 40), 0, 7)
  const second = await open(90, PREFIX)
  expect('a second shares the whole strides that a running one has', second.begins === 2 * STRIDE)
  expect('it gives the bits of a session of its own', await isSame(second.chat, second.begins, 5))
  expect('so does the running one', await isSame(first.chat, 40, 9))
  const other = await open(70, { ...PREFIX, names: ['s1', 'x2', 's3'] })
  expect('only what is named alike is shared', other.begins === STRIDE)
  expect('the rest is its own', await isSame(other.chat, other.begins, 80))

  for (const chat of [first.chat, second.chat, other.chat]) await runner.closeSession(idOf(chat))
  expect('what is kept counts as free', free() === CACHE_TOKENS && runner.status().sessions === 0)
  const third = await open(64, PREFIX)
  expect('a closed session is shared from', third.begins === 3 * STRIDE)
  expect('with the same bits', await isSame(third.chat, third.begins, 1))
  expect('what is taken is not free', free() === CACHE_TOKENS - 64)
  await runner.closeSession(idOf(third.chat))
  for (const change of [{ owner: 'you' }, { source: 'second' }, { stride: 8 }]) {
    const stranger = await open(64, { ...PREFIX, ...change })
    expect(`nothing is shared with another ${Object.keys(change).join('')}`, stranger.begins === 0)
    await runner.closeSession(idOf(stranger.chat))
  }

  await runner.openSession({ session: 'f'.repeat(32), span: runner.span, maxTokens: 250 })
  const again = await open(150, PREFIX)
  expect('what is kept makes room, and is gone then', again.begins === 0 && free() === 0)
  await runner.closeSession(idOf(again.chat))
  await runner.closeSession('f'.repeat(32))
  expect('all is free again', free() === CACHE_TOKENS)

  // A session that was cut runs other tokens under the names of the first ones.
  const all = await open(250, { ...PREFIX, source: 'cut' })
  await run(all.chat, textOf(all.chat), 0, 80)
  await runner.truncateSession(idOf(all.chat), STRIDE + 3)
  await run(all.chat, textOf(all.chat).slice(0, 60).reverse(), STRIDE + 3, 80)
  await runner.closeSession(idOf(all.chat))
  const after = await open(250, { ...PREFIX, source: 'cut' })
  expect('names behind a cut are forgotten', after.begins === STRIDE)
  expect('what was left is right, in the place of the closed one', await isSame(after.chat, after.begins, 80))
  await runner.closeSession(idOf(after.chat))

  const whole = await open(250, { ...PREFIX, source: 'whole' })
  await run(whole.chat, textOf(whole.chat), 0, 80)
  await runner.closeSession(idOf(whole.chat))
  const reopened = await open(250, { ...PREFIX, source: 'whole' })
  await runner.truncateSession(idOf(reopened.chat), STRIDE)
  await run(reopened.chat, textOf(whole.chat), STRIDE, 80)
  await runner.closeSession(idOf(reopened.chat))
  const last = await open(250, { ...PREFIX, source: 'whole' })
  expect('a cut before the first step keeps the names', last.begins === 3 * STRIDE)
  await runner.closeSession(idOf(last.chat))
  await runner.openSession({
    session: 'e'.repeat(32),
    span: runner.span,
    maxTokens: model.config.maxPositionEmbeddings,
  })
  expect('whatever is kept, a session has the room', free() === CACHE_TOKENS - model.config.maxPositionEmbeddings)
  await chain.dispose()
  return broken
}
