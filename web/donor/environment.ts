/**
 * Everything outside the donor's own decisions: network, model files, compute, what is kept between visits, time and the
 * page. `browser-environment.ts` is the real one; tests run whole swarms of donors on an in-memory one.
 */
import type { ModelSource } from '../../hub/source.ts'
import type { PageLife } from '../../net/node.ts'
import type { ServingNode } from '../../net/types.ts'
import type { LlamaConfig, WeightFormat } from '../../swarm/model/config.ts'
import type { PeerRecord } from '../../swarm/peer-record.ts'
import type { Span } from '../../swarm/span.ts'
import type { Clock } from './clock.ts'
import type { Engine } from './engine.ts'
import type { PowerPort } from './pause-control.ts'
import type { EngineChoice } from './worker-messages.ts'

export interface Identity {
  /** 32-byte Ed25519 seed. */
  seed: Uint8Array
  /** Gives the identity free for another donor. */
  release(): void
}

export interface SpanFiles {
  totalBytes: number
  cachedBytes: number
  downloadBytes: number
}

/** Measured speeds by adapter, model, format and span length, in block-steps a second. */
export interface SpeedStore {
  get(key: string): Promise<number | null>
  set(key: string, blockStepsPerSecond: number): Promise<void>
}

/** hide: the page goes away for good. freeze: its timers stop. resume: they run again, or the network is back. */
export type PageEvent = 'hide' | 'freeze' | 'resume'

export interface DonorEnvironment {
  readonly clock: Clock
  /** In [0, 1). */
  random(): number
  print(text: string): void
  sha256(bytes: Uint8Array): Promise<Uint8Array>
  /** @throws SwarmError NO_WEBGPU, NO_ADAPTER, INSECURE_CONTEXT */
  openEngine(choice: EngineChoice): Promise<Engine>
  /** With the token that the person gave, if there is one; `onWait` is told of pauses. @throws SwarmError HUB_* */
  openModel(
    model: { repo: string; revision: string | null; hubUrl: string },
    signal: AbortSignal,
    onWait: (sentence: string) => void,
  ): Promise<ModelSource>
  /** Reads headers, touches no weights, and reads nothing of one source twice. @throws SwarmError BAD_SAFETENSORS, HUB_* */
  countFiles(
    source: ModelSource,
    config: LlamaConfig,
    wanted: { span: Span; format: WeightFormat },
    signal: AbortSignal,
  ): Promise<SpanFiles>
  /** Memory only; never a log, a record or a URL. */
  hubToken(): string | undefined
  /** Until the returned function is called, nobody deletes what is kept of the model; `downloads`: more will be kept. */
  holdWeights(model: { repo: string; revision: string }, downloads: boolean, signal: AbortSignal): Promise<() => void>
  /** @throws SwarmError IDENTITY_TAKEN */
  claimIdentity(): Promise<Identity>
  join(options: {
    seed: Uint8Array
    modelDigest: string
    initialPeers: readonly string[]
  }): Promise<ServingNode & PageLife>
  readonly speeds: SpeedStore
  /** GB (2^30) of the device as the browser tells, null where it does not. */
  readonly deviceMemoryGb: number | null
  /** Records that the page knows of before the donor has joined; for the plan only. */
  knownRecords(modelDigest: string): readonly PeerRecord[]
  /** Off: only the DHT tells who is there, so claims take longer to be seen. */
  readonly directory: 'on' | 'off'
  /** Battery and connection, as far as the browser tells, and when the owner wants to pause for them. */
  readonly power: PowerPort
  /** While it serves: a hidden page's timers go on once a second. Returns the end. */
  stayUnthrottled(): () => void
  onPageEvent(listener: (event: PageEvent) => void): () => void
}
