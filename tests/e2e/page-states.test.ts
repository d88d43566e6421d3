/**
 * Every state of the page over fakes: nothing serious by axe in both themes and languages, nothing wider than a phone,
 * no error in the console. With TABSWARM_SCREENSHOTS=FOLDER it also leaves a picture of each.
 */
import { AxeBuilder } from '@axe-core/playwright'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { launchChromium, watchErrors } from '../support/browser.ts'
import { SCENES } from './harness/scenes.ts'
import { startHarness, type Harness } from './harness-server.ts'

const DEVICES = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } }
/** Seen in every theme and language on both devices; the other states on one of each. */
const EVERYWHERE = ['chat', 'donate-ready', 'swarm-missing']
const ALL = [
  ['en', 'light', 'desktop'],
  ['ko', 'dark', 'phone'],
  ['ko', 'light', 'phone'],
  ['en', 'dark', 'desktop'],
] as const
const pictures = process.env['TABSWARM_SCREENSHOTS']
const only = process.env['TABSWARM_SCENES']?.split(',')

type Device = keyof typeof DEVICES
let harness: Harness
let browser: Browser
/** One for each device: pages of one context share the browser's cache. */
const contexts = new Map<Device, BrowserContext>()

beforeAll(async () => {
  harness = await startHarness()
  browser = await launchChromium()
  for (const device of ['phone', 'desktop'] as const) {
    contexts.set(device, await browser.newContext({ viewport: DEVICES[device] }))
  }
})
afterAll(async () => {
  await browser.close()
  await harness.stop()
})

async function show(page: Page, scene: string, language: string, theme: string): Promise<void> {
  await page.goto(harness.url(scene, { language, theme }))
  await page.locator('html[data-ready]').waitFor()
}

describe.each(Object.keys(SCENES).filter((name) => only?.includes(name) ?? true))('%s', (scene) => {
  const looks = EVERYWHERE.includes(scene) ? ALL : ALL.slice(0, 2)
  test.each(looks)('%s, %s, %s', async (language, theme, device) => {
    const page = await (contexts.get(device) ?? (await browser.newContext())).newPage()
    const errors = watchErrors(page)
    try {
      await show(page, scene, language, theme)
      expect(await page.locator('html').getAttribute('lang')).toBe(language)
      if (pictures !== undefined) {
        mkdirSync(pictures, { recursive: true })
        await page.screenshot({ path: join(pictures, `${scene}-${device}-${theme}-${language}.png`) })
      }
      // The chat's log scrolls by itself: what is too wide in it would not make the page wider.
      const overflow = await page.evaluate(() =>
        Math.max(
          document.documentElement.scrollWidth - innerWidth,
          ...Array.from(
            document.querySelectorAll('.log, main'),
            (element) => element.scrollWidth - element.clientWidth,
          ),
        ),
      )
      expect(overflow, 'wider than the screen').toBeLessThanOrEqual(0)
      const { violations } = await new AxeBuilder({ page }).analyze()
      const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
      expect(
        serious.map(
          ({ id, nodes }) =>
            `${id}: ${nodes.map((node) => `${node.target.join(' ')} ${node.failureSummary}`).join(' | ')}`,
        ),
      ).toEqual([])
      expect(errors).toEqual([])
    } finally {
      await page.close()
    }
  })
})
