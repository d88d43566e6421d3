/**
 * How other tabs come to a serving one, as its page finds out: directly on one machine, through the relay where the browser may use
 * no UDP, not at all without a relay. The probe's second peer is gone afterwards, and the tab serves on.
 */
import type { Browser, Locator } from 'playwright'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { launchChromium } from '../support/browser.ts'
import { openDonorPage, type DonorPage } from '../support/donor-page.ts'
import { NO_UDP_FLAG } from '../support/no-udp-chromium.ts'
import type { StartedProcess } from '../support/processes.ts'
import { TestSwarm } from '../support/swarm.ts'

const RELAY = ['--host', '127.0.0.1']
/** The way of a person: the tab has no number. */
const OPTIONS = { num_blocks: '8', backend: 'software', tab: '' }
const PROBED_MS = 60_000
/** The one that looks at the swarm for the plan, and the one that serves. */
const PEERS_OF_PAGE = 2

let swarm: TestSwarm
let url: string
let browser: Browser
let donor: DonorPage

beforeAll(async () => {
  swarm = new TestSwarm()
  await swarm.relay(RELAY)
  url = `http://127.0.0.1:${swarm.ports[0]}/`
  browser = await launchChromium()
})
afterAll(async () => {
  await browser?.close()
  await swarm?.stop()
})

/** The panel when it has come to that verdict. */
async function found(tab: DonorPage, verdict: string): Promise<Locator> {
  const panel = tab.page.getByTestId('reach')
  await panel.and(tab.page.locator(`[data-verdict="${verdict}"]`)).waitFor({ timeout: PROBED_MS })
  return panel
}

/** Peers that are connected to the relay, as it counts them. */
async function peersAtRelay(): Promise<number> {
  const text = await (await fetch(`${url}metrics`)).text()
  return Number(/^tabswarm_relay_connections(?:\{[^}]*\})? (\d+)$/m.exec(text)?.[1] ?? Number.NaN)
}

test('on one machine: direct, told once it serves, and the second peer is gone again', async () => {
  donor = await openDonorPage(browser, url, OPTIONS)
  await donor.start()
  await donor.serving(PROBED_MS)
  const panel = await found(donor, 'direct')
  expect(await panel.innerText()).toContain('Direct. Tabs on this machine and its network connect directly.')
  await panel.locator('summary').click()
  expect(await panel.locator('dd').allInnerTexts()).toEqual([
    expect.stringMatching(/^held at \/ip4\/127\.0\.0\.1\/tcp\/\d+\/ws\/p2p\/12D3/),
    expect.stringContaining('only those of this machine'),
    'directly (WebRTC)',
  ])
  await expect.poll(peersAtRelay, { timeout: 10_000 }).toBe(PEERS_OF_PAGE)
  expect(await donor.page.locator('[data-status="serving"]').count()).toBe(1)
})

test('without its relay: unreachable, with what is being done; with the relay back, direct again', async () => {
  const relay = swarm.relays[0] as StartedProcess
  relay.signal('SIGKILL')
  await relay.exited(10_000)
  const panel = donor.page.getByTestId('reach')
  await panel.getByRole('button', { name: 'Look again' }).click()
  await found(donor, 'unreachable')
  expect(await panel.innerText()).toContain('Unreachable. No relay answers, so new tabs cannot find this one.')
  expect(await panel.locator('dd').last().innerText()).toBe('not tried: nobody could introduce it')
  await swarm.relay(RELAY, 0)
  // It comes back by itself; how soon is the relays' business.
  await expect
    .poll(
      async () => {
        await panel.getByRole('button', { name: 'Look again' }).click()
        await panel.and(donor.page.locator('[data-verdict="direct"], [data-verdict="unreachable"]')).waitFor()
        return await panel.getAttribute('data-verdict')
      },
      { timeout: PROBED_MS },
    )
    .toBe('direct')
  expect(await donor.page.locator('[data-status="serving"]').count()).toBe(1)
  await donor.close()
})

test('a browser that may use no UDP: through the relay, and why', async () => {
  const withoutUdp = await launchChromium({ args: [NO_UDP_FLAG] })
  try {
    const tab = await openDonorPage(withoutUdp, url, OPTIONS)
    await tab.start()
    await tab.serving(PROBED_MS)
    const panel = await found(tab, 'relayed')
    expect(await panel.innerText()).toContain('Through the relay. This browser may not use UDP here')
    await panel.locator('summary').click()
    expect(await panel.locator('dd').allInnerTexts()).toEqual([
      expect.stringMatching(/^held at /),
      'none at all: the browser offers no UDP',
      'through the relay only',
    ])
    await expect.poll(peersAtRelay, { timeout: 10_000 }).toBe(PEERS_OF_PAGE)
    // And so it is for whoever asks.
    const answer = await swarm.prompt(['--temperature', '0', '--max-tokens', '4', '--prompt', 'Hello!'])
    expect(answer.route.map(({ path }) => path)).toEqual(['relayed'])
    const bytes = (way: string): Locator =>
      tab.page.getByTestId('donate-stats').locator('.tile', { hasText: way }).locator('dd')
    await bytes('Received by relay')
      .getByText(/^[1-9][\d.]* k?B$/)
      .waitFor({ timeout: 10_000 })
    expect(await bytes('Received directly').innerText()).toBe('0 B')
    await tab.close()
  } finally {
    await withoutUdp.close()
  }
})
