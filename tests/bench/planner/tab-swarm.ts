/**
 * A swarm of donor tabs in one Chromium on the 32-block fixture, their speeds simulated: slow enough that two processors compute
 * for all of them in time, and the placement decides what is carried.
 */
import { createHash } from 'node:crypto'
import type { Browser } from 'playwright'
import type { AppConfig } from '../../../swarm/app-config.ts'
import { makeModelId } from '../../../swarm/model-info.ts'
import { capacityOf } from '../../../swarm/planner/measures.ts'
import type { RuleName } from '../../../swarm/planner/rule-names.ts'
import type { Span } from '../../../swarm/span.ts'
import { launchChromium } from '../../support/browser.ts'
import { buildChatsPage, Chats } from '../../support/chats/chats.ts'
import { openDonorPage, type DonorPage } from '../../support/donor-page.ts'
import { TestSwarm } from '../../support/swarm.ts'
import { MODELS, REPO, tokensBound, UNIT_WEIGHTS } from './tab-figures.ts'

/** Checks of the balance, seconds in the mean: many in a run of minutes. */
const CHECK_SECONDS = 3
const SERVING_MS = 180_000
/** Looked at so often. */
const TICK_MS = 1_000

const PROMPT_IDS = [5, 17]
const NEW_TOKENS = 48

/** Of the page of chats. */
let script: string | null = null

export interface TabLike {
  /** Block-steps a second. */
  speed: number
  maxBlocks: number
}

interface Figures {
  status: string
  duty?: string
  span?: Span
  isMoving: boolean
}

export class Tab {
  readonly like: TabLike
  readonly donor: DonorPage
  readonly #from: TabSwarm

  constructor(like: TabLike, donor: DonorPage, from: TabSwarm) {
    this.like = like
    this.donor = donor
    this.#from = from
  }

  /** Starts, and resolves when it serves. */
  async serve(): Promise<void> {
    await this.donor.start()
    try {
      await this.donor.serving(SERVING_MS)
    } catch (error) {
      const { status } = await this.figures()
      throw new Error(`${status} after ${SERVING_MS} ms:\n${this.donor.console.slice(-30).join('\n')}`, {
        cause: error,
      })
    }
  }

  async figures(): Promise<Figures> {
    return await this.donor.page.evaluate(() => {
      const { tabswarm } = globalThis as unknown as {
        tabswarm: { donor(): { status: string; duty?: string; span?: Span; moving?: object | null } | null }
      }
      const state = tabswarm.donor()
      return {
        status: state?.status ?? '',
        ...(state?.duty === undefined ? {} : { duty: state.duty }),
        ...(state?.span === undefined ? {} : { span: state.span }),
        isMoving: (state?.moving ?? null) !== null,
      }
    })
  }

  async press(name: 'pause' | 'resume' | 'finish'): Promise<void> {
    await this.donor.page.getByTestId(`donate-${name}`).click()
  }

  /** Resolves when its duty or status is this. */
  async reaches(status: string): Promise<void> {
    await until(async () => {
      const figures = await this.figures()
      return (figures.duty ?? figures.status) === status || figures.status === status
    }, SERVING_MS)
  }

  /** Ends its process without a word. */
  async kill(): Promise<void> {
    this.#from.forget(this)
    // The page cannot answer any more: that is what is waited for.
    await this.donor.page.goto('chrome://crash').catch(() => undefined)
    await this.donor.close().catch(() => undefined)
  }
}

export class TabSwarm {
  readonly rule: RuleName
  readonly tabs: Tab[] = []
  readonly #swarm = new TestSwarm()
  readonly #browser: Browser

  private constructor(rule: RuleName, browser: Browser) {
    this.rule = rule
    this.#browser = browser
  }

  /** Relay, browser, and tabs that have joined one after another. */
  static async open(rule: RuleName, likes: readonly TabLike[]): Promise<TabSwarm> {
    const swarm = new TabSwarm(rule, await launchChromium())
    try {
      await swarm.#swarm.relay(['--models-dir', MODELS])
      const tabs = await Promise.all(likes.map((like) => swarm.plan(like)))
      for (const tab of tabs) await swarm.join(tab)
      return swarm
    } catch (error) {
      await swarm.close()
      throw error
    }
  }

  get pageUrl(): string {
    return `http://127.0.0.1:${this.#swarm.ports[0]}/`
  }

