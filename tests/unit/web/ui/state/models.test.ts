import { describe, expect, test, vi } from 'vitest'
import { SwarmError } from '../../../../../swarm/errors.ts'
import { createModels, modelKey } from '../../../../../web/ui/state/models.ts'
import { createSwarmState } from '../../../../../web/ui/state/swarm.ts'
import { fakeRecord, fakeSnapshot, FakePrompts, FakeSwarm, TINYTALES } from '../../../../e2e/harness/fakes.ts'

function bench(options: { wanted?: string; openError?: SwarmError } = {}) {
  const port = new FakeSwarm(fakeSnapshot([fakeRecord(0, { start: 0, end: 4 })]))
  const prompts = new FakePrompts({
    play: () => [],
    ...(options.openError === undefined ? {} : { openError: options.openError }),
  })
  const models = createModels({
    offers: [TINYTALES],
    wanted: options.wanted ?? null,
    hubUrl: 'https://hub.example',
    prompts,
    swarm: createSwarmState(port),
  })
  return { models, port, prompts }
}

describe('the model picker', () => {
  test('offers what the relay offers, the first chosen, with its coverage', () => {
    const { models } = bench()
    expect(models.chosen.peek()).toBe(TINYTALES)
    expect(models.coverage(TINYTALES)).toMatchObject({ covered: 4, missing: [4, 5, 6, 7] })
  })

  test('a model that the link names is chosen: an offer by name, another from the page’s hub', () => {
    expect(bench({ wanted: 'tinytales' }).models.chosen.peek()).toBe(TINYTALES)
    expect(bench({ wanted: 'org/llama@v2' }).models.chosen.peek()).toMatchObject({
      repo: 'org/llama',
      revision: 'v2',
      hubUrl: 'https://hub.example',
      source: 'named',
    })
  })

  test('adds models that somebody serves', () => {
    const { models, port } = bench()
    const record = fakeRecord(1, { start: 0, end: 2 })
    port.set({
      ...port.snapshot(),
      models: [{ repo: 'org/other', revision: 'a'.repeat(40), digest: 'x', blocks: 2, records: [record] }],
    })
    expect(models.choices.peek().map(({ repo }) => repo)).toEqual(['tinytales', 'org/other'])
    expect(models.coverage(models.choices.peek()[1] ?? TINYTALES)?.covered).toBe(2)
  })

  test('another choice forgets what was loaded of the last one', async () => {
    const { models } = bench()
    await models.prepare()
    expect(models.opened.peek()?.ref.repo).toBe('tinytales')
    models.name('org/llama')
    expect(models.opened.peek()).toBeNull()
    models.choose(modelKey(TINYTALES))
    expect(models.chosen.peek()).toBe(TINYTALES)
  })

  test('says why the files could not be read, and reads them again when asked again', async () => {
    const { models, prompts } = bench({ openError: new SwarmError('HUB_GATED', 'status 403') })
    const open = vi.spyOn(prompts, 'open')
    await models.prepare()
    expect(models.problem.peek()?.code).toBe('HUB_GATED')
    await models.prepare()
    expect(open).toHaveBeenCalledTimes(2)
  })
})
