/** Every case of the hub's table on the real page, in the chat and in the donate view. */
import type { Page } from 'playwright'
import { afterAll, afterEach, beforeAll, beforeEach, describe, test } from 'vitest'
import { SMALL_FILE_CASES, WEIGHT_CASES } from '../support/hub-cases.ts'
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

describe('chat', () => {
  test.each(SMALL_FILE_CASES)('$name', async (hubCase) => expectInChat(page, served, hubCase))
})

describe('donate view', () => {
  test.each([...SMALL_FILE_CASES, ...WEIGHT_CASES])('$name', async (hubCase) => {
    await expectInDonateView(page, served, hubCase)
  })
})
