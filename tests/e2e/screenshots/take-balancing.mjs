/**
 * Takes the pictures of the guide (`docs/load-balancing.md`) from a real swarm: three donors on one half of the model and one
 * on the other, then the same after one of them has seen it and moved. `node tests/e2e/screenshots/take-balancing.mjs
 * [FOLDER]`. Run on demand, never by tests.
 */
import { join } from 'node:path'
import { FOLDER, openPage, picture, withTabswarm } from './support.mjs'

const folder = process.argv[2] ?? FOLDER
/** Block-steps a second: 15.25 passes a second through four blocks, as on a small GPU. */
const SPEED = { simulate_speed: '61', backend: 'software' }
const FIXED = { ...SPEED, splits: '4' }
/** Rare enough for a picture before the first check, often enough not to wait for ever. */
const PERIOD_SECONDS = '20'

await withTabswarm(['relay', '--host', '127.0.0.1'], /DHT visible multiaddrs/, async (browser, url) => {
  const swarmPages = await Promise.all(
    ['en', 'ko'].map(async (language) => {
      const page = await openPage(browser, 'desktop', 'light', language)
      await page.goto(`${url}#swarm`)
      return { language, page }
    }),
  )
  const swarmPictures = async (name, counts) => {
    for (const { language, page } of swarmPages) {
      await page.waitForFunction(
        (wanted) => [...document.querySelectorAll('.map-count')].map((each) => each.textContent).join() === wanted,
        counts.join(),
      )
      await picture(page, join(folder, `${name}-${language}.png`))
    }
  }
  await donate(browser, url, { ...FIXED, stage: '1' }, 'en')
  const mover = await donate(
    browser,
    url,
    { ...SPEED, rule: 'petals', num_blocks: '4', mean_balance_check_period: PERIOD_SECONDS },
    'en',
  )
  await Promise.all([
    donate(browser, url, { ...FIXED, stage: '0' }, 'en'),
    donate(browser, url, { ...FIXED, stage: '0' }, 'en'),
  ])
  await swarmPictures('balance-before', [3, 3, 3, 3, 1, 1, 1, 1])
  await mover.getByTestId('donate-log').getByText('blocks=[4, 5, 6, 7]').waitFor({ timeout: 120_000 })
  for (const language of ['en', 'ko']) {
    await mover
      .getByLabel(/^(Language|언어)$/)
      .first()
      .selectOption(language)
    await mover.getByTestId('donate-log').scrollIntoViewIfNeeded()
    await picture(mover, join(folder, `rebalancing-${language}.png`))
  }
  await swarmPictures('balance-after', [2, 2, 2, 2, 2, 2, 2, 2])
})

async function donate(browser, url, query, language) {
  const page = await openPage(browser, 'desktop', 'light', language)
  await page.goto(`${url}?${new URLSearchParams({ donate: '', tab: '0', ...query })}`)
  await page.getByTestId('donate-start').and(page.locator(':enabled')).click({ timeout: 60_000 })
  await page.locator('[data-status="serving"]').waitFor({ timeout: 60_000 })
  return page
}
