/**
 * The graphics process of a donor's browser is killed, as a driver's reset does it: the tab says so, builds its blocks anew
 * once and serves the same text again. When it happens a second time it stops with a sentence.
 */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { launchChromium } from '../support/browser.ts'
import { openDonorPage } from '../support/donor-page.ts'
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

function killGraphics(root = donor.pid): void {
  const found = processTree(root).filter((pid) =>
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

test('a page says so as well, and offers to load itself anew', async () => {
  const browser = await launchChromium()
  try {
    const tab = await openDonorPage(browser, `http://127.0.0.1:${swarm.ports[0]}/`, { num_blocks: '8' })
    await tab.start()
    await tab.serving(120_000)
    const ready = (): number => tab.console.filter((line) => READY.test(line)).length
    // The donor of the tests before has ended: what is left is this browser's.
    killGraphics(process.pid)
    await expect.poll(ready, { timeout: 120_000 }).toBe(2)
    killGraphics(process.pid)
    const reload = tab.page.getByTestId('donate-reload')
    await reload.waitFor({ timeout: 120_000 })
    expect(await tab.page.locator('.note-error').textContent()).toMatch(/stopped.*reload the page.*lost again/s)
    await reload.click()
    await tab.page.locator('.donor[data-status="idle"], .donor[data-status="planning"]').waitFor({ timeout: 60_000 })
    expect(await tab.page.getByTestId('donate-reload').count()).toBe(0)
  } finally {
    await browser.close()
  }
})
