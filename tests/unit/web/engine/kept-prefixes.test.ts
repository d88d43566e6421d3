/** What is kept of closed sessions, in what order it goes, and that every cache is freed once. Caches are names here. */
import { expect, test } from 'vitest'
import { SwarmError } from '../../../../swarm/errors.ts'
import type { PrefixNames } from '../../../../swarm/span-runner.ts'
import { KeptPrefixes, type PrefixHolder } from '../../../../web/engine/kept-prefixes.ts'

const SPAN = { start: 2, end: 4 }

function lab(roomFor: number) {
  const freed: string[] = []
  const copies: string[] = []
  const made: string[] = []
  const clock = { ms: 0 }
  const prefixes = new KeptPrefixes<string>(
    (cache) => freed.push(cache),
    () => clock.ms,
  )
  const prefixOf = (names: string): PrefixNames => ({ owner: 'me', source: 's', stride: 10, names: names.split('') })
  const live = (): number => made.length - freed.length
  return {
    prefixes,
    freed,
    copies,
    clock,
    begin: async (cache: string, names: string, open: (PrefixHolder & { cache: string })[] = []) => {
      const request = { session: cache, span: SPAN, maxTokens: 100, prefix: prefixOf(names) }
      const begun = await prefixes.begin(request, open, {
        fits: () => live() < roomFor,
        allocate: () => {
          if (live() >= roomFor) throw new SwarmError('CACHE_FULL', 'no room')
          made.push(cache)
          return cache
        },
        copy: (from, to, tokens) => copies.push(`${from}>${to} ${tokens}`),
      })
      const session = { span: SPAN, maxTokens: 100, length: 55, prefix: prefixOf(names), begun: 0, cache: begun.cache }
      return { ...begun, session }
    },
  }
}

test('a session whose rows nobody can name, or that never ran so far, is freed at once', async () => {
  const { prefixes, begin, freed } = lab(9)
  const { session } = await begin('a', 'xyz')
  prefixes.keep({ ...session, prefix: null })
  const short = await begin('b', 'xyz')
  prefixes.keep({ ...short.session, length: 9 })
  expect(freed).toEqual(['a', 'b'])
  expect(prefixes.tokenBlocks).toBe(0)
})

test('of two that hold the same, the longer one stays', async () => {
  const { prefixes, begin, freed } = lab(9)
  prefixes.keep((await begin('short', 'xy')).session)
  prefixes.keep((await begin('long', 'xyz')).session)
  prefixes.keep((await begin('again', 'xyz')).session)
  prefixes.keep((await begin('fork', 'xq')).session)
  expect(freed).toEqual(['short', 'again'])
  expect(prefixes.tokenBlocks).toBe(2 * 100 * 2)
  prefixes.clear()
  expect(freed).toEqual(['short', 'again', 'long', 'fork'])
})

test('the longest start counts, of open sessions too, and never more than the session may hold', async () => {
  const { prefixes, begin, copies } = lab(9)
  prefixes.keep((await begin('a', 'xy')).session)
  const open = (await begin('b', 'xyzuv')).session
  expect(await begin('c', 'xyzuvw', [open])).toMatchObject({ cache: 'c', tokens: 50 })
  expect(copies.at(-1)).toBe('b>c 50')
  expect((await begin('d', 'qqq', [open])).tokens).toBe(0)
  const request = { session: 'e', span: SPAN, maxTokens: 25, prefix: { ...open.prefix } }
  const copied: number[] = []
  const maker = {
    fits: () => true,
    allocate: () => 'e',
    copy: (_a: string, _b: string, n: number) => void copied.push(n),
  }
  expect((await prefixes.begin(request, [open], maker)).tokens).toBe(20)
  expect(copied).toEqual([20])
})

test('what was of use longest ago goes first, what is about to be shared last', async () => {
  const { prefixes, begin, freed } = lab(3)
  for (const name of ['a', 'b', 'c']) prefixes.keep((await begin(name, `${name}12`)).session)
  // a is used, so b goes for d; then c for e; a stays until it is the only one left.
  const d = await begin('d', 'a1')
  expect(d.tokens).toBe(20)
  expect(freed).toEqual(['b'])
  await begin('e', 'a2')
  expect(freed).toEqual(['b', 'c'])
  // Its own room is all there is: it becomes the session's.
  expect(await begin('f', 'a12')).toMatchObject({ cache: 'a', tokens: 30 })
  expect(prefixes.tokenBlocks).toBe(0)
  await expect(begin('g', 'a12')).rejects.toMatchObject({ code: 'CACHE_FULL' })
  expect(freed).toEqual(['b', 'c'])
})

test('a device without memory gets back what is kept before a session is refused', async () => {
  const { prefixes, begin, freed } = lab(9)
  prefixes.keep((await begin('a', 'xyz')).session)
  let tries = 0
  const begun = await prefixes.begin({ session: 'b', span: SPAN, maxTokens: 50 }, [], {
    fits: () => true,
    allocate: () => {
      tries += 1
      if (tries === 1) throw new SwarmError('OUT_OF_MEMORY', 'none left')
      return 'b'
    },
    copy: () => undefined,
  })
  expect(begun).toEqual({ cache: 'b', tokens: 0 })
  expect(freed).toEqual(['a'])
})

test('what nobody came back for is gone after ten minutes', async () => {
  const { prefixes, begin, freed, clock } = lab(9)
  prefixes.keep((await begin('a', 'xyz')).session)
  clock.ms = 9 * 60_000
  expect((await begin('b', 'x')).tokens).toBe(10)
  clock.ms = 18 * 60_000
  expect((await begin('c', 'x')).tokens).toBe(10)
  clock.ms = 29 * 60_000
  expect((await begin('d', 'x')).tokens).toBe(0)
  expect(freed).toEqual(['a'])
})
