/**
 * A donor tab in the test's own browser, opened from a relay's page as a person would open it: what it prints to the console,
 * what its log panel shows, and the click that starts it.
 */
import type { Browser, BrowserContext, Page } from 'playwright'

export interface PanelLine {
  /** Milliseconds since 1970, as the panel's time says. */
  at: number
  text: string
}

export interface DonorPage {
  readonly page: Page
  /** Lines of the tab's console, in order. */
  readonly console: readonly string[]
  /** Lines of the log panel as they stand. */
  panel(): Promise<PanelLine[]>
  /** The click that begins: a link alone never does. */
  start(): Promise<void>
  /** Resolves when it serves. */
  serving(timeoutMs: number): Promise<void>
  close(): Promise<void>
}

/** Plans at once, with WGSL and without an autotune unless the query says otherwise, and waits for `start`. A context of its own: an identity and a cache of its own. */
export async function openDonorPage(
  browser: Browser,
  pageUrl: string,
  query: Readonly<Record<string, string>>,
): Promise<DonorPage> {
  const context: BrowserContext = await browser.newContext()
  const page = await context.newPage()
  const lines: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'log') lines.push(message.text())
  })
  const asked = { donate: '', tab: '0', backend: 'webgpu', autotune: 'off', ...query }
  await page.goto(`${pageUrl}?${new URLSearchParams(asked).toString()}`)
  const button = page.getByTestId('donate-start').and(page.locator(':enabled'))
  await button.waitFor({ timeout: 120_000 })
  return {
    page,
    console: lines,
    panel: () =>
      page
        .getByTestId('donate-log')
        .locator('p')
        .evaluateAll((rows) =>
          rows.map((row) => ({
            at: Date.parse(row.querySelector('time')?.dateTime ?? ''),
            text: row.querySelector('span')?.textContent ?? '',
          })),
        ),
    start: () => button.click(),
    async serving(timeoutMs) {
      await page.locator('.donor[data-status="serving"]').waitFor({ timeout: timeoutMs })
    },
    close: () => context.close(),
  }
}
