import { expect, it } from 'vitest'
import { PreparedStep, type Submit } from '../../../../web/engine/prepared-step.ts'

const SPLIT = 128
const splitsAt = (position: number): number => Math.ceil((position + 1) / SPLIT)

/** One row of each session at its position, in that order. */
function tokens(sessions: Readonly<Record<string, number>>, more: Partial<Submit<string>> = {}): Submit<string> {
  const parts = Object.entries(sessions).map(([plan, position], first) => {
    return { plan, step: { rows: 1, position, splits: splitsAt(position), first } }
  })
  return { span: { start: 0, end: 4 }, start: 0, end: 4, rows: parts.length, parts, readHidden: true, ...more }
}

/** What was encoded for each submit: null where it had to be encoded when it came. */
function taken(submits: readonly Submit<string>[]): { taken: (string | null)[]; encoded: string[] } {
  const prepared = new PreparedStep<string, string>()
  const encoded: string[] = []
  const nameOf = ({ parts }: Submit<string>): string =>
    parts.map(({ plan, step }) => `${plan}${step.position}/${step.splits}@${step.first}`).join(' ')
  const found = submits.map((submit) => {
    const commands = prepared.take(submit)
    prepared.prepare(submit, splitsAt, (next) => {
      encoded.push(nameOf(next))
      return nameOf(next)
    })
    return commands
  })
  return { taken: found, encoded }
}

it('the token after two that followed each other is there when it comes', () => {
  const run = taken([5, 6, 7, 8].map((a) => tokens({ a })))
  expect(run.taken).toEqual([null, null, 'a7/1@0', 'a8/1@0'])
})

it('of several sessions, each at its own position, over the end of a split of attention', () => {
  const run = taken([0, 1, 2].map((i) => tokens({ a: 125 + i, b: 40 + i })))
  expect(run.taken).toEqual([null, null, 'a127/1@0 b42/1@1'])
  expect(run.encoded.at(-1)).toBe('a128/2@0 b43/1@1')
})

it.each([
  ['another session', [tokens({ a: 5 }), tokens({ a: 6 }), tokens({ b: 7 })]],
  ['one more session', [tokens({ a: 5 }), tokens({ a: 6 }), tokens({ a: 7, b: 0 })]],
  ['the sessions in another order', [tokens({ a: 5, b: 5 }), tokens({ a: 6, b: 6 }), tokens({ b: 7, a: 7 })]],
  ['another position', [tokens({ a: 5 }), tokens({ a: 6 }), tokens({ a: 9 })]],
  ['a step run again', [tokens({ a: 5 }), tokens({ a: 6 }), tokens({ a: 6 })]],
  ['hidden states that nobody reads', [tokens({ a: 5 }), tokens({ a: 6 }), tokens({ a: 7 }, { readHidden: false })]],
  ['a part of the blocks', [tokens({ a: 5 }), tokens({ a: 6 }), tokens({ a: 7 }, { end: 2 })]],
  ['another span', [tokens({ a: 5 }), tokens({ a: 6 }), tokens({ a: 7 }, { span: { start: 0, end: 2 }, end: 2 })]],
])('%s does not get what was prepared', (_what, submits) => {
  const run = taken(submits)
  expect(run.encoded).toHaveLength(1)
  expect(run.taken.at(-1)).toBeNull()
})

it('a prefill prepares nothing, and nothing is prepared where sessions come and go', () => {
  const chunk = tokens(
    { a: 0 },
    { rows: 8, parts: [{ plan: 'a', step: { rows: 8, position: 0, splits: 1, first: 0 } }] },
  )
  expect(taken([chunk, tokens({ a: 8 })]).encoded).toEqual([])
  expect(taken([tokens({ a: 5 }), tokens({ a: 6, b: 1 }), tokens({ a: 7 }), tokens({ b: 2 })]).encoded).toEqual([])
})

it('commands are given once, and none that were made of something else', () => {
  const prepared = new PreparedStep<string, string>()
  for (const a of [5, 6]) {
    prepared.take(tokens({ a }))
    prepared.prepare(tokens({ a }), splitsAt, () => 'made')
  }
  expect(prepared.take(tokens({ a: 7 }))).toBe('made')
  expect(prepared.take(tokens({ a: 7 }))).toBeNull()
  for (const a of [8, 9]) prepared.prepare(tokens({ a }), splitsAt, () => 'made')
  prepared.forget()
  expect(prepared.take(tokens({ a: 10 }))).toBeNull()
})
