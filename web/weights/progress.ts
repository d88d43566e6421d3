/**
 * Counts bytes through the three stages of loading and reports the earliest one that is not finished: while anything is
 * still to be downloaded that is the download, then the check, then the upload. The stages themselves overlap.
 */
export type LoadPhase = 'download' | 'verify' | 'upload'

export interface SpanProgress {
  phase: LoadPhase
  /** Bytes of this phase. */
  doneBytes: number
  totalBytes: number
  /** Of them, found in the cache. */
  cachedBytes: number
  bytesPerSecond: number
  etaSeconds: number | null
}

/** Often enough for a moving bar, seldom enough for a worker's message queue. */
const REPORT_INTERVAL_MS = 100
/** Speed is averaged over about this time. */
const SPEED_WINDOW_MS = 3_000

export class ProgressTracker {
  readonly #totalBytes: number
  readonly #report: (progress: SpanProgress) => void
  readonly #now: () => number
  readonly #done: Record<LoadPhase, number>
  #cachedBytes: number
  #phase: LoadPhase
  #reportedAt = -Infinity
  #samples: { at: number; bytes: number }[] = []

  constructor(
    totalBytes: number,
    cachedBytes: number,
    report: (progress: SpanProgress) => void,
    now: () => number = () => performance.now(),
  ) {
    this.#totalBytes = totalBytes
    this.#cachedBytes = cachedBytes
    this.#report = report
    this.#now = now
    this.#done = { download: cachedBytes, verify: 0, upload: 0 }
    this.#phase = this.#current()
    this.#emit()
  }

  add(phase: LoadPhase, bytes: number): void {
    this.#done[phase] += bytes
    const current = this.#current()
    const finished = current === 'upload' && this.#done.upload >= this.#totalBytes
    if (current !== this.#phase) {
      this.#phase = current
      this.#samples = []
      this.#emit()
    } else if (finished || this.#now() - this.#reportedAt >= REPORT_INTERVAL_MS) {
      this.#emit()
    }
  }

  /** Bytes that were counted as cached are downloaded after all. */
  miss(bytes: number): void {
    this.#cachedBytes -= bytes
    this.add('download', -bytes)
  }

  #current(): LoadPhase {
    if (this.#done.download < this.#totalBytes) return 'download'
    return this.#done.verify < this.#totalBytes ? 'verify' : 'upload'
  }

  #emit(): void {
    const at = this.#now()
    const bytes = this.#done[this.#phase]
    this.#reportedAt = at
    this.#samples.push({ at, bytes })
    while (this.#samples.length > 2 && at - (this.#samples[1]?.at ?? at) >= SPEED_WINDOW_MS) this.#samples.shift()
    const first = this.#samples[0] ?? { at, bytes }
    const bytesPerSecond = at > first.at ? Math.max(0, ((bytes - first.bytes) / (at - first.at)) * 1000) : 0
    this.#report({
      phase: this.#phase,
      doneBytes: bytes,
      totalBytes: this.#totalBytes,
      cachedBytes: this.#cachedBytes,
      bytesPerSecond,
      etaSeconds: bytesPerSecond > 0 ? (this.#totalBytes - bytes) / bytesPerSecond : null,
    })
  }
}
