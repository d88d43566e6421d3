/** The hub cases on the real page: what the chat and the donate view say, and a token pasted where the page asks for it. */
import type { Browser, Page } from 'playwright'
import { expect } from 'vitest'
import { launchChromium } from './browser.ts'
import { inWords, SMALL_FILE_CASES, startCaseHub, WEIGHT_CASES, type HubCase } from './hub-cases.ts'
import type { HubStandIn } from './hub-stand-in.ts'
import { watchOnline, type RecordWatch } from './record-watch.ts'
import { TestSwarm } from './swarm.ts'

/** A relay whose page reads from the misbehaving hub, and a browser to open it in. */
export class HubPage {
  readonly hub: HubStandIn
  readonly url: string
  readonly #swarm: TestSwarm
  readonly #online: RecordWatch
  readonly #browser: Browser

  private constructor(hub: HubStandIn, swarm: TestSwarm, online: RecordWatch, browser: Browser) {
    this.hub = hub
    this.url = `http://127.0.0.1:${swarm.ports[0]}/`
    this.#swarm = swarm
    this.#online = online
    this.#browser = browser
  }

  static async start(): Promise<HubPage> {
    const hub = await startCaseHub([...SMALL_FILE_CASES, ...WEIGHT_CASES])
    const swarm = new TestSwarm()
    await swarm.relay(['--hub-url', hub.url])
    return new HubPage(hub, swarm, await watchOnline(swarm.addresses[0] as string), await launchChromium())
  }

  async newPage(): Promise<Page> {
    return (await this.#browser.newContext({ locale: 'en-US' })).newPage()
  }

  /** Fails the test when anything was announced as served, or a token went to another origin than the hub's. */
  async stop(): Promise<void> {
    const served = this.#online.peers()
    const leaks = this.hub.tokenLeaks()
    await this.#browser.close()
    await this.#online.stop()
    await this.#swarm.stop()
    await this.hub.close()
    expect(served).toEqual([])
    expect(leaks).toEqual([])
  }
}

function linkTo(hubCase: HubCase, more: Record<string, string> = {}): string {
  const query = new URLSearchParams({ model: hubCase.repo, ...more })
  if (hubCase.revision !== undefined) query.set('revision', hubCase.revision)
  return `?${query.toString()}`
}

/** Opens the chat with the case's model. */
export async function expectInChat(page: Page, { url, hub }: HubPage, hubCase: HubCase): Promise<void> {
  await page.goto(`${url}${linkTo(hubCase)}`)
  await page.locator('.chat-foot .note-error').waitFor({ timeout: 60_000 })
  if (hubCase.token !== undefined) {
    await page.locator('#note-token').fill(hubCase.token)
    await page.locator('#note-token').press('Enter')
  }
  await expectNote(page, hubCase, hub)
}

/** Opens the donate view with the case's model and presses Start if the plan succeeds. */
export async function expectInDonateView(page: Page, { url, hub }: HubPage, hubCase: HubCase): Promise<void> {
  await page.goto(
    `${url}${linkTo(hubCase, { donate: '', splits: '2,4', stage: '0', backend: 'webgpu', autotune: 'off' })}`,
  )
  if (hubCase.token !== undefined) {
    await page.getByText('Options').click()
    await page.locator('#donate-token').fill(hubCase.token)
    await page.locator('#donate-token').blur()
  }
  const state = page.locator('.donor')
  await state.and(page.locator('[data-status="ready"], [data-status="failed"]')).waitFor({ timeout: 60_000 })
  if ((await state.getAttribute('data-status')) === 'ready') await page.getByTestId('donate-start').click()
  await state.and(page.locator('[data-status="failed"]')).waitFor({ timeout: 60_000 })
  await expectNote(page, hubCase, hub)
  const served = await page.evaluate(() => {
    const { tabswarm } = globalThis as unknown as { tabswarm: { donorLog(): readonly { text: string }[] } }
    return tabswarm.donorLog().filter(({ text }) => text.includes('server ready'))
  })
  expect(served).toEqual([])
}

async function expectNote(page: Page, hubCase: HubCase, hub: HubStandIn): Promise<void> {
  const note = page.locator(`.note-error[data-code="${hubCase.code}"]`).filter({ hasText: inWords(hubCase.says, hub) })
  await note.first().waitFor({ timeout: 60_000, state: 'attached' })
  const text = (await note.first().innerText()).replaceAll(/\s+/g, ' ')
  // What happened and what to do stand open; the error's own words are folded below.
  expect(text).toMatch(/^[^.]+\. .*\.( |$)/)
  if (hubCase.onPage === undefined) expect(text).toContain(inWords(hubCase.does, hub))
  if (hubCase.code === 'HUB_GATED') {
    expect(await note.first().getByRole('link').getAttribute('href')).toBe(`${hub.url}/${hubCase.repo}`)
  }
  expect(await page.content()).not.toContain('hf_')
  expect(page.url()).not.toContain('hf_')
}
