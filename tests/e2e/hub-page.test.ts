/**
 * The page against a hub that refuses: a gated model before and after a token is pasted, and weights that are not the ones
 * that were asked for. The other cases of the table are in tests/long/hub-page.test.ts.
 */
import type { Page } from 'playwright'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { MEMBER, SMALL_FILE_CASES, WEIGHT_CASES, type HubCase } from '../support/hub-cases.ts'
import { expectInChat, expectInDonateView, HubPage } from '../support/hub-page.ts'

let served: HubPage
let page: Page

beforeAll(async () => {
  served = await HubPage.start()
})
afterAll(() => served?.stop())
beforeEach(async () => {
  page = await served.newPage()
})
afterEach(() => page.context().close())

function caseOf(repo: string): HubCase {
  const found = [...SMALL_FILE_CASES, ...WEIGHT_CASES].find((each) => each.repo === repo && each.token === undefined)
  if (found === undefined) throw new Error(`no case ${repo}`)
  return found
}

test('the chat says that a model is gated, links to its licence, and goes on with a pasted token', async () => {
  await expectInChat(page, served, caseOf('cases/gated'))
  await page.locator('#note-token').fill(MEMBER)
  await page.locator('#note-token').press('Enter')
  await page.locator('.chat-foot .note-error').waitFor({ state: 'detached' })
  await page.getByTestId('model-hint').getByText('has no tokenizer').waitFor()
  expect(JSON.stringify(await page.context().storageState({ indexedDB: true }))).not.toContain('hf_')
})

test('the donate view refuses a whole file in place of a part, and serves nothing', async () => {
  await expectInDonateView(page, served, caseOf('weights/whole'))
})

test('the donate view says that a download broke off for good, and serves nothing', async () => {
  await expectInDonateView(page, served, caseOf('weights/cut'))
})
