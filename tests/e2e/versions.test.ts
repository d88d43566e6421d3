/**
 * Two real builds of different protocol versions: what was open before an update of the relay is told and offered a reload,
 * nothing is reloaded by itself, and old and new refuse each other with a sentence on every way. One story, in order.
 */
import type { Browser, Page } from 'playwright'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { launchChromium } from '../support/browser.ts'
import { ChatPage } from '../support/chat-page.ts'
import { openDonorPage, type DonorPage } from '../support/donor-page.ts'
import { buildNextMajor, type OtherBuild } from '../support/other-build.ts'
import { runTabswarm, type StartedProcess } from '../support/processes.ts'
import { TestSwarm, tinytalesCase } from '../support/swarm.ts'

const STORY = tinytalesCase('Tell me a story.')
const ASK = ['--model', 'tinytales', '--temperature', '0', '--max-tokens', '8', '--json', '--prompt', STORY.prompt]

let swarm: TestSwarm
let next: OtherBuild
let browser: Browser
let oldChat: ChatPage
let oldDonor: DonorPage
let url: string
let updated: StartedProcess
let newDonor: StartedProcess

beforeAll(async () => {
  swarm = new TestSwarm()
  ;[next, browser] = await Promise.all([buildNextMajor(), launchChromium(), swarm.relay()])
  url = `http://127.0.0.1:${swarm.ports[0]}/`
  oldDonor = await openDonorPage(browser, url, { backend: 'software', tab: '' })
  await oldDonor.start()
  await oldDonor.serving(60_000)
  oldChat = new ChatPage(await browser.newPage())
  await oldChat.openGreedy(url)
  await Promise.all([oldChat.page, oldDonor.page].map(markPage))
})
afterAll(async () => {
  await newDonor?.stop()
  await updated?.stop()
  await browser?.close()
  await swarm?.stop()
  next?.remove()
})

/** A mark that a reload would remove. */
function markPage(page: Page): Promise<void> {
  return page.evaluate(() => void Object.assign(globalThis, { isSamePage: true }))
}

function isSamePage(page: Page): Promise<boolean> {
  return page.evaluate(() => 'isSamePage' in globalThis)
}

test('after an update pages say so and offer to reload; nothing reloads by itself, and Later is kept', async () => {
  await swarm.relays[0]?.stop()
  updated = next.start(
    ['relay', '--port', String(swarm.ports[0]), '--data-dir', `${swarm.dataDir}/relay-0`],
    swarm.dataDir,
  )
  await updated.waitForLine(/DHT visible multiaddrs/, 60_000)
  for (const page of [oldChat.page, oldDonor.page]) {
    await page.getByTestId('update').getByText('A newer version of this page is there').waitFor({ timeout: 60_000 })
    await page.locator('.relay-notice[data-trouble="version"]').waitFor({ timeout: 60_000 })
    expect(await isSamePage(page)).toBe(true)
  }
  expect(await oldDonor.page.getByTestId('update').innerText()).toContain('what this tab serves goes to other tabs')
  await oldDonor.page.locator('.donor[data-status="serving"]').waitFor()
  await oldDonor.page
    .getByTestId('donate-log')
    .getByText(/The relay refuses this tab: .*version 2\.0/u)
    .waitFor()
  await oldChat.page.getByTestId('update-later').click()
  await oldChat.page.getByTestId('update').waitFor({ state: 'detached' })
})

test('the relay refuses an old command in a sentence, and so does the command an updated relay', async () => {
  const { code, stderr } = await runTabswarm(['prompt', '--dht-initial-peers', swarm.addresses[0] as string, ...ASK])
  expect(code).not.toBe(0)
  expect(stderr).toMatch(/speaks version 2\.0 of the protocol, and this side speaks 1\.0.*Update the older/su)
  const probe = await runTabswarm(['probe', swarm.addresses[0] as string])
  expect(probe.code).not.toBe(0)
  expect(`${probe.stdout}${probe.stderr}`).toMatch(/speaks version 2\.0/u)
})

test('a tab of the new version does not see the old one, and answers by itself', async () => {
  newDonor = next.start(['donate', '--dht-initial-peers', swarm.addresses[0] as string], swarm.dataDir)
  await newDonor.waitForLine(/server ready, blocks=\[0, 1, 2, 3, 4, 5, 6, 7\]/, 120_000)
  const prompt = next.start(['prompt', '--dht-initial-peers', swarm.addresses[0] as string, ...ASK], swarm.dataDir)
  const { code } = await prompt.exited(60_000)
  expect(code, prompt.stderr.join('\n')).toBe(0)
  const answer = JSON.parse(prompt.stdoutText()) as { ids: number[]; route: { peerId: string }[] }
  expect(answer.ids).toEqual(STORY.greedy.slice(0, 8))
  const oldId = await oldDonor.page.evaluate(() =>
    (globalThis as unknown as { tabswarm: { peerId(): string } }).tabswarm.peerId(),
  )
  expect(JSON.stringify(answer)).not.toContain(oldId)
})

test('Reload brings the new page, which asks the new tab', async () => {
  await oldDonor.page.getByTestId('update-reload').click()
  await oldDonor.page.getByText('Version 2.0').first().waitFor()
  expect(await isSamePage(oldDonor.page)).toBe(false)
  const chat = new ChatPage(oldDonor.page)
  await chat.openGreedy(url)
  await chat.send(STORY.prompt)
  expect(await chat.finished(0)).toBe(STORY.greedy_text)
  expect(await oldDonor.page.locator('.relay-notice').count()).toBe(0)
})
