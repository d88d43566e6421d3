/** SmolLM2-135M-Instruct through `createSpanRunner` over four spans, where its files are; counted as skipped elsewhere. */
import { dirname } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeSmolLm2, SMOLLM2, SMOLLM2_SOURCE } from '../support/smollm2.ts'
import { OpenLab } from './open-lab.ts'

describe.skipIf(SMOLLM2_SOURCE === null)(SMOLLM2, () => {
  let lab: OpenLab
  let folder: string
  beforeAll(async () => {
    const models = makeSmolLm2()
    folder = `@fs${models}/${SMOLLM2}`
    lab = await OpenLab.start([models, dirname(SMOLLM2_SOURCE as string)])
  })
  afterAll(async () => {
    await lab?.close()
  })

  it('prompt logits and the first greedy ids, f32 weights, 30 blocks in four spans', async () => {
    const [result] = await lab.call('trained', {
      folder,
      references: `@fs${SMOLLM2_SOURCE as string}`,
      format: 'f32',
      cuts: [8, 16, 24],
      cases: 1,
      tokens: 8,
    })
    expect(result!.promptDelta).toBeLessThanOrEqual(1e-3)
    expect(result!.behindBest.slice(0, result!.exactSteps).every((gap) => gap === 0)).toBe(true)
    console.log(`SmolLM2, one token through 30 blocks and head: ${result!.decodeMs.toFixed(0)} ms`)
  })
})
