/**
 * The graphics process of a donor's browser is killed, as a driver's reset does it: the tab says so, builds its blocks anew
 * once and serves the same text again. When it happens a second time it stops with a sentence.
 */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { processTree, type StartedProcess } from '../support/processes.ts'
import { READY, TestSwarm, tinytalesCase } from '../support/swarm.ts'

const STORY = tinytalesCase('Tell me a story.')
const ASK = ['--temperature', '0', '--prompt', STORY.prompt]

let swarm: TestSwarm
let donor: StartedProcess

beforeAll(async () => {
  swarm = new TestSwarm()
  await swarm.relay()
  donor = swarm.donor(['--num_blocks', '8'])
  await donor.waitForLine(READY, 120_000)
})
afterAll(() => swarm?.stop())

function killGraphics(): void {
  const found = processTree(donor.pid).filter((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--type=gpu-process'),
  )
  expect(found, 'one graphics process').toHaveLength(1)
  for (const pid of found) process.kill(pid, 'SIGKILL')
}

const readyLines = (): number => donor.both.filter((line) => READY.test(line)).length

test('once: the blocks are loaded again, from the cache, and the answer is the same', async () => {
  expect((await swarm.prompt(ASK)).ids).toEqual(STORY.greedy)
  killGraphics()
  await expect.poll(readyLines, { timeout: 120_000 }).toBe(2)
  expect((await swarm.prompt(ASK)).ids).toEqual(STORY.greedy)
})

test('twice: the tab stops, and says why and what to do', async () => {
  killGraphics()
  const { code } = await donor.exited(120_000)
  expect(code).not.toBe(0)
  expect(donor.both.join('\n')).toMatch(/GPU was lost again/)
  expect(donor.both.join('\n')).not.toMatch(/^\s+at /m)
})
