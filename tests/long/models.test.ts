/** The SmolLM2 cases that `tests/e2e/models.test.ts` leaves out: longer ones, and those with a near tie on the way. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  checkRows,
  readReferences,
  startModel,
  type References,
  type RunningModel,
} from '../support/reference-cases.ts'
import { makeSmolLm2, SHORT_SMOLLM2_CASES, SMOLLM2, SMOLLM2_SOURCE, WHY_SKIPPED } from '../support/smollm2.ts'

const CASES = [0, 2, 4, 5, 6, 7]

describe.skipIf(SMOLLM2_SOURCE === null)(
  `SmolLM2 over four tabs${SMOLLM2_SOURCE === null ? ` (skipped: ${WHY_SKIPPED})` : ''}`,
  () => {
    let model: RunningModel | undefined
    let references: References
    beforeAll(async () => {
      references = await readReferences(SMOLLM2_SOURCE as string)
      model = await startModel(['--models-dir', makeSmolLm2(), '--model', SMOLLM2])
    })
    afterAll(() => model?.stop())

    test('with the short ones these are all', () => {
      const all = [...CASES, ...SHORT_SMOLLM2_CASES].toSorted((a, b) => a - b)
      expect(all).toEqual(references.cases.map((_, index) => index))
    })

    test.each(CASES)('rows of logits of case %i', async (index) => {
      await checkRows((model as RunningModel).client, references, index)
    })
  },
)
