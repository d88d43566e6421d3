/**
 * A donor that serves: its runner, its moves, what it announces of its load, and the one rebuild after a lost GPU. Ends with
 * `stop`; says through `onFailure` when it cannot go on.
 */
import type { InferenceServer } from '../../net/types.ts'
import type { DonorSettings } from '../../swarm/donor-settings.ts'
import { SwarmError } from '../../swarm/errors.ts'
import type { PlacementRule } from '../../swarm/planner/types.ts'
import { spanLength, type Span } from '../../swarm/span.ts'
import type { DonorLog } from './donor-log.ts'
import type { DonorModel } from './donor-model.ts'
import type { DonorEnvironment } from './environment.ts'
import { readyLine } from './lines.ts'
import type { Member } from './member.ts'
import { Mover } from './mover.ts'
import { PlacementWatch } from './placement-watch.ts'
import type { Sizing } from './sizing.ts'
import type { LoadedSpan, SpanLoader } from './span-loader.ts'
import type { DonorStats, LoadProgress } from './state.ts'

export interface ServingFigures {
  span: Span
  throughput: number
  moving: { span: Span; progress: LoadProgress } | null
  stats: DonorStats
}

export interface ServingOptions {
  environment: DonorEnvironment
  member: Member
  server: InferenceServer
  loader: SpanLoader
  loaded: LoadedSpan
  model: DonorModel
  sizing: Sizing
  settings: DonorSettings
  rule: PlacementRule
  log: DonorLog
  onChange: (figures: ServingFigures) => void
  onFailure: (error: unknown) => void
}

/** How often figures are looked at: for the page, and for the record when sessions came or went. */
const STATS_MS = 1_000

export class Serving {
  readonly #options: ServingOptions
  readonly #aborter = new AbortController()
  readonly #startedAt: number
  #loaded: LoadedSpan
  #moving: ServingFigures['moving'] = null
  #watch: PlacementWatch | null = null
  #cancelStats: () => void = () => undefined
  #unsubscribe: () => void = () => undefined
  #rebuilding: Promise<void> | null = null

  constructor(options: ServingOptions) {
    this.#options = options
    this.#loaded = options.loaded
    this.#startedAt = options.environment.clock.now()
  }

  start(): void {
    const { server } = this.#options
    server.addRunner(this.#loaded.runner)
    this.#announceOnline()
    this.#sayReady()
    this.#unsubscribe = server.onChange(() => this.#look())
    this.#watchPlacement()
    this.#tick()
  }

  async stop(): Promise<void> {
    this.#aborter.abort(new SwarmError('CANCELLED', 'the tab stopped donating'))
    this.#unsubscribe()
    this.#cancelStats()
    await this.#watch?.stop()
    await this.#rebuilding
    await this.#options.server.stop()
  }

  /** After the GPU was lost: opens it once more and loads the same blocks, from the cache. */
  async rebuild(reason: string): Promise<void> {
    if (this.#aborter.signal.aborted) return
    this.#rebuilding ??= this.#rebuild(reason).finally(() => {
      this.#rebuilding = null
    })
    await this.#rebuilding
  }

  async #rebuild(reason: string): Promise<void> {
    const { member, server, loader, onFailure } = this.#options
    const { signal } = this.#aborter
    const lost = this.#loaded
    try {
      await this.#watch?.stop()
      member.announce({ state: 'joining', next: null, span: lost.runner.span })
      await Promise.all([loader.reopen(reason), server.retireRunner(lost.runner)])
      const { span } = lost.runner
      this.#loaded = await loader.load(span, (progress) => this.#show({ span, progress }), signal)
      this.#show(null)
      server.addRunner(this.#loaded.runner)
      this.#announceOnline()
      this.#sayReady()
      this.#watchPlacement()
    } catch (error) {
      if (!signal.aborted) onFailure(error)
    }
  }

  #watchPlacement(): void {
    const { environment, member, server, loader, model, sizing, settings, rule, log } = this.#options
    if (settings.placement.mode === 'fixed') return
    const mover = new Mover({
      environment,
      member,
      server,
      loader,
      model,
      sizing,
      log,
      current: () => this.#loaded,
      onServing: (loaded) => {
        this.#loaded = loaded
        this.#sayReady()
      },
      onProgress: (moving) => this.#show(moving),
    })
    this.#watch = new PlacementWatch({
      environment,
      member,
      rule,
      balanceQuality: settings.balanceQuality,
      meanPeriodMs: settings.meanBalanceCheckPeriodMs,
      log,
      move: (choose, signal) => mover.move(choose, signal),
      onFailure: (error) => {
        // A lost GPU takes the served blocks with it: they come back first, then the watch goes on.
        if (error instanceof SwarmError && error.code === 'GPU_LOST') void this.rebuild(error.message)
        else this.#options.onFailure(error)
      },
    })
    this.#watch.start()
  }

  #announceOnline(): void {
    const { runner, blockStepsPerSecond } = this.#loaded
    this.#options.member.announce({
      state: 'online',
      span: runner.span,
      blockStepsPerSecond,
      ...this.#load(),
    })
  }

  #sayReady(): void {
    const { log, settings } = this.#options
    log.info(readyLine(settings.placement.mode, this.#loaded.runner.span, this.#throughput()))
    this.#show(this.#moving)
  }

  #throughput(): number {
    return this.#loaded.blockStepsPerSecond / spanLength(this.#loaded.runner.span)
  }

  #load(): { sessions: number; cacheTokensLeft: number } {
    return {
      sessions: this.#options.server.stats().sessions,
      cacheTokensLeft: this.#loaded.runner.status().cacheTokensLeft,
    }
  }

  #tick(): void {
    this.#cancelStats = this.#options.environment.clock.after(STATS_MS, () => {
      this.#look()
      this.#tick()
    })
  }

  /** Shows new figures, and announces the load where it has changed. */
  #look(): void {
    const { member } = this.#options
    const { sessions, cacheTokensLeft } = this.#load()
    const before = member.fields
    if (before.state === 'online' && (before.sessions !== sessions || before.cacheTokensLeft !== cacheTokensLeft)) {
      member.announce({ sessions, cacheTokensLeft })
    }
    this.#show(this.#moving)
  }

  #show(moving: ServingFigures['moving']): void {
    this.#moving = moving
    if (this.#aborter.signal.aborted) return
    const { server, loader, model, onChange } = this.#options
    const { sessions, stepsServed, tokensServed, bytesIn, bytesOut, computeMs } = server.stats()
    onChange({
      span: this.#loaded.runner.span,
      throughput: this.#throughput(),
      moving,
      stats: {
        sessions,
        stepsServed,
        tokensServed,
        bytesIn,
        bytesOut,
        bytesFetched: model.source.bytesFetched + loader.bytesFetched,
        gpuMsPerStep: stepsServed === 0 ? null : computeMs / stepsServed,
        startedAt: this.#startedAt,
      },
    })
  }
}
