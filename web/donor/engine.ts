/** What the donor asks of the compute side, wherever it runs: the Worker in a tab (`worker-client.ts`), a fake in tests. */
import type { AutotuneMode } from '../../swarm/backend.ts'
import type { KvFormat, LlamaConfig, WeightFormat } from '../../swarm/model/config.ts'
import type { SpanRunner } from '../../swarm/span-runner.ts'
import type { Span } from '../../swarm/span.ts'
import type { SpanProgress } from '../weights/progress.ts'
import type { AdapterInfo } from './worker-messages.ts'

export interface EngineLoad {
  repo: string
  /** Commit. */
  revision: string
  hubUrl: string
  token?: string
  config: LlamaConfig
  span: Span
  format: WeightFormat
  cacheTokens: number
  kv: KvFormat
  autotune: AutotuneMode
  onProgress: (progress: SpanProgress) => void
  /** Its kernels were chosen just now: a speed measured with others does not hold. */
  onTuned: () => void
  signal: AbortSignal
}

export interface Engine {
  readonly adapter: AdapterInfo
  /** Bytes fetched from the hub for weights. */
  readonly bytesFetched: number
  /** Loads a span beside those that are loaded. @throws SwarmError CANCELLED, OUT_OF_MEMORY, GPU_LOST, HUB_*, BAD_SAFETENSORS */
  load(request: EngineLoad): Promise<SpanRunner>
  /**
   * Runs a block with a known answer beside the runner, in its format. Whether rows keep their bits however a step cuts them.
   * @throws SwarmError WRONG_RESULTS
   */
  check(runner: SpanRunner): Promise<boolean>
  /** Really measured: saturated one-token steps through the whole span, in block-steps a second. */
  measure(runner: SpanRunner): Promise<number>
  /** Called once when the GPU or the Worker is gone; not after `close`. */
  onLost(listener: (reason: string) => void): void
  onWarning(listener: (text: string) => void): void
  /** For the log, and nothing to worry about. */
  onNote(listener: (text: string) => void): void
  /** Frees everything at once. */
  close(): void
}
