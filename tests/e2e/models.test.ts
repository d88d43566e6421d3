/**
 * The whole path in real Chromium against the references of an independent implementation: relay, four tabs, and either a
 * client that reads whole rows of logits or `tabswarm prompt` itself. The other SmolLM2 cases are in `tests/long`.
 */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { REPO_ROOT, runTabswarm } from '../support/processes.ts'
import {
  checkAnswer,
  checkPrompt,
  checkRows,
  readReferences,
  startModel,
  type References,
  type RunningModel,
} from '../support/reference-cases.ts'
import { makeSmolLm2, SHORT_SMOLLM2_CASES, SMOLLM2, SMOLLM2_SOURCE, WHY_SKIPPED } from '../support/smollm2.ts'
import { tinytalesCase, tinytalesCases, type PromptAnswer, type ReferenceCase } from '../support/swarm.ts'

const STARTING_MS = 420_000
const CASE_MS = 400_000

describe('the embedded model over four tabs, with f32 weights', () => {
  let model: RunningModel | undefined
  let references: References
  beforeAll(async () => {
    references = await readReferences(join(REPO_ROOT, 'tests/fixtures/models/tinytales'))
    model = await startModel(['--weights', 'f32'])
  }, STARTING_MS)
  afterAll(() => model?.stop())

  test.each(tinytalesCases().map((reference, index) => ({ ...reference, index })))(
    '$kind: $prompt',
    async ({ index }) => checkRows((model as RunningModel).client, references, index),
    CASE_MS,
  )
})

test.each(['f16', 'int4'])(
  'the embedded model with %s weights says the same',
  async (weights) => {
    const reference = tinytalesCase('What is the capital of Korea?')
    const args = ['start', '--weights', weights, '--prompt', reference.prompt, '--temperature', '0', '--json']
    const { code, stdout, stderr } = await runTabswarm(args, { timeoutMs: CASE_MS })
    expect(code, stderr).toBe(0)
    const answer = JSON.parse(stdout) as PromptAnswer
    expect(answer.weights).toBe(weights)
    checkAnswer(answer, reference)
  },
  CASE_MS,
)

describe.skipIf(SMOLLM2_SOURCE === null)(
  `SmolLM2 over four tabs${SMOLLM2_SOURCE === null ? ` (skipped: ${WHY_SKIPPED})` : ''}`,
  () => {
    let model: RunningModel | undefined
    let references: References
    beforeAll(async () => {
      references = await readReferences(SMOLLM2_SOURCE as string)
      model = await startModel(['--models-dir', makeSmolLm2(), '--model', SMOLLM2])
    }, STARTING_MS)
    afterAll(() => model?.stop())

    test.each(SHORT_SMOLLM2_CASES)(
      'rows of logits of case %i',
      async (index) => checkRows((model as RunningModel).client, references, index),
      CASE_MS,
    )

    test.each(SHORT_SMOLLM2_CASES)(
      '`prompt` says what case %i says',
      async (index) => {
        const answer = await checkPrompt(model as RunningModel, references.cases[index] as ReferenceCase)
        expect(answer.weights).toBe('f32')
        expect(answer.route.map(({ start }) => start)).toEqual([0, ...answer.route.slice(0, -1).map(({ end }) => end)])
        expect(answer.route.at(-1)?.end).toBe(30)
      },
      CASE_MS,
    )
  },
)
