/** The plain reference against logits and greedy ids of an independent implementation, for every fixture. */
import { describe, expect, it } from 'vitest'
import type { StepOutput } from '../../../swarm/span-runner.ts'
import type { FixtureReference } from '../../reference/fixtures.ts'
import { fixtureFolder, fixtureFrequencies, FIXTURES } from '../../reference/fixtures.ts'
import { allF32, asF32, readJson, readModel, readSafetensors } from '../../reference/model-files.ts'
import { readRepositoryFile } from '../../reference/node-files.ts'
import { createReferenceRunner } from '../../reference/runner.ts'

const session = 'a'.repeat(32)

describe.each(FIXTURES)('reference runner on %s', (name) => {
  it('gives the logits of every position and the greedy ids', async () => {
    const folder = fixtureFolder(name)
    const { config, tensors } = await readModel(readRepositoryFile, folder)
    const { input_ids: ids, greedy } = (await readJson(
      readRepositoryFile,
      `${folder}/reference.json`,
    )) as FixtureReference
    const expected = asF32(
      (await readSafetensors(readRepositoryFile, `${folder}/reference.safetensors`)).get('logits')!,
    )
    const span = { start: 0, end: config.numHiddenLayers }
    const runner = createReferenceRunner(config, allF32(tensors), span, {
      cacheTokens: 64,
      frequencies: fixtureFrequencies(config, name),
    })
    await runner.openSession({ session, span, maxTokens: 64 })
    const found: number[] = []
    let worst = 0
    for (let position = 0; position < ids.length + greedy.length - 1; position += 1) {
      const token = ids[position] ?? found.at(-1)!
      const [output] = await runner.step([
        { session, position, rows: 1, tokens: Uint32Array.of(token), logits: { topK: 0 } },
      ])
      const { logits } = output as StepOutput
      logits!.ids.forEach((id, i) => {
        if (position < ids.length) {
          worst = Math.max(worst, Math.abs(expected[position * config.vocabSize + id]! - logits!.values[i]!))
        }
      })
      if (position >= ids.length - 1) found.push(logits!.ids[0]!)
    }
    expect(worst).toBeLessThan(1e-4)
    expect(found).toEqual(greedy)
  })
})
