/**
 * What a person may ask that cannot be: each refused in a sentence with what to do, on the command line before a browser is
 * started for it, and on the page before anything is loaded.
 */
import { join } from 'node:path'
import type { Browser, Page } from 'playwright'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { launchChromium } from '../support/browser.ts'
import { REPO_ROOT, runTabswarm } from '../support/processes.ts'
import { TestSwarm } from '../support/swarm.ts'

const MODELS = join(REPO_ROOT, 'tests/fixtures/models')
/** Six blocks. */
const MODEL = 'untied-bf16-sharded'

let swarm: TestSwarm
beforeAll(async () => {
  swarm = new TestSwarm()
  await swarm.relay(['--models-dir', MODELS])
})
afterAll(() => swarm?.stop())

/** [name, options of `donate` as a link has them, code, sentence, what to do] */
const DONOR_OPTIONS: [string, Record<string, string>, string, string][] = [
  [
    'unsorted splits',
    { splits: '4,2', stage: '1' },
    'splits "4,2" is not ascending: 2 comes after 4.',
    'Give ascending block numbers',
  ],
  [
    'splits outside the model',
    { splits: '2,9', stage: '0' },
    'splits has 9, but the model has only 6 blocks, so a cut must lie from 1 to 5.',
    'Give splits that lie inside the model.',
  ],
  [
    'a stage without blocks',
    { splits: '0,2', stage: '0' },
    'a cut before block 1 leaves a stage without blocks.',
    'Give ascending block numbers',
  ],
  [
    'a stage out of range',
    { splits: '2,4', stage: '3' },
    'stage is 3, but splits "2,4" make the stages 0 to 2.',
    'Give stage a whole number from 0 to 2.',
  ],
  [
    'splits without a stage',
    { splits: '2,4' },
    'splits is given without stage: fixed mode needs both.',
    'Give stage as well',
  ],
  [
    'a stage without splits',
    { stage: '1' },
    'stage is given without splits: fixed mode needs both.',
    'Give splits as well',
  ],
  [
    'another number of blocks than the config’s',
    { total_blocks: '32' },
    "total_blocks is 32, but the model's config says 6.",
    'Give total_blocks 6, or leave it out.',
  ],
  [
    'more blocks than there are',
    { num_blocks: '7' },
    'num_blocks is 7, but the model has only 6 blocks.',
    'Give num_blocks a number from 1 to 6, or leave it out.',
  ],
]

/** Refused by the option table on the command line, and by the settings on the page, in other words. */
const NUMBERS: [string, Record<string, string>, RegExp][] = [
  ['no blocks', { num_blocks: '0' }, /num_blocks is "?0"?, (and|but) must be/],
  ['half a block', { num_blocks: '1.5' }, /num_blocks is "?1\.5"?, (and|but) must be a whole number/],
  [
    'a balance quality above 1',
    { balance_quality: '1.5' },
    /balance_quality is "?1\.5"?, (and|but) must (be between|lie from) 0/,
  ],
  [
    'a balance quality below 0',
    { balance_quality: '-0.1' },
    /balance_quality is "?-0\.1"?, (and|but) must (be between|lie from) 0/,
  ],
  [
    'a balance quality that is no number',
    { balance_quality: 'high' },
    /balance_quality is "high", (and must be|which is not) a number/,
  ],
  [
    'a period of 0',
    { mean_balance_check_period: '0' },
    /mean_balance_check_period is "?0"?( seconds)?, (and|but) must be more than 0/,
  ],
  [
    'a negative period',
    { mean_balance_check_period: '-5' },
    /mean_balance_check_period is "?-5"?( seconds)?, (and|but) must be more than 0/,
  ],
  ['a total of 0', { total_blocks: '0' }, /total_blocks is "?0"?, (and|but) must be/],
]

function asFlags(options: Record<string, string>): string[] {
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])
}

async function refused(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runTabswarm(args)
  expect(stderr).not.toMatch(/Starting|^\s+at /m)
  expect(stdout).toBe('')
  expect(code, stderr).toBeGreaterThan(0)
  return stderr
}

const relay = (): string[] => ['--dht_initial_peers', swarm.addresses[0] as string]
const model = ['--model', MODEL, '--models-dir', MODELS]

