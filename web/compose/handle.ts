/**
 * `globalThis.tabswarm`: what the command line, tests and support read from a page. Reading only, but for the hub token,
 * which the command line hands to its own headless tabs.
 */
import type { Span } from '../../swarm/span.ts'
import type { DonorLogLine, DonorState } from '../donor/state.ts'

export interface PageHandle {
  readonly version: string
  donor(): DonorState | null
  donorLog(): readonly DonorLogLine[]
  /** Memory only. */
  setHubToken(token: string): void
  /** Of the serving peer; null while nothing is served. */
  peerId(): string | null
  directory(): { peerId: string; span: Span; state: string }[]
}

export function installHandle(handle: PageHandle): void {
  Object.defineProperty(globalThis, 'tabswarm', { value: Object.freeze(handle), configurable: false })
}
