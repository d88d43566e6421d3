/**
 * A gated model from end to end: the command line finds the token where `hf auth login` keeps it and hands it to its headless
 * tab, the page takes a pasted one; the swarm answers; and the token is in no log, no argument list, no environment of the
 * browser, no address and no file of the profile.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { launchChromium, watchErrors } from '../support/browser.ts'
import { MEMBER, OUTSIDER } from '../support/hub-cases.ts'
import { startHubStandIn, type HubStandIn } from '../support/hub-stand-in.ts'
import {
  makeTempDir,
  processTree,
  removeTempDir,
  REPO_ROOT,
  runTabswarm,
  startTabswarm,
  type StartedProcess,
} from '../support/processes.ts'
import { READY, TestSwarm, tinytalesCase } from '../support/swarm.ts'

const MODEL = 'tabs/gated'
const HELLO = tinytalesCase('Hello, how are you?')
const ASK = ['--model', MODEL, '--temperature', '0', '--prompt', HELLO.prompt]

let hub: HubStandIn
let swarm: TestSwarm
let home: string
/** Each place where `hf auth login` or its user may have put the token. */
let places: Record<string, Record<string, string>>

beforeAll(async () => {
  home = makeTempDir('home')
  for (const folder of ['.cache/huggingface', 'hf-home']) {
    mkdirSync(join(home, folder), { recursive: true })
    writeFileSync(join(home, folder, 'token'), `${MEMBER}\n`)
  }
  writeFileSync(join(home, 'named'), MEMBER)
  places = {
    HF_TOKEN: { HF_TOKEN: MEMBER },
    HF_TOKEN_PATH: { HF_TOKEN_PATH: join(home, 'named') },
    HF_HOME: { HF_HOME: join(home, 'hf-home') },
    'the file at home': { HF_HOME: '', XDG_CACHE_HOME: '', HOME: home },
  }
  hub = await startHubStandIn({
    models: { [MODEL]: join(REPO_ROOT, 'models/tinytales') },
    storage: 'xet',
    gated: { [MODEL]: { tokens: [MEMBER] } },
    knownTokens: [MEMBER, OUTSIDER],
  })
  swarm = new TestSwarm({ HF_ENDPOINT: hub.url })
  await swarm.relay()
})
afterAll(async () => {
  await swarm?.stop()
  removeTempDir(home)
  const { requests } = hub
  await hub.close()
  expect(hub.tokenLeaks()).toEqual([])
  expect(requests.filter(({ path, origin }) => path.includes('hf_') || origin === 'refresh')).toEqual([])
  // The hub refuses this model to those without the token: so it did arrive.
  expect(requests.some(({ authorization }) => authorization === `Bearer ${MEMBER}`)).toBe(true)
})

function expectNoToken(started: StartedProcess): void {
  expect(started.both.join('\n')).not.toContain(MEMBER)
}

/** Files below a folder that hold the token. */
function filesWithToken(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => readFileSync(path).includes(MEMBER))
}

test('donate finds the token, serves, and prompt finds it in every place and is answered', async () => {
  const donor = startTabswarm(['donate', '--model', MODEL, '--dht_initial_peers', swarm.addresses[0] as string], {
    dataDir: swarm.dataDir,
    env: { HF_ENDPOINT: hub.url, ...places['HF_TOKEN'] },
  })
  swarm.donors.push(donor)
  await donor.waitForLine(READY, 120_000)
  const below = processTree(donor.pid).slice(1)
  expect(below.length).toBeGreaterThan(1)
  for (const pid of below) {
    for (const file of ['cmdline', 'environ']) {
      expect(readFileSync(`/proc/${pid}/${file}`, 'utf8'), `${file} of ${pid}`).not.toContain(MEMBER)
    }
  }
  for (const [place, env] of Object.entries(places)) {
    const args = ['prompt', ...ASK, '--max-tokens', '4', '--json', '--dht_initial_peers', swarm.addresses[0] as string]
    const run = await runTabswarm(args, { env: { HF_ENDPOINT: hub.url, ...env } })
    expect(run.code, `${place}: ${run.stderr}`).toBe(0)
    expect((JSON.parse(run.stdout) as { ids: number[] }).ids).toEqual(HELLO.greedy.slice(0, 4))
    expect(run.stderr).not.toContain(MEMBER)
  }
  await donor.stop()
  expectNoToken(donor)
  expectNoToken(swarm.relays[0] as StartedProcess)
  expect(filesWithToken(swarm.dataDir)).toEqual([])
})

