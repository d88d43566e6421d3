/** The page as a person uses it: ask, wait for the answer, read what stands there. Shared by the tests that prompt from a tab. */
import type { Locator, Page } from 'playwright'

export class ChatPage {
  readonly page: Page

  constructor(page: Page) {
    this.page = page
  }

  /** Opens the page and waits until the swarm can answer; greedy, so that the text is the reference's. */
  async openGreedy(url: string, coveredWithinMs = 60_000): Promise<void> {
    await this.page.goto(url)
    await this.covered(coveredWithinMs)
    await this.makeGreedy()
  }

  async covered(timeout = 60_000): Promise<void> {
    await this.page.getByTestId('model-coverage').and(this.page.locator('.is-complete')).waitFor({ timeout })
  }

  async makeGreedy(): Promise<void> {
    await this.page.getByTestId('chat-settings').click()
    await this.page.getByTestId('setting-temperature').fill('0')
    await this.page.getByTestId('setting-temperature').blur()
    await this.page.keyboard.press('Escape')
  }

  async send(text: string): Promise<void> {
    await this.page.getByTestId('chat-input').fill(text)
    await this.page.getByTestId('chat-send').click()
  }

  answers(): Locator {
    return this.page.getByTestId('chat-message-assistant')
  }

  /** The text of an answer that has reached `state`. */
  async finished(index: number, state = 'done', timeout = 120_000): Promise<string> {
    await this.answers()
      .nth(index)
      .and(this.page.locator(`[data-state="${state}"]`))
      .waitFor({ timeout })
    return this.textOf(index)
  }

  async textOf(index: number): Promise<string> {
    return (await this.answers().nth(index).getByTestId('chat-message-text').innerText()).trim()
  }

  /** Resolves when a few words of the last answer stand on the page. */
  async underWay(): Promise<void> {
    const text = this.answers().last().getByTestId('chat-message-text')
    await text.filter({ hasText: /\w{2,}(\W+\w+){3}/ }).waitFor({ timeout: 60_000 })
  }

  /** Whole peer ids by the blocks they run, of the last answer's route. */
  async route(): Promise<{ peerId: string; span: string }[]> {
    return this.page
      .getByTestId('chat-route')
      .last()
      .locator('li')
      .evaluateAll((items) =>
        items.map((item) => ({
          peerId: item.getAttribute('data-peer') ?? '',
          span: item.querySelector('.route-span')?.textContent ?? '',
        })),
      )
  }

  /** What the page says on a lost tab, one line each. */
  async happenings(): Promise<string[]> {
    return this.answers().last().locator('.happenings li').allInnerTexts()
  }

  status(): Locator {
    return this.page.getByTestId('chat-status')
  }

  /** Peers that this page knows of. */
  async directory(): Promise<{ peerId: string; state: string }[]> {
    return this.page.evaluate(() => {
      const { tabswarm } = globalThis as unknown as {
        tabswarm: { directory(): { peerId: string; state: string }[] }
      }
      return tabswarm.directory().map(({ peerId, state }) => ({ peerId, state }))
    })
  }
}
