/**
 * `npm run bench`: the figures of this machine, printed as tables. Nothing here is asserted but that an answer came.
 * Speeds of a software adapter say nothing about a GPU; ratios within one run are what to read.
 */
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { launchChromium } from '../support/browser.ts'
import {
  isRunning,
  makeTempDir,
  processTree,
  removeTempDir,
  REPO_ROOT,
  startTabswarm,
  type StartedProcess,
} from '../support/processes.ts'
import { startHubStandIn } from '../support/hub-stand-in.ts'
import { freePort, TestSwarm, tinytalesCase, type PromptAnswer } from '../support/swarm.ts'
import { measureRawRoundTrips } from './raw-data-channel.ts'

const STORY = tinytalesCase('Tell me a story.')
const HIDDEN_ROW_BYTES = 192 * 4
const REPEATS = 3

const rows: string[] = []
function report(name: string, value: string): void {
  rows.push(`${name.padEnd(58)} ${value}`)
}
afterAll(() => console.log(`\n${rows.join('\n')}\n`))

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number
}

/** Bytes of weights, and of everything else of the model, that a server of files saw go out. */
async function withCountedModel<T>(use: (args: string[], bytes: (file: RegExp) => number) => Promise<T>): Promise<T> {
  const model = 'bench/tinytales'
  const hub = await startHubStandIn({ models: { [model]: join(REPO_ROOT, 'models/tinytales') } })
  try {
    return await use(['--hub-url', hub.url, '--model', model], (file) => hub.bytesOf(file))
  } finally {
    await hub.close()
  }
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(1)
}

async function reportStart(name: string, args: readonly string[], dataDir: string): Promise<void> {
  const begin = performance.now()
  const start = startTabswarm(args, { dataDir })
  try {
    await start.waitForLine(/^Ready:/, 120_000)
    report(name, seconds(begin))
  } finally {
    await start.stop()
  }
}

describe('one session through 1, 2 and 4 tabs', () => {
  const msPerToken = new Map<number, number>()

  test.each([1, 2, 4])('%i tabs', async (tabs) => {
    const dataDir = makeTempDir('bench')
    await withCountedModel((args, bytes) => measureTabs(tabs, args, bytes, dataDir))
    removeTempDir(dataDir)
  })

  async function measureTabs(
    tabs: number,
    args: readonly string[],
    bytes: (file: RegExp) => number,
    dataDir: string,
  ): Promise<void> {
    const startArgs = ['start', '--port', String(await freePort()), '--tabs', String(tabs), ...args]
    await reportStart(`${tabs} tabs: start to ready, cold profile, s`, startArgs, dataDir)
    report(`${tabs} tabs: weights loaded a tab, kB`, (bytes(/safetensors$/) / tabs / 1000).toFixed(0))
    const before = bytes(/safetensors$/)
    const begin = performance.now()
    const start = startTabswarm(startArgs, { dataDir })
    try {
      const address = /(\/ip4\/[^'",\]\s]+)/.exec(
        await start.waitForLine(/DHT visible multiaddrs/, 120_000),
      )?.[1] as string
      await start.waitForLine(/^Ready:/, 60_000)
      report(`${tabs} tabs: start to ready, weights in the cache, s`, seconds(begin))
      report(`${tabs} tabs: weights loaded again, kB`, ((bytes(/safetensors$/) - before) / 1000).toFixed(0))
      const answers: PromptAnswer[] = []
      for (let i = 0; i < REPEATS; i += 1) {
        const prompt = startTabswarm(
          ['prompt', '--dht_initial_peers', address, '--temperature', '0', '--json', '--prompt', STORY.prompt],
          { dataDir },
        )
        await prompt.exited(120_000)
        answers.push(JSON.parse(prompt.stdoutText()) as PromptAnswer)
      }
      for (const answer of answers) expect(answer.ids).toEqual(STORY.greedy)
      const speed = median(answers.map((answer) => answer.timings['tokensPerSecond'] as number))
      msPerToken.set(tabs, 1000 / speed)
      report(`${tabs} tabs: tokens/s of one session`, speed.toFixed(1))
      report(
        `${tabs} tabs: time to first token, ms`,
        median(answers.map((answer) => answer.timings['timeToFirstTokenMs'] as number)).toFixed(0),
      )
    } finally {
      await start.stop()
    }
  }

  test('a hop against a raw RTCDataChannel', async () => {
    const dataDir = makeTempDir('bench')
    const port = await freePort()
    const start = startTabswarm(['start', '--port', String(port), '--tabs', '0'], { dataDir })
    const browser = await launchChromium()
    try {
      await start.waitForLine(/^Ready:/, 60_000)
      const times = await measureRawRoundTrips(browser, `http://localhost:${port}/healthz`, HIDDEN_ROW_BYTES, 300)
      const rawOneWay = median(times) / 2
      const [one, four] = [msPerToken.get(1), msPerToken.get(4)]
      if (one === undefined || four === undefined) throw new Error('the tests before this one measure 1 and 4 tabs')
      const hop = (four - one) / 3
      report('raw RTCDataChannel, one way, one row of hidden states, ms', rawOneWay.toFixed(2))
      report('a further hop, ms a token ((4 tabs − 1 tab) ÷ 3)', hop.toFixed(2))
      report('ratio', (hop / rawOneWay).toFixed(1))
    } finally {
      await browser.close()
      await start.stop()
      removeTempDir(dataDir)
    }
  })
})

describe.each([true, false])('times to notice a loss in the middle of an answer, relay up: %s', (isRelayUp) => {
  let swarm: TestSwarm
  beforeAll(async () => {
    swarm = new TestSwarm()
  })
  beforeEach(async () => {
    await swarm.relay([], swarm.relays.length === 0 ? undefined : 0)
  })
  afterEach(() => swarm.relays[0]?.stop())
  afterAll(() => swarm.stop())

  const SLOW = ['--model', 'tinytales', '--simulate-speed', '40', '--backend', 'software']
  const signalAll = (pids: readonly number[], signal: NodeJS.Signals): void => {
    for (const pid of pids) if (isRunning(pid)) process.kill(pid, signal)
  }

  test.each<[string, (donor: StartedProcess, browser: readonly number[]) => void]>([
    ['tab closed', (donor) => donor.signal('SIGINT')],
    ['browser killed', (_donor, browser) => signalAll(browser, 'SIGKILL')],
    ['browser stopped', (_donor, browser) => signalAll(browser, 'SIGSTOP')],
  ])('%s', async (name, lose) => {
    const donor = swarm.donor([...SLOW, '--num_blocks', '8'])
    await donor.waitForLine(/server ready/, 90_000)
    const prompt = swarm.startPrompt(['--model', 'tinytales', '--temperature', '0', '--prompt', STORY.prompt])
    await expect.poll(() => prompt.stdoutText().length, { timeout: 60_000, interval: 20 }).toBeGreaterThan(5)
    if (!isRelayUp) {
      const gone = swarm.relays[0] as StartedProcess
      gone.signal('SIGKILL')
      await gone.exited()
    }
    const browserPids = processTree(donor.pid).slice(1)
    const begin = performance.now()
    lose(donor, browserPids)
    await prompt.waitForLine(/^Lost/, 60_000)
    const relay = isRelayUp ? 'relay up' : 'no relay'
    report(`${name}, ${relay}: noticed after, ms`, (performance.now() - begin).toFixed(0))
    signalAll(browserPids, 'SIGCONT')
    await prompt.stop()
    await donor.stop()
  })
})