  /** Opened, and ready for the click. */
  async plan(like: TabLike): Promise<Tab> {
    const donor = await openDonorPage(this.#browser, this.pageUrl, {
      model: REPO,
      backend: 'wasm',
      weights: 'f32',
      threads: '1',
      rule: this.rule,
      num_blocks: String(like.maxBlocks),
      simulate_speed: String(like.speed),
      mean_balance_check_period: String(CHECK_SECONDS),
    })
    return new Tab(like, donor, this)
  }

  async join(tab: Tab): Promise<void> {
    await tab.serve()
    this.tabs.push(tab)
  }

  forget(tab: Tab): void {
    this.tabs.splice(this.tabs.indexOf(tab), 1)
  }

  async chats(count: number): Promise<Chats> {
    const config = (await (await fetch(new URL('config.json', this.pageUrl))).json()) as AppConfig
    // As the tabs resolved it: a relay's offer may name a branch.
    const revision = await this.#revision()
    const sha256 = (bytes: Uint8Array): Promise<Uint8Array> =>
      Promise.resolve(createHash('sha256').update(bytes).digest())
    return await Chats.open(this.#browser, (script ??= await buildChatsPage()), {
      relays: [...config.relays],
      // Token ids only: nothing is read of the model's files.
      model: {
        id: await makeModelId(REPO, revision, UNIT_WEIGHTS.length, sha256),
        maxPositionEmbeddings: 256,
        vocabSize: 2048,
        hiddenSize: 48,
        eosTokenIds: [],
        defaults: {},
        tokenizer: null,
        hasChatTemplate: false,
      },
      count,
      promptIds: PROMPT_IDS,
      newTokens: NEW_TOKENS,
    })
  }

  async #revision(): Promise<string> {
    const revision = await this.tabs[0]?.donor.page.evaluate(() => {
      const { tabswarm } = globalThis as unknown as { tabswarm: { donor(): { plan?: { revision: string } } | null } }
      return tabswarm.donor()?.plan?.revision
    })
    if (revision === undefined) throw new Error('no tab has a plan')
    return revision
  }

  async spans(): Promise<Span[]> {
    const figures = await Promise.all(this.tabs.map((tab) => tab.figures()))
    return figures.flatMap(({ span }) => (span === undefined ? [] : [span]))
  }

  /** Resolves when nobody has moved for so long. */
  async steady(ms: number): Promise<void> {
    let before = ''
    let since = performance.now()
    await until(async () => {
      const figures = await Promise.all(this.tabs.map((tab) => tab.figures()))
      const now = figures.map(({ span, isMoving }) => `${span?.start}:${span?.end}${String(isMoving)}`).join(' ')
      if (now !== before) since = performance.now()
      before = now
      return performance.now() - since >= ms
    }, SERVING_MS)
  }

  /** Tokens a second that no placement of these tabs can beat. */
  bound(): number {
    return tokensBound(this.tabs.map(({ like }) => like.speed))
  }

  /** What a tab adds to the bound. */
  share(tab: Tab): number {
    return tokensBound([tab.like.speed])
  }

  /** Times that a tab of those present began to serve other blocks. */
  moves(): number {
    const ready = (lines: readonly string[]): number =>
      lines.filter((line) => line.includes('server ready, blocks=')).length
    return this.tabs.reduce((sum, { donor }) => sum + Math.max(0, ready(donor.console) - 1), 0)
  }

  /** The most that any routing over the tabs' spans could carry, tokens a second. */
  async capacity(): Promise<number> {
    const spans = await this.spans()
    const peers = this.tabs.map(({ like }, index) => ({
      id: String(index),
      speed: { kind: 'steps' as const, blockStepsPerSecond: like.speed },
      maxBlocks: like.maxBlocks,
      leaveChance: 0,
    }))
    const placement = new Map(spans.map((span, index) => [String(index), span]))
    return capacityOf({ unitWeights: UNIT_WEIGHTS, peers }, placement)
  }

  async close(): Promise<void> {
    await this.#browser.close()
    await this.#swarm.stop()
  }
}

/** @throws Error when it is not so in time */
export async function until(isSo: () => boolean | Promise<boolean>, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`not so within ${timeoutMs} ms: ${String(isSo)}`)
    await sleep(TICK_MS)
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
