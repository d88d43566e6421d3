/** One tab of a `CdpChromium`: in front or hidden, frozen or running, as the page itself tells. */
import { expect, vi } from 'vitest'
import type { Devtools } from './devtools.ts'

/** Counts what the page sees of its own life, from before its first script on. */
const WITNESS = `
globalThis.witness = { ticks: 0, events: [] };
setInterval(() => { globalThis.witness.ticks += 1 }, 100);
for (const [target, names] of [[document, ['visibilitychange', 'freeze', 'resume']], [globalThis, ['pagehide', 'pageshow']]]) {
  for (const name of names) target.addEventListener(name, (event) => {
    globalThis.witness.events.push(name === 'visibilitychange' ? document.visibilityState : name + (event.persisted ? ' persisted' : ''))
  })
}`

export interface Witness {
  /** Of a timer of 100 ms. */
  ticks: number
  events: string[]
}

export class CdpTab {
  readonly #devtools: Devtools
  readonly #target: string
  readonly #session: string
  /** Lines of the tab's console, in order. */
  readonly console: string[] = []
  /** Uncaught errors and errors of the console. */
  readonly errors: string[] = []

  private constructor(devtools: Devtools, target: string, session: string) {
    this.#devtools = devtools
    this.#target = target
    this.#session = session
    devtools.onEvents(session, (method, params) => this.#take(method, params))
  }

  static async open(devtools: Devtools, url: string): Promise<CdpTab> {
    const { targetId } = await devtools.send('Target.createTarget', { url: 'about:blank' })
    const tab = await CdpTab.attach(devtools, targetId as string)
    await tab.send('Page.navigate', { url })
    return tab
  }

  /** To a tab that is there; its document is watched from the next one on. */
  static async attach(devtools: Devtools, targetId: string): Promise<CdpTab> {
    const { sessionId } = await devtools.send('Target.attachToTarget', { targetId, flatten: true })
    const tab = new CdpTab(devtools, targetId, sessionId as string)
    await tab.send('Runtime.enable')
    await tab.send('Page.enable')
    await tab.send('Page.addScriptToEvaluateOnNewDocument', { source: WITNESS })
    return tab
  }

  async detach(): Promise<void> {
    await this.#devtools.send('Target.detachFromTarget', { sessionId: this.#session })
  }

  send(method: string, params: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    return this.#devtools.send(method, params, this.#session)
  }

  /** The value of an expression, promises awaited. @throws Error what the page threw */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = (await this.send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })) as { result: { value: T }; exceptionDetails?: { text: string; exception?: { description?: string } } }
    if (exceptionDetails !== undefined) {
      throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`)
    }
    return result.value
  }

  /** Resolves when the expression is true; looked at from outside, so that throttled pages are no slower to answer. */
  async until(expression: string, timeoutMs = 60_000): Promise<void> {
    const look = async (): Promise<void> => expect(await this.evaluate(expression), expression).toBe(true)
    await vi.waitFor(look, { timeout: timeoutMs, interval: 50 })
  }

  /** What the page saw of itself. */
  async witness(): Promise<Witness> {
    return this.evaluate<Witness>('globalThis.witness')
  }

  /** Brings it to the front, which hides the one that was there. */
  async show(): Promise<void> {
    await this.#devtools.send('Target.activateTarget', { targetId: this.#target })
  }

  /** Resolves when the page itself says that it is hidden. */
  async hidden(): Promise<void> {
    await this.until(`document.visibilityState === 'hidden'`)
    expect((await this.witness()).events).toContain('hidden')
  }

  /** Freezes a hidden tab; resolves when the page has seen it. */
  async freeze(): Promise<void> {
    await this.hidden()
    await this.send('Page.setWebLifecycleState', { state: 'frozen' })
    expect((await this.witness()).events.at(-1)).toBe('freeze')
  }

  /** Asserts that its timers stand still: not one tick in a time that has two of them in a hidden page. */
  async standsStill(): Promise<void> {
    const before = await this.witness()
    await new Promise((resolve) => setTimeout(resolve, 2_200))
    expect(await this.witness(), 'a frozen page runs no timer').toEqual(before)
  }

  async thaw(): Promise<void> {
    await this.send('Page.setWebLifecycleState', { state: 'active' })
    await this.until(`globalThis.witness.events.at(-1) === 'resume'`)
  }

  async click(testId: string): Promise<void> {
    await this.until(`document.querySelector('[data-testid="${testId}"]:enabled') !== null`)
    await this.evaluate(`document.querySelector('[data-testid="${testId}"]').click()`)
  }

  async close(): Promise<void> {
    await this.#devtools.send('Target.closeTarget', { targetId: this.#target })
  }

  #take(method: string, params: Record<string, unknown>): void {
    if (method === 'Runtime.consoleAPICalled') {
      const { type, args } = params as {
        type: string
        args: { value?: string | number | boolean; description?: string }[]
      }
      const line = args.map(({ value, description }) => String(value ?? description)).join(' ')
      this.console.push(line)
      if (type === 'error') this.errors.push(`console: ${line}`)
    } else if (method === 'Runtime.exceptionThrown') {
      const { exceptionDetails } = params as {
        exceptionDetails: { text: string; exception?: { description?: string } }
      }
      this.errors.push(`pageerror: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`)
    }
  }
}
