/** How long blocks take to come from the hub, by what this tab has downloaded so far. */
import { spanLength, type Span } from '../../swarm/span.ts'
import type { LoadProgress } from './state.ts'

export class DownloadPace {
  /** Bytes of a block in the model's files, and of the line: the newest of both. */
  #blockBytes: number | null = null
  #bytesPerSecond: number | null = null

  /** Takes what a load of `span` reports as it goes. */
  learn(span: Span, { phase, totalBytes, bytesPerSecond }: LoadProgress): void {
    if (phase !== 'download') return
    this.#blockBytes = totalBytes / spanLength(span)
    // Averaged over some seconds by whoever reports; nothing came yet where it is 0.
    if (bytesPerSecond > 0) this.#bytesPerSecond = bytesPerSecond
  }

  /** Seconds for the blocks of `span` that are in none of `cached`; 0 while no download has been seen. */
  secondsFor({ start, end }: Span, cached: readonly Span[]): number {
    if (this.#blockBytes === null || this.#bytesPerSecond === null) return 0
    let missing = 0
    for (let block = start; block < end; block += 1) {
      if (!cached.some((span) => span.start <= block && block < span.end)) missing += 1
    }
    return (missing * this.#blockBytes) / this.#bytesPerSecond
  }
}
