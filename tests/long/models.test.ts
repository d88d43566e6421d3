/**
 * The whole path in real Chromium against the references of an independent implementation: relay, four tabs, and a client
 * that reads whole rows of logits. For each case: the prompt's last logits within 2e-3; the greedy ids as far as the
 * reference itself is firm; then the reference's ids are fed, and each next one lies within 0.02 of our best logit.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { asF32, readSafetensors, type RawTensor } from '../reference/model-files.ts'
import { makeTempDir, removeTempDir, REPO_ROOT, startTabswarm, type StartedProcess } from '../support/processes.ts'
import { argmax, joinSwarm, type RouteClient } from '../support/route-client.ts'
import { makeSmolLm2, SMOLLM2, SMOLLM2_SOURCE, WHY_SKIPPED } from '../support/smollm2.ts'
import { freePort, tinytalesCases, type ReferenceCase } from '../support/swarm.ts'

const LOGIT_TOLERANCE = 2e-3
const NEAR_BEST = 0.02

interface RunningModel {
  start: StartedProcess
  client: RouteClient
  dataDir: string
}

async function startModel(args: readonly string[]): Promise<RunningModel> {
  const dataDir = makeTempDir('models')
  const start = startTabswarm(['start', '--port', String(await freePort()), '--tabs', '4', ...args], { dataDir })
  const page = /^Page:\s+(\S+)/.exec(await start.waitForLine(/^Page:/, 220_000))?.[1] as string
  await start.waitForLine(/^Ready:/, 60_000)
  return { start, client: await joinSwarm(page), dataDir }
}

async function stopModel(model: RunningModel | undefined): Promise<void> {
  if (model === undefined) return
  await model.client.stop()
  await model.start.stop()
  removeTempDir(model.dataDir)
}

async function readReference(path: string): Promise<Map<string, RawTensor>> {
  return readSafetensors(async (file) => readFileSync(file), path)
}

async function checkCase(client: RouteClient, reference: ReferenceCase, lastLogits: Float32Array): Promise<void> {
  const run = await client.start(reference.input_ids, reference.input_ids.length + reference.greedy.length)
  try {
    expect(run.hops).toHaveLength(4)
    expect(new Set(run.hops.map((hop) => hop.peerId)).size).toBe(4)
    const worst = lastLogits.reduce(
      (most, value, id) => Math.max(most, Math.abs(value - (run.logits[id] as number))),
      0,
    )
    expect(worst).toBeLessThanOrEqual(LOGIT_TOLERANCE)
    for (const [index, id] of reference.greedy.entries()) {
      const best = argmax(run.logits)
      if (index < reference.steps_before_a_near_tie) expect(best, `greedy id ${index}`).toBe(id)
      else
        expect(
          (run.logits[best] as number) - (run.logits[id] as number),
          `id ${index} is near our best`,
        ).toBeLessThanOrEqual(NEAR_BEST)
      if (index + 1 < reference.greedy.length) await run.feed(id)
    }
  } finally {
    await run.close()
  }
}

describe('the embedded model over four tabs', () => {
  const cases = tinytalesCases()
  let model: RunningModel | undefined
  let references: Map<string, RawTensor>
  beforeAll(async () => {
    references = await readReference(join(REPO_ROOT, 'tests/fixtures/models/tinytales/reference.safetensors'))
    model = await startModel([])
  })
  afterAll(() => stopModel(model))

  test.each(cases.map((reference, index) => ({ reference, index, prompt: reference.prompt })))(
    '$reference.kind: $prompt',
    async ({ reference, index }) => {
      await checkCase(
        (model as RunningModel).client,
        reference,
        asF32(references.get(`${index}.prompt_last_logits`) as RawTensor),
      )
    },
  )
})

const SMOLLM2_CASES = [0, 1, 2, 3, 4, 5, 6, 7]

describe.skipIf(SMOLLM2_SOURCE === null)(
  `SmolLM2 over four tabs${SMOLLM2_SOURCE === null ? ` (skipped: ${WHY_SKIPPED})` : ''}`,
  () => {
    let model: RunningModel | undefined
    let references: Map<string, RawTensor>
    let cases: ReferenceCase[]
    beforeAll(async () => {
      const modelsDir = makeSmolLm2()
      references = await readReference(join(SMOLLM2_SOURCE as string, 'reference.safetensors'))
      cases = JSON.parse(readFileSync(join(SMOLLM2_SOURCE as string, 'reference.json'), 'utf8')) as ReferenceCase[]
      model = await startModel(['--models-dir', modelsDir, '--model', SMOLLM2])
    })
    afterAll(() => stopModel(model))

    test.each(SMOLLM2_CASES)('case %i of its references', async (index) => {
      await checkCase(
        (model as RunningModel).client,
        cases[index] as ReferenceCase,
        asF32(references.get(`${index}.prompt_last_logits`) as RawTensor),
      )
    })
  },
)
