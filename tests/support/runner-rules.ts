/** The rules of `SpanRunner` that other parts rely on, tried on a real runner: each broken rule is one line. */
import { SwarmError } from '../../swarm/errors.ts'
import type { LogitsRow, SpanRunner, StepInput } from '../../swarm/span-runner.ts'
import type { ModelFiles } from '../reference/model-files.ts'
import { bitsThatDiffer, ok, type SpanChain } from './span-chain.ts'

const [A, B, C] = ['a', 'b', 'c'].map((digit) => digit.repeat(32)) as [string, string, string]

/** One runner of the whole model, f32 weights. */
export type MakeChain = (model: ModelFiles, cacheTokens: number) => Promise<SpanChain>

export async function runnerRules(make: MakeChain, model: ModelFiles): Promise<string[]> {
  const broken: string[] = []
  const expect = (rule: string, holds: boolean): void => void (holds || broken.push(rule))
  const { config } = model
  const blocks = config.numHiddenLayers
  const chain = await make(model, 100)
  const runner = chain.runners[0]!
  const whole = { start: 0, end: blocks }
  const code = async (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'none',
      (error: unknown) => (error instanceof SwarmError ? error.code : String(error)),
    )
  const tokens = (session: string, position: number, ids: number[], topK = 0): StepInput => ({
    session,
    position,
    rows: ids.length,
    tokens: Uint32Array.from(ids),
    logits: { topK },
  })
  const stepCode = async (input: StepInput): Promise<string> => {
    const [output] = await runner.step([input])
    return output !== undefined && 'error' in output ? output.error.code : 'none'
  }

  expect(
    'a session within the budget opens',
    (await code(runner.openSession({ session: A, span: whole, maxTokens: 60 }))) === 'none',
  )
  expect(
    'a second of the same id is refused',
    (await code(runner.openSession({ session: A, span: whole, maxTokens: 1 }))) === 'BUSY',
  )
  expect(
    'one past the budget is refused',
    (await code(runner.openSession({ session: B, span: whole, maxTokens: 41 }))) === 'CACHE_FULL',
  )
  expect('a refused session takes nothing', runner.status().cacheTokensLeft === 40 && runner.status().sessions === 1)
  expect(
    'a part of the span opens',
    (await code(runner.openSession({ session: B, span: { start: 2, end: 4 }, maxTokens: 30 }))) === 'none',
  )
  expect('it costs its blocks only', runner.status().cacheTokensLeft === Math.floor((40 * blocks - 30 * 2) / blocks))
  expect(
    'a span past the end is refused',
    (await code(runner.openSession({ session: C, span: { start: 4, end: blocks + 1 }, maxTokens: 1 }))) === 'NO_ROUTE',
  )
  expect(
    'a context past the model is refused',
    (await code(runner.openSession({ session: C, span: whole, maxTokens: 257 }))) === 'CONTEXT_FULL',
  )

  expect('an unknown session is refused', (await stepCode(tokens(C, 0, [1]))) === 'NO_SESSION')
  expect('a wrong position is refused', (await stepCode(tokens(A, 1, [1]))) === 'WRONG_POSITION')
  expect(
    'a token past the vocabulary is refused',
    (await stepCode(tokens(A, 0, [1, config.vocabSize]))) === 'BAD_TOKEN_ID',
  )
  expect(
    'more rows than the cache are refused',
    (await stepCode(
      tokens(
        A,
        0,
        Array.from({ length: 61 }, () => 1),
      ),
    )) === 'CACHE_FULL',
  )
  expect(
    'hidden states at block 0 are refused',
    (await stepCode({ session: A, position: 0, rows: 1, hidden: new Float32Array(config.hiddenSize) })) === 'BAD_FRAME',
  )
  const hidden = new Float32Array(2 * config.hiddenSize).fill(0.1)
  expect(
    'logits of a span without the head are refused',
    (await stepCode({ session: B, position: 0, rows: 2, hidden: hidden.slice(), logits: { topK: 1 } })) === 'BAD_FRAME',
  )
  expect(
    'too few hidden states are refused',
    (await stepCode({ session: B, position: 0, rows: 3, hidden: hidden.slice() })) === 'BAD_FRAME',
  )
  expect(
    'NaN is refused',
    (await stepCode({ session: B, position: 0, rows: 2, hidden: hidden.with(5, NaN) })) === 'NOT_FINITE',
  )

  await batchRules(runner, expect, tokens, hidden)
  await chain.dispose()
  expect('values that overflow inside are a failure', (await overflow(make, model)) === 'NOT_FINITE')
  expect('a disposed runner takes nothing', (await code(runner.step([tokens(A, 0, [1])]))) === 'GPU_LOST')
  return broken
}

