/**
 * The donor tabs of one process: opened together in one browser, followed together, closed together. Progress is one line
 * for all of them, because a person watches the swarm come up and not tab three.
 */
import type { BrowserContext } from 'playwright'
import type { SwarmError } from '../../swarm/errors.ts'
import type { Output } from '../output/console.ts'
import { openDonorTab, type DonorTab, type TabStatus } from './donor-tab.ts'

export interface TabGroupOptions {
  context: BrowserContext
  count: number
  query: Readonly<Record<string, string>>
  token: string | null
  output: Output
  signal: AbortSignal
}

export interface TabGroup {
  readonly tabs: readonly DonorTab[]
  /** Resolves when every tab serves. @throws SwarmError of the first that cannot */
  serving(): Promise<TabStatus[]>
  /** Resolves when one tab ends by itself. */
  firstEnd(): Promise<{ index: number; error: SwarmError }>
  close(): Promise<void>
}

/** A line at most this often: a terminal shows it live, a log file stays short. */
const PROGRESS_MS = 1_000

export async function openTabGroup(options: TabGroupOptions): Promise<TabGroup> {
  const progress = new GroupProgress(options.count, options.output)
  const printer = new LinePrinter(options.output)
  const name = (index: number): string => (options.count === 1 ? '' : `tab ${index}: `)
  const opening = Array.from({ length: options.count }, (_, index) =>
    openDonorTab({
      context: options.context,
      index,
      query: options.query,
      token: options.token,
      onLogLine: (line) => printer.print(line),
      onTrouble: (line) => options.output.progress(`${name(index)}${line}`),
      onStatus: (status) => progress.update(index, status),
      signal: options.signal,
    }),
  )
  // All settle before a failure is thrown: no tab may still be opening while the browser closes.
  const settled = await Promise.allSettled(opening)
  const failed = settled.find((result) => result.status === 'rejected')
  const tabs = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const close = async (): Promise<void> => {
    progress.stop()
    await Promise.allSettled(tabs.map((tab) => tab.close()))
  }
  if (failed !== undefined) {
    await close()
    throw failed.reason
  }
  return {
    tabs,
    serving: () => Promise.all(tabs.map((tab) => tab.serving())),
    firstEnd: () => Promise.race(tabs.map(async (tab) => ({ index: tab.index, error: await tab.ended() }))),
    close,
  }
}

/** What every tab says in its own log of the whole swarm, or of the machine that they share. */
const COMMON_LINE = /^(Missing blocks: |No block is missing|Computing with )/

/** Prints the tabs' log lines; what several tabs say of what they share in the same words is printed once. */
export class LinePrinter {
  readonly #output: Output
  #lastCommon = ''

  constructor(output: Output) {
    this.#output = output
  }

  print(line: string): void {
    if (COMMON_LINE.test(line)) {
      if (line === this.#lastCommon) return
      this.#lastCommon = line
    }
    this.#output.line(line)
  }
}

/** Counts tabs by what they do and tells it when it changed, at most once a second. */
class GroupProgress {
  readonly #statuses: TabStatus[]
  readonly #output: Output
  #timer: NodeJS.Timeout | null = null
  #last = ''

  constructor(count: number, output: Output) {
    this.#statuses = Array.from({ length: count }, () => ({ status: 'opening' }))
    this.#output = output
  }

  update(index: number, status: TabStatus): void {
    this.#statuses[index] = status
    this.#timer ??= setTimeout(() => this.#show(), PROGRESS_MS)
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    // A late status must not start it again.
    this.#timer = setTimeout(() => undefined, 0)
  }

  #show(): void {
    this.#timer = null
    const text = describeProgress(this.#statuses)
    if (text !== this.#last && text !== '') this.#output.progress(text)
    this.#last = text
  }
}

/** "Ready" is what the original says of a tab that serves; one whose plan stands has not begun. */
const WORD_OF_STATUS: Readonly<Record<string, string>> = { ready: 'planned' }

/** '' once all serve: the ready lines say more. */
export function describeProgress(statuses: readonly TabStatus[]): string {
  if (statuses.every((status) => status.status === 'serving')) return ''
  const parts = new Map<string, number>()
  for (const status of statuses) {
    const doing =
      status.status === 'loading' ? (status.phase ?? 'loading') : (WORD_OF_STATUS[status.status] ?? status.status)
    parts.set(doing, (parts.get(doing) ?? 0) + 1)
  }
  const loading = statuses.filter((status) => status.status === 'loading')
  const done = loading.reduce((sum, status) => sum + (status.doneBytes ?? 0), 0)
  const total = loading.reduce((sum, status) => sum + (status.totalBytes ?? 0), 0)
  const bytes = total > 0 ? ` (${megabytes(done)} of ${megabytes(total)} MB)` : ''
  return `Tabs: ${[...parts].map(([doing, count]) => `${count} ${doing}`).join(', ')}${bytes}`
}

function megabytes(bytes: number): string {
  const mb = bytes / 1e6
  return mb < 10 ? mb.toFixed(1) : mb.toFixed(0)
}
