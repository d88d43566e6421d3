/**
 * Whether the server has a newer build of this page: its index names other hashed files than the page was started with.
 * Nothing is ever reloaded by this; a person is asked (`ui/parts/update-notice.tsx`).
 */
import type { UpdatePort } from '../ui/state/ports.ts'

/** Reasons to look come in bursts: a page becomes visible and its relay is back in the same moment. */
const REST_MS = 5_000
/** An index is a few hundred bytes; anything much longer is somebody else's page. */
const MAX_INDEX_CHARS = 100_000

export class PageUpdate implements UpdatePort {
  readonly #address: string
  readonly #own: string
  #looking: Promise<string | null> | null = null
  #lookedAt = -Infinity
  #found: string | null = null

  /** `document` as it was parsed: later chunks bring style sheets of their own. */
  constructor(document: Pick<Document, 'baseURI' | 'querySelectorAll'>) {
    this.#address = new URL('./', document.baseURI).href
    const elements = [...document.querySelectorAll('script[src], link[rel="stylesheet"][href]')]
    this.#own = filesOf(
      elements.flatMap((element) => element.getAttribute('src') ?? element.getAttribute('href') ?? []),
    )
  }

  /** The files of the newer build as one text; null while there is none, or nobody can say. */
  async look(): Promise<string | null> {
    const now = performance.now()
    if (this.#looking === null && now - this.#lookedAt < REST_MS) return this.#found
    this.#lookedAt = now
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null
    })
    return this.#looking
  }

  async #look(): Promise<string | null> {
    try {
      const response = await fetch(this.#address, { cache: 'no-store' })
      const index = response.ok ? await response.text() : ''
      const files = index.length > MAX_INDEX_CHARS ? '' : filesOf(namesIn(index))
      // A login page or an error of a proxy names no script of ours.
      if (files.includes('.js')) this.#found = files === this.#own ? null : files
    } catch {
      // The server is away: looked at again when it is back.
    }
    return this.#found
  }
}

function namesIn(index: string): string[] {
  return [...index.matchAll(/<(?:script|link)\b[^>]*?\b(?:src|href)="([^"]+)"/gu)].map((match) => match[1] ?? '')
}

/** What Vite names by content; icons and preloads say nothing new. */
function filesOf(addresses: readonly string[]): string {
  const names = addresses.map((address) => address.split('/').at(-1) ?? '')
  return [...new Set(names.filter((name) => /\.(?:js|css)$/u.test(name)))].toSorted().join(' ')
}
