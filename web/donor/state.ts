/**
 * What the page shows of a donor, and what it may ask of it. The donor (`donor.ts`) keeps one `DonorState` and calls its
 * listeners on change; `ui` only reads it. Also what the command line reads from a headless tab.
 */
import type { Backend, BackendReason } from '../../swarm/backend.ts'
import type { PlainError } from '../../swarm/errors.ts'
import type { WeightFormat } from '../../swarm/model/config.ts'
import type { Span } from '../../swarm/span.ts'
import type { MemoryRange } from './memory-range.ts'
import type { Duty } from './duty.ts'
import type { PausedBy } from './pause-control.ts'

export interface DonorPlan {
  repo: string
  revision: string
  blocks: number
  /** What it would serve if it started now; the choice is made again at the start. */
  span: Span
  /** Bytes to download (header and tensors not yet cached) and bytes it takes on the GPU. */
  downloadBytes: number
  gpuBytes: number
  cachedBytes: number
  weights: WeightFormat
  adapter: string
  /** On a software adapter and by WebAssembly the processor does the work. */
  backend: Backend
  backendReason: BackendReason
  mode: 'load-balancing' | 'fixed'
  /** What it may take on the GPU at most, and from where to where that may be set. */
  memory: MemoryRange & { budgetBytes: number }
}

export interface LoadProgress {
  phase: 'choose' | 'download' | 'verify' | 'upload' | 'measure'
  /** Bytes of this phase. */
  doneBytes: number
  totalBytes: number
  /** Of them, found in the cache. */
  cachedBytes: number
  bytesPerSecond: number
  etaSeconds: number | null
}

export interface DonorStats {
  sessions: number
  stepsServed: number
  tokensServed: number
  bytesIn: number
  bytesOut: number
  /** Of them, those that crossed a relay. */
  relayedIn: number
  relayedOut: number
  /** Bytes fetched from the hub since the page was opened. */
  bytesFetched: number
  gpuMsPerStep: number | null
  startedAt: number
}

export type DonorState =
  | { status: 'idle' }
  | { status: 'planning' }
  | { status: 'ready'; plan: DonorPlan }
  | { status: 'loading'; plan: DonorPlan; span: Span; progress: LoadProgress }
  | {
      status: 'serving'
      plan: DonorPlan
      span: Span
      /** One-token steps a second through the whole span. */
      throughput: number
      duty: Duty
      /** Who or what paused it; null unless `duty` is pausing or paused. */
      pausedBy: PausedBy | null
      /** False where the GPU was lost, or a move was cut short: the blocks are loaded again when it resumes. */
      isLoaded: boolean
      /** Blocks that nobody else serves: answers that need them wait while this tab does not serve. */
      onlyHere: readonly number[]
      /** Set while another span is being loaded. */
      moving: { span: Span; progress: LoadProgress } | null
      stats: DonorStats
      peerId: string
    }
  | { status: 'stopping' }
  | { status: 'stopped' }
  | { status: 'failed'; error: PlainError }

export interface DonorLogLine {
  /** ms since epoch, uncorrected: for showing only. */
  at: number
  level: 'info' | 'warn' | 'error'
  text: string
}

export interface Donor {
  state(): DonorState
  log(): readonly DonorLogLine[]
  onChange(listener: () => void): () => void
  /** Reads config and headers, chooses a span, counts bytes. Touches no weights. */
  plan(): Promise<void>
  /**
   * Another memory budget for a plan that stands, in bytes; null: as the device allows. Asks the network for nothing but
   * headers that no plan has read yet. A start waits for it.
   */
  resize(memoryBytes: number | null): Promise<void>
  /** The one click. */
  start(): Promise<void>
  /**
   * While serving: takes no new sessions, hands over those that run, computes nothing. The blocks stay on the GPU. What is
   * asked for by this and the next two shows in the state; while nothing is served they do nothing.
   */
  pause(): void
  /** After `pause`, after `finish`, and against a reason that paused it. */
  resume(): void
  /** Takes no new sessions, serves those that run to their end, then stops. */
  finish(): void
  /** At once. */
  stop(): Promise<void>
}