test('start finds the token, and answers through its tabs', async () => {
  const args = ['start', ...ASK, '--tabs', '2', '--json']
  const run = await runTabswarm(args, {
    dataDir: swarm.dataDir,
    env: { HF_ENDPOINT: hub.url, ...places['HF_HOME'] },
    timeoutMs: 200_000,
  })
  expect(run.code, run.stderr).toBe(0)
  const answer = JSON.parse(run.stdout) as { ids: number[]; route: unknown[] }
  expect(answer.ids).toEqual(HELLO.greedy)
  expect(answer.route).toHaveLength(2)
  expect(run.stderr).not.toContain(MEMBER)
  expect(filesWithToken(swarm.dataDir)).toEqual([])
})

test.each([
  [{}, 'tabs/gated is gated on HUB (401): you are not signed in. Open http://HUB/tabs/gated and accept the licence'],
  [{ HF_TOKEN: OUTSIDER }, 'tabs/gated is gated on HUB (403): the account that the token belongs to'],
  [{ HF_TOKEN: 'hf_mistyped' }, 'HUB did not accept the access token (401). Create a new token and sign in'],
])('start with %j says why not, before a browser is started', async (env, sentence) => {
  const run = await runTabswarm(['start', ...ASK], { env: { HF_ENDPOINT: hub.url, ...env } })
  expect(run.code).toBe(1)
  expect(run.stderr).toContain(sentence.replaceAll('HUB', new URL(hub.url).host))
  expect(run.stderr).not.toMatch(/Starting|hf_[a-z]|^\s+at /m)
})

test('the page takes a pasted token, donates with it, and another page chats with its own', async () => {
  await swarm.relay(['--hub-url', hub.url])
  const url = `http://127.0.0.1:${swarm.ports[1]}/`
  const browser = await launchChromium()
  try {
    const donating = await openPage(browser, `${url}?donate&backend=webgpu&autotune=off&model=${MODEL}`)
    const note = donating.page.locator('.donor .note-error[data-code="HUB_GATED"]')
    await note.waitFor({ timeout: 60_000 })
    expect(await note.getByRole('link').getAttribute('href')).toBe(`${hub.url}/${MODEL}`)
    await donating.page.getByText('Options').click()
    await donating.page.locator('#donate-token').fill(OUTSIDER)
    await donating.page.locator('#donate-token').blur()
    await note.getByText('has not been given access').waitFor({ state: 'attached' })
    await donating.page.locator('#donate-token').fill(MEMBER)
    await donating.page.locator('#donate-token').blur()
    await donating.page.locator('.donor[data-status="ready"]').waitFor({ timeout: 60_000 })
    await donating.page.getByTestId('donate-start').click()
    await donating.page.locator('.donor[data-status="serving"]').waitFor({ timeout: 120_000 })

    const asking = await openPage(browser, `${url}?model=${MODEL}`)
    await asking.page.locator('#note-token').fill(MEMBER)
    await asking.page.locator('#note-token').press('Enter')
    await asking.page.getByTestId('model-coverage').and(asking.page.locator('.is-complete')).waitFor()
    await asking.page.getByTestId('chat-settings').click()
    await asking.page.getByTestId('setting-temperature').fill('0')
    await asking.page.getByTestId('setting-temperature').blur()
    await asking.page.keyboard.press('Escape')
    await asking.page.getByTestId('chat-input').fill(HELLO.prompt)
    await asking.page.getByTestId('chat-send').click()
    const answer = asking.page.locator('[data-testid="chat-message-assistant"][data-state="done"]')
    await answer.waitFor({ timeout: 120_000 })
    expect((await answer.getByTestId('chat-message-text').innerText()).trim()).toBe(HELLO.greedy_text.trim())

    for (const { page, sockets, console } of [donating, asking]) {
      expect(JSON.stringify(await page.context().storageState({ indexedDB: true }))).not.toContain('hf_')
      expect(page.url()).not.toContain('hf_')
      expect(console.join('\n')).not.toContain('hf_')
      expect(sockets.join('\n')).not.toContain('hf_')
    }
  } finally {
    await browser.close()
  }
})

interface WatchedPage {
  page: Page
  sockets: string[]
  console: string[]
}

async function openPage(browser: Browser, url: string): Promise<WatchedPage> {
  const page = await (await browser.newContext({ locale: 'en-US' })).newPage()
  const sockets: string[] = []
  page.on('websocket', (socket) => {
    sockets.push(socket.url())
    socket.on('framesent', ({ payload }) => sockets.push(payload.toString()))
  })
  const console = watchErrors(page)
  page.on('console', (message) => console.push(message.text()))
  await page.goto(url)
  return { page, sockets, console }
}
