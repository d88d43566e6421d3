/**
 * The page in the phone's own browser: over https from the relay's public address, behind the carrier's router, answered by two donors in
 * two homes. Then the relay is out of reach: who is there goes on, who comes then is told of the relay and answered after it.
 */
import type { Browser } from 'playwright'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { launchChromium } from '../support/browser.ts'
import { keyHash, TestAuthority, whyNoCertificates } from '../support/certificates.ts'
import { ChatPage } from '../support/chat-page.ts'
import { World } from '../support/homes/world.ts'
import { whyNoRouters } from '../support/namespaces/whether.ts'
import { makeTempDir, removeTempDir } from '../support/processes.ts'
import { tinytalesCase } from '../support/swarm.ts'

const STORY = tinytalesCase('Tell me a story.')
const WHY_NOT = whyNoRouters() ?? whyNoCertificates()

describe.skipIf(WHY_NOT !== null)(`a phone's page${WHY_NOT === null ? '' : ` (skipped: ${WHY_NOT})`}`, () => {
  let world: World
  let folder: string
  let browser: Browser
  let url: string
  let chat: ChatPage

  beforeAll(async () => {
    folder = makeTempDir('phone')
    world = new World()
    const authority = new TestAuthority(folder)
    const certificate = authority.certificate('relay', [`IP:${world.relayHost.address}`])
    const tls = ['--tls-cert', certificate.certFile, '--tls-key', certificate.keyFile]
    const address = await world.relayHost.startRelay(...tls)
    expect(address).toContain(`/ip4/${world.relayHost.address}/tcp/8080/tls/ws/`)
    await world.startDonors(address, ['--ca', authority.caFile])
    url = `https://${world.relayHost.address}:8080/`
    browser = await launchChromium({
      wrapper: world.phone.browserWrapper(),
      args: [`--ignore-certificate-errors-spki-list=${keyHash(certificate)}`],
    })
    chat = new ChatPage(await browser.newPage())
  })
  afterAll(async () => {
    await browser?.close()
    await world?.stop()
    removeTempDir(folder)
  })

  test('is answered by both homes directly, with the reference’s text', async () => {
    await chat.openGreedy(url)
    await chat.send(STORY.prompt)
    expect(await chat.finished(0)).toBe(STORY.greedy_text.trim())
    expect(await chat.page.locator('.route-hop').count()).toBe(2)
    expect(await chat.page.locator('.route-hop.is-relayed').count()).toBe(0)
  })

  test('the relay out of reach: the open chat goes on, a new tab is told of the relay and answered after the mend', async () => {
    const visitor = new ChatPage(await browser.newPage())
    // Such a tab joins when it is asked to: the page has come, and the relay goes before it does.
    await visitor.page.goto(`${url}?tab=1&backend=webgpu&autotune=off#donate`)
    await visitor.page.locator('.donor[data-status="ready"]').waitFor({ timeout: 60_000 })
    world.relayHost.line.cut()
    const cutAt = performance.now()
    await visitor.page.getByRole('link', { name: 'Chat' }).click()
    await visitor.page.locator('.relay-notice[data-trouble="lost"]').waitFor({ timeout: 60_000 })
    console.log(`a new visitor is told of the relay ${seconds(cutAt)} s after the cut`)
    await chat.send(STORY.prompt)
    const again = await chat.finished(1)
    await chat.page.locator('.relay-notice[data-trouble="lost"]').waitFor({ timeout: 90_000 })
    console.log(`the page says that the relay is gone ${seconds(cutAt)} s after the cut`)
    expect(again.length).toBeGreaterThan(0)
    expect(await chat.page.locator('.happenings li').count()).toBe(0)
    const mendedAt = performance.now()
    world.relayHost.line.mend()
    await chat.page.locator('.relay-notice').waitFor({ state: 'detached', timeout: 90_000 })
    console.log(`the page is back at the relay ${seconds(mendedAt)} s after the mend`)
    await visitor.covered()
    console.log(`the new visitor sees all blocks ${seconds(mendedAt)} s after the mend`)
    await visitor.makeGreedy()
    await visitor.send(STORY.prompt)
    expect(await visitor.finished(0)).toBe(STORY.greedy_text.trim())
  })
})

function seconds(since: number): string {
  return ((performance.now() - since) / 1_000).toFixed(1)
}