describe.concurrent('donate', () => {
  test.each(DONOR_OPTIONS)('%s', async (_what, options, sentence, action) => {
    const said = await refused(['donate', ...model, ...relay(), ...asFlags(options)])
    expect(said).toContain(sentence)
    expect(said).toContain(action)
  })

  const some = NUMBERS.filter(([, { total_blocks: total }], i) => total === undefined && i % 2 === 0)
  test.each(some)('%s', async (_what, options, sentence) => {
    expect(await refused(['donate', ...model, ...relay(), ...asFlags(options)])).toMatch(sentence)
  })

  test('start refuses the same', async () => {
    const said = await refused(['start', ...model, '--port', '0', '--num_blocks', '7'])
    expect(said).toContain('num_blocks is 7, but the model has only 6 blocks.')
  })

  test('a model that is nowhere', async () => {
    const said = await refused([
      'donate',
      '--model',
      'nobody/nothing',
      '--models-dir',
      MODELS,
      '--hub-url',
      `http://127.0.0.1:${swarm.ports[0]}/hub`,
      ...relay(),
    ])
    expect(said).toMatch(
      /^Model nobody\/nothing is neither on http:\S+ nor in \S+, \S+\. Correct --model, name its folder/m,
    )
  })

  test('a name that is no model’s', async () => {
    const said = await refused(['donate', '--model', '../../etc/passwd', ...relay()])
    expect(said).toContain('"../../etc/passwd" is not the name of a model. Write it as on the hub: owner/name.')
  })
})

test('donate with more blocks than the memory holds says how many do', async () => {
  const { code, stdout, stderr } = await runTabswarm(
    ['donate', '--model', 'tinytales', ...relay(), '--num_blocks', '8', '--memory_gb', '0.005'],
    { timeoutMs: 120_000 },
  )
  expect(`${stdout}${stderr}`).toMatch(
    /8 blocks in int4 take 0\.\d+ GB, and this tab may use 0\.005 GB\. Serve at most \d blocks? \(num_blocks\), or allow the tab more memory\./,
  )
  expect(stdout).not.toContain('server ready')
  expect(code).toBe(1)
})

describe.concurrent('a prompt', () => {
  const LONG = 'word '.repeat(1_200)
  test.each([
    ['nothing', [''], 'the prompt is empty. Write something first.'],
    ['blanks', ['  \n '], 'the prompt is empty. Write something first.'],
    ['no ids', ['--prompt-ids', ' , '], '--prompt-ids is empty. Give token ids, as in --prompt-ids 1,2,3.'],
    ['words for ids', ['--prompt-ids', '1,two'], '"two" in --prompt-ids is not a token id.'],
    [
      'ids outside the vocabulary',
      ['--prompt-ids', '1,2048'],
      'token id 2048 is not from 0 to 2047. Give ids of this model’s vocabulary.',
    ],
    ['more than the context holds', [LONG], 'tokens, the model holds 1024. Shorten the prompt.'],
    ['a temperature below zero', ['Hi', '--temperature', '-1'], 'temperature'],
  ])('of %s', async (_what, words, sentence) => {
    expect(await refused(['prompt', '--model', 'tinytales', ...relay(), ...words])).toContain(sentence)
  })

  test.each([
    ['', 'the prompt is empty.'],
    [LONG, 'tokens, the model holds 1024.'],
  ])('is refused by start as well, before its browser', async (prompt, sentence) => {
    expect(await refused(['start', '--model', 'tinytales', '--prompt', prompt])).toContain(sentence)
  })

  test('a context of 256 tokens, as ids', async () => {
    const ids = Array.from({ length: 256 }, () => 5).join(',')
    const said = await refused(['prompt', '--model', MODEL, ...relay(), '--prompt-ids', ids])
    expect(said).toContain('the prompt has 256 tokens, the model holds 256. Shorten the prompt.')
  })
})

describe('a link', () => {
  let browser: Browser
  let page: Page
  beforeAll(async () => {
    browser = await launchChromium()
    page = await (await browser.newContext({ locale: 'en-US' })).newPage()
  })
  afterAll(() => browser?.close())

  async function saidBy(options: Record<string, string>): Promise<string> {
    const query = new URLSearchParams({ donate: '', model: MODEL, backend: 'webgpu', ...options })
    await page.goto(`http://127.0.0.1:${swarm.ports[0]}/?${query.toString()}`)
    const note = page.locator('.donor .note-error')
    await note.waitFor({ timeout: 60_000 })
    await note.locator('summary').click()
    expect(await page.locator('.donor').getAttribute('data-status')).toBe('failed')
    return await note.innerText()
  }

  test.each(DONOR_OPTIONS)('%s', async (_what, options, sentence, action) => {
    const said = await saidBy(options)
    expect(said).toContain(sentence)
    expect(said).toContain(action)
  })

  test.each(NUMBERS)('%s', async (_what, options, sentence) => {
    expect(await saidBy(options)).toMatch(sentence)
  })

  test('more blocks than the memory holds', async () => {
    const said = await saidBy({ model: 'tinytales', num_blocks: '8', memory_gb: '0.005' })
    expect(said).toMatch(/8 blocks in int4 take 0\.\d+ GB, and this tab may use 0\.005 GB\./)
    expect(said).toMatch(/Serve at most \d blocks?/)
  })

  test('a relay address that is none is said when it is to be joined', async () => {
    await page.goto(`http://127.0.0.1:${swarm.ports[0]}/?model=${MODEL}&dht_initial_peers=nonsense#swarm`)
    await page.getByTestId('swarm-join').click()
    await page.locator('.note-error[data-code="BAD_MULTIADDR"]').waitFor()
  })
})
