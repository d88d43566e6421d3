/**
 * What a hub does wrong, read on the command line: one sentence of what happened and one of what to do, no stack, exit code
 * 1, and nothing served. A token goes to the hub's own origin alone.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  CASE_MODEL,
  inWords,
  MEMBER,
  SMALL_FILE_CASES,
  startCaseHub,
  WEIGHT_CASES,
  type HubCase,
} from '../support/hub-cases.ts'
import type { HubStandIn } from '../support/hub-stand-in.ts'
import { runTabswarm } from '../support/processes.ts'
import { watchOnline, type RecordWatch } from '../support/record-watch.ts'
import { TestSwarm } from '../support/swarm.ts'

let hub: HubStandIn
let swarm: TestSwarm
let online: RecordWatch

beforeAll(async () => {
  hub = await startCaseHub([...SMALL_FILE_CASES, ...WEIGHT_CASES], {
    'fine/model': CASE_MODEL,
    'busy/model': CASE_MODEL,
  })
  swarm = new TestSwarm()
  await swarm.relay()
  online = await watchOnline(swarm.addresses[0] as string)
})
afterAll(async () => {
  const served = online?.peers() ?? []
  await online?.stop()
  await swarm?.stop()
  const leaks = hub.tokenLeaks()
  await hub.close()
  expect(served, 'peers that announced blocks of a model that could not be read').toEqual([])
  expect(leaks).toEqual([])
})

async function run(command: 'prompt' | 'donate', hubCase: HubCase, args: string[] = []) {
  const revision = hubCase.revision === undefined ? [] : ['--revision', hubCase.revision]
  const relay = ['--dht_initial_peers', swarm.addresses[0] as string]
  return await runTabswarm([command, '--model', hubCase.repo, ...relay, ...revision, ...args], {
    env: { HF_ENDPOINT: hub.url, ...(hubCase.token === undefined ? {} : { HF_TOKEN: hubCase.token }) },
    timeoutMs: 180_000,
  })
}

function expectSentence(ended: { code: number | null; stdout: string; stderr: string }, hubCase: HubCase): void {
  const said = `${ended.stderr}\n${ended.stdout}`
  expect(said).not.toMatch(/^\s+at /m)
  expect(said).not.toContain('hf_')
  const line = said.split('\n').find((candidate) => candidate.includes(inWords(hubCase.says, hub)))
  expect(line, said).toBeDefined()
  expect(line).toContain(inWords(hubCase.does, hub))
  expect(ended.code).toBe(1)
  expect(said).not.toMatch(/server ready/)
}

describe.concurrent('prompt', () => {
  test.each(SMALL_FILE_CASES)('$name', async (hubCase) => {
    const asked = await run('prompt', hubCase, ['--prompt-ids', '1,2,3'])
    expectSentence(asked, hubCase)
    expect(asked.stdout).toBe('')
  })

  test('a hub that is not there', async () => {
    const args = ['prompt', '--model', 'a/b', '--dht_initial_peers', swarm.addresses[0] as string, 'hi']
    const { code, stderr } = await runTabswarm([...args, '--hub-url', 'http://127.0.0.1:9'])
    expect(stderr).toContain('127.0.0.1:9 could not be reached (5 tries). Check the network and the hub URL')
    expect(stderr).toContain('It is asked again in 1 second (try 2 of 5).')
    expect(code).toBe(1)
  })
})

describe.concurrent('donate, before a browser is started', () => {
  const some = SMALL_FILE_CASES.filter(({ code }) => ['HUB_GATED', 'HUB_NOT_FOUND', 'HUB_RATE_LIMITED'].includes(code))
  test.each(some)('$name', async (hubCase) => {
    const donated = await run('donate', hubCase)
    // A model that is nowhere is also not in the models folders, which is said as one thing.
    if (hubCase.repo !== 'cases/nothing') expectSentence(donated, hubCase)
    else {
      const signIn = hubCase.token === undefined ? ', or sign in \\(hf auth login\\) if it is private' : ''
      expect(donated.stderr).toMatch(
        new RegExp(
          `^Model cases/nothing is neither on http:\\S+ nor in \\S+\\. Correct --model, name its folder with --models-dir${signIn}\\.$`,
          'm',
        ),
      )
    }
    expect(donated.code).toBe(1)
    expect(donated.stderr).not.toContain('Starting')
  })
})

describe('donate, where the weights are', () => {
  test.each(WEIGHT_CASES)('$name', async (hubCase) => {
    expectSentence(await run('donate', hubCase, ['--splits', '2,4', '--stage', '0']), hubCase)
  })
})

test('a hub that asks for a pause gets it, and the person is told', async () => {
  hub.faults.push({
    at: 'api',
    path: /busy\/model/,
    fault: { kind: 'status', status: 429, headers: { 'Retry-After': '2' } },
    times: 1,
  })
  const prompt = swarm.startPrompt(['--model', 'busy/model', '--hub-url', hub.url, '--prompt-ids', '1,2,3'])
  const host = new URL(hub.url).host
  await prompt.waitForLine(
    new RegExp(`^Reading from ${host}: the hub answered 429\\. It is asked again in 2 seconds \\(try 2 of 5\\)\\.$`),
  )
  // Nobody serves it: the files were read, and the question waits.
  await prompt.waitForLine(/^Waiting: nobody serves blocks 0–5/)
  await prompt.stop()
})

test('a signed-in person reads a gated model, and only the hub sees the token', async () => {
  const args = ['--model', 'cases/gated', '--hub-url', hub.url, '--prompt-ids', '1,2,3']
  const prompt = swarm.startPrompt(args, { HF_TOKEN: MEMBER })
  await prompt.waitForLine(/^Waiting: nobody serves blocks 0–5/)
  await prompt.stop()
  const seen = hub.requests.filter((request) => request.authorization === `Bearer ${MEMBER}`)
  expect(seen.some((request) => request.file === 'config.json')).toBe(true)
  expect(hub.requests.filter((request) => request.origin === 'refresh')).toEqual([])
})
