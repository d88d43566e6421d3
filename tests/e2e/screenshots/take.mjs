/**
 * Takes the pictures of `docs/screenshots` from a real swarm: `node tests/e2e/screenshots/take.mjs [FOLDER]`. Starts
 * `tabswarm start`, asks one question in each picture of the chat, and stops everything. Run on demand, never by tests.
 */
import { join } from 'node:path'
import { FOLDER, openPage, picture, withTabswarm } from './support.mjs'

const folder = process.argv[2] ?? FOLDER
/** Every view on both devices; themes and languages change places so that each pair is seen. */
const PICTURES = [
  ['chat', 'desktop', 'light', 'en'],
  ['chat', 'desktop', 'dark', 'ko'],
  ['chat', 'phone', 'light', 'ko'],
  ['chat', 'phone', 'dark', 'en'],
  ['donate', 'desktop', 'light', 'ko'],
  ['donate', 'desktop', 'dark', 'en'],
  ['donate', 'phone', 'light', 'en'],
  ['donate', 'phone', 'dark', 'ko'],
  ['serving', 'desktop', 'light', 'en'],
  ['serving', 'phone', 'dark', 'ko'],
  ['swarm', 'desktop', 'light', 'en'],
  ['swarm', 'desktop', 'dark', 'ko'],
  ['swarm', 'phone', 'light', 'ko'],
  ['swarm', 'phone', 'dark', 'en'],
]
const QUESTIONS = { en: ['Hello!', 'Tell me a story about a basket.'], ko: ['안녕하세요!', '짧은 이야기를 들려줘.'] }

await withTabswarm(['start'], /^Ready:/m, async (browser, url) => {
  for (const one of PICTURES) await take(browser, url, ...one)
})

async function take(browser, url, view, device, theme, language) {
  const page = await openPage(browser, device, theme, language)
  const donates = view === 'donate' || view === 'serving'
  await page.goto(`${url}${donates ? '?num_blocks=2#donate' : `#${view}`}`)
  if (view === 'chat') {
    await page.locator('.model-coverage.is-complete').waitFor()
    for (const [i, question] of QUESTIONS[language].entries()) {
      await page.getByTestId('chat-input').fill(question)
      await page.getByTestId('chat-send').click()
      const answer = page.getByTestId('chat-message-assistant').nth(i)
      await answer.and(page.locator('[data-state="done"]')).waitFor({ timeout: 120_000 })
    }
    // The meter counts the finished answer a moment later.
    await page
      .getByTestId('context-meter')
      .filter({ hasText: /(^|\s)([5-9]\d|\d{3})( of|\/)/ })
      .waitFor()
  }
  if (donates) await page.locator('[data-status="ready"]').waitFor({ timeout: 60_000 })
  if (view === 'serving') {
    await page.getByTestId('donate-start').click()
    await page.locator('[data-status="serving"]').waitFor({ timeout: 60_000 })
    await page.evaluate(() => document.querySelector('main').scrollTo(0, 0))
  }
  if (view === 'swarm') await page.getByTestId('swarm-table').waitFor()
  await picture(page, join(folder, `${view}-${device}-${theme}-${language}.png`))
  await page.context().close()
}
