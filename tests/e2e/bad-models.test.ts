/**
 * Models that cannot be run: refused with the reason on the command line (by the config alone before a browser is started)
 * and on the page, and never announced.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BAD_CONFIGS, BAD_VALUES, BAD_WEIGHTS, type BadModel } from '../support/bad-models.ts'
import { launchChromium } from '../support/browser.ts'
import { startHubStandIn, type HubStandIn } from '../support/hub-stand-in.ts'
import { makeTempDir, removeTempDir, runTabswarm } from '../support/processes.ts'
import { watchOnline, type RecordWatch } from '../support/record-watch.ts'
import { TestSwarm } from '../support/swarm.ts'

const ALL = [...BAD_CONFIGS, ...BAD_WEIGHTS, ...BAD_VALUES]

let folder: string
let hub: HubStandIn
let swarm: TestSwarm
let online: RecordWatch

beforeAll(async () => {
  folder = makeTempDir('bad-models')
  for (const { name, write } of ALL) {
    mkdirSync(join(folder, 'bad', name), { recursive: true })
    write(join(folder, 'bad', name))
  }
  hub = await startHubStandIn({
    models: Object.fromEntries(ALL.map(({ name }) => [`bad/${name}`, join(folder, 'bad', name)])),
  })
  swarm = new TestSwarm()
  await swarm.relay(['--hub-url', hub.url])
  online = await watchOnline(swarm.addresses[0] as string)
})
afterAll(async () => {
  const served = online?.peers() ?? []
  await online?.stop()
  await swarm?.stop()
  await hub.close()
  removeTempDir(folder)
  expect(served, 'peers that announced a model that cannot be run').toEqual([])
})

function expectSaid(text: string, { says }: BadModel): void {
  if (typeof says === 'string') expect(text).toContain(says)
  else expect(text).toMatch(says)
  expect(text).not.toMatch(/^\s+at /m)
}

async function run(command: string, model: BadModel, args: readonly string[]) {
  const relay = ['--dht_initial_peers', swarm.addresses[0] as string]
  return await runTabswarm([command, '--model', `bad/${model.name}`, ...relay, ...args], { timeoutMs: 120_000 })
}

describe.concurrent('donate, from a models folder: by its config, before a browser is started', () => {
  // The others are tried on the page, where each takes half a second.
  const some = ['not-json', 'a-list', 'no-hidden-size', 'huge-vocab', 'qwen', 'nested', 'quantised', 'rope-dynamic']
  test.each(BAD_CONFIGS.filter(({ name }) => some.includes(name)))('$name', async (model) => {
    const { code, stderr, stdout } = await run('donate', model, ['--models-dir', folder])
    expectSaid(stderr, model)
    expect(stderr).not.toContain('Starting')
    expect([code, stdout]).toEqual([1, ''])
  })
})

describe.concurrent('prompt and start, from a hub', () => {
  const some = BAD_CONFIGS.filter(({ name }) => ['not-json', 'quantised', 'rope-yarn'].includes(name))
  test.each(some)('prompt: $name', async (model) => {
    const { code, stderr } = await run('prompt', model, ['--hub-url', hub.url, '--prompt-ids', '1'])
    expectSaid(stderr, model)
    expect(code).toBe(1)
  })

  test.each(some)('start: $name', async (model) => {
    const args = ['start', '--model', `bad/${model.name}`, '--hub-url', hub.url, '--port', '0', '--prompt-ids', '1']
    const { code, stderr } = await runTabswarm(args)
    expectSaid(stderr, model)
    expect(code).toBe(1)
  })
})

describe('donate, by its weights', () => {
  const some = ['truncated', 'missing', 'nan-norm']
  test.each(ALL.filter(({ name }) => some.includes(name)))('$name', async (model) => {
    const { code, stderr, stdout } = await run('donate', model, ['--models-dir', folder])
    expectSaid(`${stdout}\n${stderr}`, model)
    expect(stdout).not.toContain('server ready')
    expect(code).toBe(1)
  })
})

describe('the donate view', () => {
  let browser: Browser
  let page: Page
  beforeAll(async () => {
    browser = await launchChromium()
    page = await (await browser.newContext({ locale: 'en-US' })).newPage()
  })
  afterAll(() => browser?.close())

  test.each([...BAD_CONFIGS, ...BAD_WEIGHTS, ...BAD_VALUES])('$name', async (model) => {
    await page.goto(`http://127.0.0.1:${swarm.ports[0]}/?donate&backend=webgpu&model=bad/${model.name}`)
    const donor = page.locator('.donor')
    await donor.and(page.locator('[data-status="ready"], [data-status="failed"]')).waitFor({ timeout: 60_000 })
    if (BAD_VALUES.includes(model)) await page.getByTestId('donate-start').click()
    await donor.and(page.locator('[data-status="failed"]')).waitFor({ timeout: 60_000 })
    const note = page.locator(`.note-error[data-code="${model.code}"]`)
    await note.waitFor()
    await note.locator('summary').click()
    expectSaid(await note.innerText(), model)
  })
})
