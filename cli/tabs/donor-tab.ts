/**
 * One headless donor tab: opens the page under the fixed origin, gives it the hub token, presses Start as a person would,
 * and follows its state. The donor's log lines come out word for word.
 */
import type { BrowserContext, ConsoleMessage, Page } from 'playwright'
import { fromPlainError, SwarmError, type PlainError } from '../../swarm/errors.ts'
import type { Span } from '../../swarm/span.ts'
import { TAB_ORIGIN } from '../browser/flags.ts'

export interface DonorTabOptions {
  context: BrowserContext
  /** Identity number within the profile. */
  index: number
  /** Query parameters beside `donate` and `tab`. */
  query: Readonly<Record<string, string>>
  token: string | null
  /** A line of the donor's log, as the page prints it. */
  onLogLine: (line: string) => void
  /** Warnings and errors of the page that are not the donor's log. */
  onTrouble: (line: string) => void
  onStatus: (status: TabStatus) => void
  signal: AbortSignal
}

/** The part of `DonorState` (web/donor/state.ts) that a command shows. */
export interface TabStatus {
  status: string
  phase?: string
  doneBytes?: number
  totalBytes?: number
  span?: Span
  throughput?: number
  peerId?: string
  backend?: string
  adapter?: string
  weights?: string
  error?: PlainError
}

export interface DonorTab {
  readonly index: number
  readonly page: Page
  /** Last state seen. */
  status(): TabStatus
  /** Resolves when the tab serves. @throws SwarmError what the page says went wrong */
  serving(): Promise<TabStatus>
  /** Resolves with the sentence when the tab ends by itself: failed, crashed or closed. */
  ended(): Promise<SwarmError>
  /** Says goodbye and closes the page. */
  close(): Promise<void>
}

/** The page's handle for the command line, as main.ts sets it. */
interface PageHandle {
  donor(): { status: string } | null
  setHubToken(token: string): void
}

/** How often the state is read: often enough for a progress line, too seldom to cost anything. */
const POLL_MS = 250
/** The page loads from this process and plans with a few requests; longer means that something hangs. */
const START_BUTTON_TIMEOUT_MS = 120_000

export async function openDonorTab(options: DonorTabOptions): Promise<DonorTab> {
  const page = await options.context.newPage()
  const tab = new HeadlessTab(page, options)
  await tab.start()
  return tab
}

class HeadlessTab implements DonorTab {
  readonly index: number
  readonly page: Page
  readonly #options: DonorTabOptions
  readonly #serving = Promise.withResolvers<TabStatus>()
  readonly #ended = Promise.withResolvers<SwarmError>()
  #status: TabStatus = { status: 'opening' }
  readonly #toldTroubles = new Set<string>()
  #closing = false
  #timer: NodeJS.Timeout | null = null

  constructor(page: Page, options: DonorTabOptions) {
    this.page = page
    this.index = options.index
    this.#options = options
    // A caller that never asks must not turn a failed tab into an unhandled rejection.
    this.#serving.promise.catch(() => undefined)
    page.on('console', (message) => this.#onConsole(message))
    page.on('pageerror', (error) => options.onTrouble(error.message))
    page.on('crash', () => this.#end(tabLost('crashed')))
    page.on('close', () => this.#end(tabLost('was closed')))
  }

  async start(): Promise<void> {
    const query = new URLSearchParams({ donate: '', tab: String(this.index), ...this.#options.query })
    await this.page.goto(`${TAB_ORIGIN}/?${query.toString()}`)
    const { token } = this.#options
    if (token !== null) {
      await this.page.waitForFunction(() => 'tabswarm' in globalThis)
      await this.page.evaluate((value) => {
        ;(globalThis as unknown as { tabswarm: PageHandle }).tabswarm.setHubToken(value)
      }, token)
    }
    this.#poll()
    const button = this.page.getByTestId('donate-start')
    // Whichever comes first: the button, or the reason why there will be none.
    const press = button.click({ timeout: START_BUTTON_TIMEOUT_MS }).then(() => 'pressed' as const)
    const failed = this.#ended.promise.then((error) => error)
    const first = await Promise.race([press, failed])
    if (first !== 'pressed') {
      press.catch(() => undefined)
      throw first
    }
  }

  status(): TabStatus {
    return this.#status
  }

  serving(): Promise<TabStatus> {
    return this.#serving.promise
  }

  ended(): Promise<SwarmError> {
    return this.#ended.promise
  }

  async close(): Promise<void> {
    this.#closing = true
    this.#stopPolling()
    // pagehide runs: the tab says goodbye to its neighbours and gives its locks back.
    if (!this.page.isClosed()) await this.page.close({ runBeforeUnload: false })
  }

  #onConsole(message: ConsoleMessage): void {
    if (message.type() === 'log') this.#options.onLogLine(message.text())
    else if (message.type() === 'warning' || message.type() === 'error') this.#tellTrouble(message.text())
  }

  /** Once a cause: a dead relay is dialled every second, and the browser reports each try with one of several reasons. */
  #tellTrouble(text: string): void {
    const cause = text.replace(/ failed: .*/s, ' failed')
    if (this.#toldTroubles.has(cause)) return
    this.#toldTroubles.add(cause)
    this.#options.onTrouble(text)
  }

  #poll(): void {
    this.#timer = setTimeout(() => {
      void this.#readState().finally(() => {
        if (this.#timer !== null) this.#poll()
      })
    }, POLL_MS)
  }

  #stopPolling(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  async #readState(): Promise<void> {
    let state: TabStatus | null
    try {
      state = await this.page.evaluate(readTabStatus)
    } catch {
      // The page is going away; its close or crash event says so.
      return
    }
    if (state === null) return
    this.#status = state
    this.#options.onStatus(state)
    if (state.status === 'serving') this.#serving.resolve(state)
    if (state.status === 'failed' && state.error !== undefined) this.#end(fromPlainError(state.error))
    if (state.status === 'stopped') this.#end(tabLost('stopped serving'))
  }

  #end(error: SwarmError): void {
    this.#stopPolling()
    if (this.#closing) return
    this.#serving.reject(error)
    this.#ended.resolve(error)
  }
}

/** Runs in the page: the state, cut down to what is shown here. */
function readTabStatus(): TabStatus | null {
  const handle = (globalThis as unknown as { tabswarm?: PageHandle }).tabswarm
  const state = handle?.donor() as
    | {
        status: string
        span?: Span
        throughput?: number
        peerId?: string
        error?: PlainError
        plan?: { backend: string; adapter: string; weights: string }
        progress?: { phase: string; doneBytes: number; totalBytes: number }
      }
    | null
    | undefined
  if (state === null || state === undefined) return null
  return {
    status: state.status,
    ...(state.span === undefined ? {} : { span: { start: state.span.start, end: state.span.end } }),
    ...(state.throughput === undefined ? {} : { throughput: state.throughput }),
    ...(state.peerId === undefined ? {} : { peerId: state.peerId }),
    ...(state.error === undefined ? {} : { error: state.error }),
    ...(state.plan === undefined
      ? {}
      : { backend: state.plan.backend, adapter: state.plan.adapter, weights: state.plan.weights }),
    ...(state.progress === undefined
      ? {}
      : {
          phase: state.progress.phase,
          doneBytes: state.progress.doneBytes,
          totalBytes: state.progress.totalBytes,
        }),
  }
}

function tabLost(how: string): SwarmError {
  return new SwarmError('PEER_LOST', `The donor tab ${how}`, { retryable: true, action: 'Start it again.' })
}
