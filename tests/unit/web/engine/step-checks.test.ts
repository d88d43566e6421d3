/** What of a step is refused, with which code, just inside and just outside each limit. */
import { expect, it } from 'vitest'
import { MAX_LOGITS_ROWS, MAX_STEP_ROWS, MAX_TOP_K } from '../../../../swarm/limits.ts'
import type { LlamaConfig } from '../../../../swarm/model/config.ts'
import type { StepInput } from '../../../../swarm/span-runner.ts'
import { checkStep } from '../../../../web/engine/step-checks.ts'

const config = { hiddenSize: 3, vocabSize: 10, numHiddenLayers: 4 } as LlamaConfig
const first = { span: { start: 0, end: 2 }, maxTokens: 600, length: 5 }
const last = { span: { start: 2, end: 4 }, maxTokens: 600, length: 5 }
const whole = { span: { start: 0, end: 4 }, maxTokens: 600, length: 5 }
const tokens = (rows: number, extra: Partial<StepInput> = {}): StepInput => ({
  session: 's',
  position: 5,
  rows,
  tokens: new Uint32Array(rows).fill(9),
  ...extra,
})
const hidden = (values: number[]): StepInput => ({
  session: 's',
  position: 5,
  rows: 1,
  hidden: Float32Array.from(values),
})

it('takes what is within the limits', () => {
  expect(checkStep(tokens(MAX_STEP_ROWS), first, config)).toHaveProperty('tokens')
  expect(checkStep(tokens(595 - MAX_STEP_ROWS, { position: 5 }), first, config)).toHaveProperty('tokens')
  expect(checkStep({ ...hidden([1, -3e38, 0]), logits: { topK: 1 } }, last, config)).toHaveProperty('hidden')
  expect(checkStep(tokens(2, { position: 0, cut: true }), first, config)).toHaveProperty('tokens')
  expect(checkStep(tokens(2, { cut: true }), first, config)).toHaveProperty('tokens')
  for (const rows of [1, MAX_LOGITS_ROWS]) {
    const logits = { topK: MAX_TOP_K, rows }
    expect(checkStep(tokens(MAX_LOGITS_ROWS, { logits }), whole, config)).toHaveProperty('tokens')
  }
})

it.each([
  ['BAD_FRAME', tokens(0), first],
  ['BAD_FRAME', tokens(MAX_STEP_ROWS + 1), first],
  ['BAD_FRAME', { ...tokens(2), rows: 1.5 }, first],
  ['WRONG_POSITION', tokens(1, { position: 4 }), first],
  ['WRONG_POSITION', tokens(1, { position: 6 }), first],
  ['WRONG_POSITION', tokens(1, { position: 6, cut: true }), first],
  ['WRONG_POSITION', tokens(1, { position: NaN, cut: true }), first],
  ['BAD_FRAME', tokens(3, { logits: { topK: 1, rows: 4 } }), whole],
  ['BAD_FRAME', tokens(3, { logits: { topK: 1, rows: 0 } }), whole],
  ['BAD_FRAME', tokens(3, { logits: { topK: 1, rows: 1.5 } }), whole],
  ['BAD_FRAME', tokens(MAX_LOGITS_ROWS + 1, { logits: { topK: 1, rows: MAX_LOGITS_ROWS + 1 } }), whole],
  ['BAD_FRAME', tokens(3, { logits: { topK: 0, rows: 2 } }), whole],
  ['BAD_FRAME', tokens(3, { logits: { topK: MAX_TOP_K + 1, rows: 2 } }), whole],
  ['CACHE_FULL', tokens(2), { ...first, maxTokens: 6 }],
  ['BAD_TOKEN_ID', tokens(1, { tokens: Uint32Array.of(10) }), first],
  ['BAD_FRAME', tokens(2, { tokens: Uint32Array.of(1) }), first],
  ['BAD_FRAME', tokens(1, { logits: { topK: 1 } }), first],
  ['BAD_FRAME', hidden([1, 2, 3]), first],
  ['BAD_FRAME', tokens(1), last],
  ['BAD_FRAME', hidden([1, 2]), last],
  ['NOT_FINITE', hidden([1, NaN, 2]), last],
  ['NOT_FINITE', hidden([1, 2, -Infinity]), last],
] as const)('refuses with %s: case %#', (code, input, session) => {
  expect(() => checkStep(input, session, config)).toThrowError(expect.objectContaining({ code }))
})
