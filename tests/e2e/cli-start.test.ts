/** `start` with real tabs: the answer crosses four of them, equals the reference, and nothing stays behind. */
import { readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isRunning, makeTempDir, processesOf, removeTempDir, runTabswarm, startTabswarm } from '../support/processes.ts'
import { tinytalesCase, type PromptAnswer } from '../support/swarm.ts'

let dataDir: string
let tempDir: string
beforeAll(() => {
  dataDir = makeTempDir('start-data')
  tempDir = makeTempDir('start-temp')
})
afterAll(() => {
  removeTempDir(dataDir)
  removeTempDir(tempDir)
})

async function isPortFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, () => server.close(() => resolve(true)))
  })
}

describe('start --prompt', () => {
  it('answers through four tabs with the reference’s ids, beside a running start, and leaves nothing behind', async () => {
    const reference = tinytalesCase('Tell me a story.')
    const other = startTabswarm(['start', '--tabs', '0', '--port', '0'], { dataDir })
    try {
      await other.waitForLine(/^Ready:/)
      const args = ['start', '--prompt', reference.prompt, '--temperature', '0', '--max-tokens', '200', '--json']
      const { code, stdout, stderr } = await runTabswarm(args, {
        dataDir,
        env: { TMPDIR: tempDir },
        timeoutMs: 200_000,
      })
      expect(code, stderr).toBe(0)
      const answer = JSON.parse(stdout) as PromptAnswer
      expect(answer.promptIds).toEqual(reference.input_ids)
      expect(answer.ids).toEqual(reference.greedy)
      expect(answer.text).toBe(reference.greedy_text)
      expect(answer.finish).toBe('stop')
      expect(answer.route.map(({ start, end }) => [start, end])).toEqual([
        [0, 2],
        [2, 4],
        [4, 6],
        [6, 8],
      ])
      expect(new Set(answer.route.map(({ peer }) => peer)).size).toBe(4)
      expect(answer.weights).toBe('f32')
      expect(stderr).toMatch(/^Selected blocks: \[0, 1\]$/m)
      expect(processesOf(`${dataDir}/slots/1`)).toEqual([])
      expect(readdirSync(tempDir)).toEqual([])
      expect(readdirSync(`${dataDir}/slots/1`)).not.toContain('lock')
    } finally {
      await other.stop()
    }
    expect(processesOf(dataDir)).toEqual([])
  })
})

describe('start', () => {
  it('asks one question, says where everything is, and an interrupt ends it all', async () => {
    const started = startTabswarm(['start', '--port', '0', '--host', '127.0.0.1'], {
      dataDir,
      env: { TMPDIR: tempDir },
    })
    try {
      await started.waitForLine(/^Ready: open the page/, 200_000)
      const output = started.stdout.join('\n')
      expect(output).toContain(tinytalesCase('Hello, how are you?').greedy_text)
      const port = Number(/^Page: +http:\/\/127\.0\.0\.1:(\d+)\/$/m.exec(output)?.[1])
      expect(output).toMatch(/^Donate: +http:\/\/127\.0\.0\.1:\d+\/\?donate$/m)
      expect(output).toMatch(
        /^DHT visible multiaddrs \(use for --dht_initial_peers\): \['\/ip4\/127\.0\.0\.1\/tcp\/\d+\/ws\/p2p\/12D3KooW\w+'\]$/m,
      )
      expect(output).toMatch(/^Model: +tinytales \(8 blocks/m)
      for (const span of ['0:2', '2:4', '4:6', '6:8'])
        expect(output).toMatch(new RegExp(`^Tab \\d: +blocks ${span}`, 'm'))
      expect(output.match(/^Load Balancing server ready, blocks=\[\d, \d\], throughput=\d+\.\d\d rps$/gm)).toHaveLength(
        4,
      )
      expect(await isPortFree(port)).toBe(false)
      const joined = await runTabswarm([
        'prompt',
        'Hello, how are you?',
        '--temperature',
        '0',
        '--dht-initial-peers',
        addressOf(output),
      ])
      expect(joined).toMatchObject({ code: 0, stdout: `${tinytalesCase('Hello, how are you?').greedy_text}\n` })
      await expectGuesses(addressOf(output))
      started.signal('SIGINT')
      expect(await started.exited(15_000)).toMatchObject({ code: 0 })
      expect(await isPortFree(port)).toBe(true)
    } finally {
      await started.stop()
    }
    expect(processesOf(dataDir)).toEqual([])
    expect(readdirSync(tempDir)).toEqual([])
  })

  it.each([400, 1500, 4000])('interrupted after %i ms, and again, leaves nothing', async (afterMs) => {
    const started = startTabswarm(['start', '--port', '0'], { dataDir, env: { TMPDIR: tempDir } })
    // Not a wait for something: the moment of the interrupt is what is tried.
    await new Promise((resolve) => setTimeout(resolve, afterMs))
    started.signal('SIGINT')
    await new Promise((resolve) => setTimeout(resolve, 50))
    if (isRunning(started.pid)) started.signal('SIGINT')
    await started.exited(15_000)
    await expect.poll(() => processesOf(dataDir), { timeout: 5_000 }).toEqual([])
    expect(readdirSync(tempDir)).toEqual([])
  })
})

/** A story that is told again: the same text in fewer laps through the four tabs. */
async function expectGuesses(address: string): Promise<void> {
  const { input_ids, greedy } = tinytalesCase('Tell me a story.')
  const ids = [...input_ids, ...greedy, ...input_ids].join()
  const ask = async (...args: string[]): Promise<PromptAnswer> => {
    const shared = ['--prompt-ids', ids, '--temperature', '0', '--max-tokens', '24', '--ignore-eos', '--json']
    const run = await runTabswarm(['prompt', ...shared, ...args, '--dht-initial-peers', address])
    expect(run.code, run.stderr).toBe(0)
    return JSON.parse(run.stdout) as PromptAnswer
  }
  const plain = await ask('--speculate', 'off')
  const guessed = await ask('--speculate', '4')
  expect(guessed.ids).toEqual(plain.ids)
  expect(guessed.text).toBe(plain.text)
  expect(plain.timings.speculation).toBeUndefined()
  expect(guessed.timings.speculation?.accepted).toBeGreaterThan(0)
  expect(guessed.timings.speculation?.laps).toBeLessThan(24)
}

function addressOf(output: string): string {
  return /'(\/ip4\/[^']+)'/.exec(output)?.[1] ?? ''
}