async function batchRules(
  runner: SpanRunner,
  expect: (rule: string, holds: boolean) => void,
  tokens: (session: string, position: number, ids: number[], topK?: number) => StepInput,
  hidden: Float32Array,
): Promise<void> {
  const ids = [3, 1, 4, 1, 5, 9, 2, 6]
  const [first, failed, second] = await runner.step([
    tokens(A, 0, ids),
    tokens(C, 0, ids),
    { session: B, position: 0, rows: 2, hidden: hidden.slice() },
  ])
  const row = ok(first).logits!
  expect(
    'one failure leaves the batch alone',
    failed !== undefined && 'error' in failed && ok(second).hidden?.length === hidden.length,
  )
  expect(
    'all logits come, best first',
    row.ids.length === row.vocabSize && row.values.every((v, i) => i === 0 || v <= row.values[i - 1]!),
  )
  const sum = row.values.reduce((total, value) => total + Math.exp(value - row.values[0]!), 0)
  expect('the log-sum-exp is over all of them', Math.abs(row.logSumExp - row.values[0]! - Math.log(sum)) < 1e-5)
  const again = await runner.lastLogits(A, { topK: 5 })
  expect(
    'the last logits come again',
    again.ids.join() === row.ids.slice(0, 5).join() && Math.abs(again.logSumExp - row.logSumExp) < 1e-5,
  )

  await runner.truncateSession(A, 3)
  const [longer] = await Promise.allSettled([runner.truncateSession(A, 4)])
  expect('cutting to more than there is is refused', longer?.status === 'rejected')
  const [replayed] = await runner.step([tokens(A, 3, ids.slice(3))])
  expect('a cut session continues with the same bits', bitsThatDiffer(ok(replayed).logits!, row) === 0)

  await severalRows(runner, expect, tokens, row)

  const before = runner.status().cacheTokensLeft
  await runner.closeSession(A)
  await runner.closeSession(A)
  expect('closing gives the budget back once', runner.status().cacheTokensLeft === before + 60)
  await runner.openSession({ session: A, span: runner.span, maxTokens: 60 })
  const [fresh] = await runner.step([tokens(A, 0, ids)])
  expect('a fresh session gives the same bits', bitsThatDiffer(ok(fresh).logits!, row) === 0)
  const [silent] = await runner.step([{ session: A, position: 8, rows: 2, tokens: Uint32Array.of(5, 3) }])
  expect(
    'a prefill chunk without logits returns nothing',
    ok(silent).logits === undefined && ok(silent).hidden === undefined,
  )
}

/** Session A has run `ids` of 8 tokens, `row` after the last. Leaves it so. */
async function severalRows(
  runner: SpanRunner,
  expect: (rule: string, holds: boolean) => void,
  tokens: (session: string, position: number, ids: number[], topK?: number) => StepInput,
  row: LogitsRow,
): Promise<void> {
  const K = 40
  const guesses = [7, 7, 2, 9, 30, 31, 32, 33, 34, 35, 36, 37]
  const alone: LogitsRow[] = []
  for (const [i, id] of guesses.entries()) {
    alone.push(ok((await runner.step([{ ...tokens(A, 8 + i, [id], K) }]))[0]).logits!)
  }
  const asked = (position: number, ids: number[], rows: number): StepInput => ({
    ...tokens(A, position, ids),
    cut: true,
    logits: { topK: K, rows },
  })
  const all = ok((await runner.step([asked(8, guesses, guesses.length)]))[0])
  const same = (found: LogitsRow[], wanted: LogitsRow[]): boolean =>
    found.length === wanted.length && found.every((each, i) => sameBest(each, wanted[i]!))
  expect('all rows of a step have the bits of single steps', same([...all.earlierLogits!, all.logits!], alone))
  const [again] = [await runner.lastLogits(A, { topK: K })]
  expect('the last logits are those of the last row', sameBest(again, alone.at(-1)!))

  const wrong = ok((await runner.step([asked(9, [1, 1, 1, 1], 2)]))[0])
  expect('only the rows asked for come', wrong.earlierLogits?.length === 1)
  const right = ok((await runner.step([asked(9, guesses.slice(1, 4), 3)]))[0])
  expect('a step that cuts forgets what was guessed', same([...right.earlierLogits!, right.logits!], alone.slice(1, 4)))
  const stays = ok((await runner.step([{ ...asked(12, [30], 1) }]))[0])
  expect('a step may say that it cuts and cut nothing', sameBest(stays.logits!, alone[4]!))

  const refused = [
    asked(14, [1], 1),
    asked(13, [1, 2], 3),
    asked(13, [1, 2], 0),
    { ...asked(13, [1, 2], 2), logits: { topK: 0, rows: 2 } },
    asked(
      13,
      Array.from({ length: 17 }, () => 1),
      17,
    ),
    { ...tokens(A, 12, [1]) },
  ]
  const codes: string[] = []
  for (const input of refused) {
    const output = (await runner.step([input]))[0]!
    codes.push('error' in output ? output.error.code : 'none')
  }
  const bad = 'BAD_FRAME'
  expect(
    'steps past the limits of several rows are refused',
    codes.join() === ['WRONG_POSITION', bad, bad, bad, bad, 'WRONG_POSITION'].join(),
  )
  const next = ok((await runner.step([asked(13, [31], 1)]))[0])
  expect('a refused step leaves the session as it was', sameBest(next.logits!, alone[5]!))
  const back = ok((await runner.step([{ ...tokens(A, 7, [6]), cut: true }]))[0])
  expect('back to where it began, with the same bits', bitsThatDiffer(back.logits!, row) === 0)
}

function sameBest(a: LogitsRow, b: LogitsRow): boolean {
  return a.ids.join() === b.ids.join() && a.values.every((value, i) => Object.is(value, b.values[i]))
}

/** The code of a step through a model one of whose matrices holds the largest bf16 everywhere. */
async function overflow(make: MakeChain, model: ModelFiles): Promise<string> {
  const name = 'model.layers.3.mlp.down_proj.weight'
  const tensor = model.tensors.get(name)!
  const bytes = tensor.bytes.map(() => 0x7f)
  const tensors = new Map(model.tensors).set(name, { ...tensor, bytes })
  const chain = await make({ ...model, tensors }, 8)
  const runner = chain.runners[0]!
  await runner.openSession({ session: A, span: { start: 0, end: 4 }, maxTokens: 8 })
  const [output] = await runner.step([{ session: A, position: 0, rows: 2, tokens: Uint32Array.of(1, 2) }])
  await chain.dispose()
  return output !== undefined && 'error' in output ? output.error.code : 'none'
}
