/**
 * A donor that serves: its runner, its moves, what it announces of its load, its pauses, and the one rebuild after a lost
 * GPU. Ends with `stop`; says through `onFinished` when it has served to an end, through `onFailure` when it cannot go on.
 */
import type { InferenceServer } from '../../net/types.ts'
import type { DonorSettings } from '../../swarm/donor-settings.ts'
import { SwarmError } from '../../swarm/errors.ts'
import { blocksLostByMove } from '../../swarm/planner/coverage.ts'
import type { PlacementRule } from '../../swarm/planner/types.ts'
import { unitWeightsOf, weightOfSpan } from '../../swarm/model/unit-weights.ts'
import { NO_BLOCKS, blocksOf, formatBlockRanges, spanLength, type Span } from '../../swarm/span.ts'
import type { DonorLog } from './donor-log.ts'
import type { DonorModel } from './donor-model.ts'
import { DutyLoop, type Duty } from './duty.ts'
import type { DonorEnvironment } from './environment.ts'
import { Finishing } from './finishing.ts'
import { readyLine } from './lines.ts'
import type { Member } from './member.ts'
import { DRAIN_IDLE_MS, DRAIN_LIMIT_MS, Mover } from './mover.ts'
import type { Pausable, PausedBy } from './pause-control.ts'
import { PlacementWatch } from './placement-watch.ts'
import { PromiseKeeper } from './promise-keeper.ts'
import type { Sizing } from './sizing.ts'
import type { LoadedSpan, SpanLoader } from './span-loader.ts'
import { SpeedWatch } from './speed-watch.ts'
import type { DonorStats, LoadProgress } from './state.ts'

export interface ServingFigures {
  span: Span
  throughput: number
  duty: Duty
  pausedBy: PausedBy | null
  isLoaded: boolean
  onlyHere: readonly number[]
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
  /** After `finish`: nothing is left that would lose by a stop. */
  onFinished: () => void
  onFailure: (error: unknown) => void
}

/** How often figures are looked at: for the page, and for the record when sessions came or went. */
const STATS_MS = 1_000

/** Others are given so long to say that they stay before this tab pauses or finishes; a relay needs a small part of it. */
const LEAVE_AFTER_MS = 5_000

/** Answers under way end where they are: of what a mover waits for them at most, half. */
const MEAN_DRAIN_SECONDS = DRAIN_LIMIT_MS / 2 / 1_000

const PAUSED = 'is paused by its owner'
const FINISHING = 'takes no new sessions: it stops soon'

export class Serving implements Pausable {
  readonly #options: ServingOptions
  readonly #aborter = new AbortController()
  readonly #startedAt: number
  readonly #duty: DutyLoop
  readonly #finishing: Finishing
  readonly #promises: PromiseKeeper
  readonly #speed: SpeedWatch
  /** Serves, or did before it was dropped or lost. */
  #loaded: LoadedSpan
  #isLoaded = true
  #pausedBy: PausedBy | null = null
  #moving: ServingFigures['moving'] = null
  #onlyHere: readonly number[] = []
  #watch: PlacementWatch | null = null
  #cancelStats: () => void = () => undefined
  #unsubscribe: () => void = () => undefined

  constructor(options: ServingOptions) {
    this.#options = options
    this.#loaded = options.loaded
    this.#startedAt = options.environment.clock.now()
    const { log, server, environment, member } = options
    this.#promises = new PromiseKeeper(environment, member)
    this.#finishing = new Finishing({ clock: environment.clock, server, log, onFinished: () => options.onFinished() })
    this.#speed = new SpeedWatch({
      environment,
      log,
      said: () => this.#loaded.blockStepsPerSecond,
      isIdle: () => this.#isIdle(),
      measure: () => this.#measureAgain(),
      onChange: (speed) => this.#runsAt(speed),
    })
    this.#duty = new DutyLoop({
      isLoaded: () => this.#isLoaded,
      unload: () => this.#unload(),
      reload: (lost, signal) => this.#reload(lost, signal),
      takeUp: (from) => this.#takeUp(from),
      rest: () => this.#rest(),
      drain: () => this.#drain(),
      onChange: (duty) => {
        if (duty === 'paused') this.#sayPaused()
        this.#look()
      },
      onFailure: (error) => options.onFailure(error),
    })
  }

  start(): void {
    const { server } = this.#options
    server.addRunner(this.#loaded.runner)
    this.#takeUp('loading')
    this.#promises.start()
    this.#speed.start()
    this.#unsubscribe = server.onChange(() => this.#look())
    this.#tick()
  }

  /**
   * Takes no new sessions, hands those that run over between two tokens, then computes nothing. The blocks stay on the GPU;
   * only a move that had dropped them already leaves it without, until `resume` loads them again.
   */
  pause(by: PausedBy): void {
    this.#pausedBy = by
    this.#duty.want('pause')
    this.#look()
  }

  /** After `pause` or `finish`. */
  resume(): void {
    this.#pausedBy = null
    this.#duty.want('serve')
  }

  /** Takes no new sessions; those that run go on to their end, within a limit; then `onFinished`. */
  finish(): void {
    this.#pausedBy = null
    this.#duty.want('finish')
  }

  /** After the GPU was lost: opens it once more and loads the same blocks, from the cache; while paused, with `resume`. */
  lose(reason: string): void {
    if (!this.#aborter.signal.aborted) this.#duty.lose(reason)
  }

  async stop(): Promise<void> {
    this.#aborter.abort(new SwarmError('CANCELLED', 'the tab stopped donating'))
    this.#unsubscribe()
    this.#cancelStats()
    this.#speed.stop()
    await this.#stopWatch()
    await this.#duty.stop()
    this.#promises.stop()
    await this.#options.server.stop()
  }

  #takeUp(from: Duty): void {
    const { member, server, log } = this.#options
    this.#finishing.cancel()
    server.refuseSessions(null)
    member.announce({
      state: 'online',
      span: this.#loaded.runner.span,
      blockStepsPerSecond: this.#loaded.blockStepsPerSecond,
      exact: this.#loaded.exact,
      ...this.#load(),
    })
    member.comeBack()
    if (from === 'loading') this.#sayReady()
    else log.info(`Serves again: blocks ${this.#ownBlocks()}.`)
    this.#watchPlacement()
  }

  async #rest(): Promise<void> {
    this.#finishing.cancel()
    await this.#stepAside(PAUSED)
    await this.#options.server.handOver(PAUSED)
  }

  async #drain(): Promise<void> {
    this.#finishing.begin()
    await this.#stepAside(FINISHING)
    this.#finishing.check()
  }

  /** Others take their new routes from the record, before anything ends here. */
  async #stepAside(because: string): Promise<void> {
    const { member, server, log } = this.#options
    if (this.#isLoaded && (this.#promises.isBound() || this.#heldByOthers().length > 0)) {
      // One request at a time: a move asks as well.
      await this.#stopWatch()
      await this.#askToLeave()
    }
    server.refuseSessions(because)
    member.stepAside()
    this.#promises.done()
    this.#findOnlyHere()
    if (this.#onlyHere.length > 0) {
      log.warn(`Nobody else serves blocks ${formatBlockRanges(this.#onlyHere)}: answers wait until somebody does.`)
    }
    await this.#stopWatch()
  }

  /** Whoever holds the same blocks is asked to stay, so that nobody leaves them at the same time. A person's wish goes first. */
  async #askToLeave(): Promise<void> {
    const { log } = this.#options
    const { span } = this.#loaded.runner
    try {
      const open = await this.#promises.request({
        span,
        blocks: () => this.#heldByOthers(),
        limitMs: LEAVE_AFTER_MS,
        signal: this.#aborter.signal,
      })
      if (open === null) return
      const seconds = LEAVE_AFTER_MS / 1_000
      const blocks = open.length > 0 ? open : blocksOf(span)
      log.info(
        `No other tab has promised within ${seconds} s to keep blocks ${formatBlockRanges(blocks)}: this one goes all the same.`,
      )
    } catch (error) {
      // Stopped meanwhile: it goes at once.
      if (!this.#aborter.signal.aborted) throw error
    }
  }

  async #unload(): Promise<void> {
    const { member, server } = this.#options
    const { runner } = this.#loaded
    await this.#stopWatch()
    member.announce({ state: 'joining', next: null, span: runner.span })
    await server.retireRunner(runner)
    this.#isLoaded = false
  }

  async #reload(lost: string | null, wanted: AbortSignal): Promise<void> {
    const { member, server, loader } = this.#options
    const { span } = this.#loaded.runner
    await this.#stopWatch()
    // A move that was under way may have brought blocks after all.
    if (this.#isLoaded) return
    member.announce({ state: 'joining', next: null, span })
    member.comeBack()
    if (lost !== null) await loader.reopen(lost)
    try {
      const signal = AbortSignal.any([this.#aborter.signal, wanted])
      this.#loaded = await loader.load(span, (progress) => this.#show({ span, progress }), signal)
    } finally {
      this.#show(null)
    }
    this.#isLoaded = true
    server.addRunner(this.#loaded.runner)
  }

  /** Serves, is on no way to another place, and nobody waits for it. */
  #isIdle(): boolean {
    const { member, server } = this.#options
    const isServing = this.#duty.duty === 'serving' && this.#isLoaded && member.heldSpan() !== null
    return isServing && member.fields.next === undefined && server.activeSessions(DRAIN_IDLE_MS) === 0
  }

  async #measureAgain(): Promise<number | null> {
    const loaded = this.#loaded
    const speed = await this.#options.loader.measureAgain(loaded)
    return this.#loaded === loaded ? speed : null
  }

  #runsAt(blockStepsPerSecond: number): void {
    const { member, loader } = this.#options
    this.#loaded.blockStepsPerSecond = blockStepsPerSecond
    member.announce({ blockStepsPerSecond })
    void loader.keepSpeed(spanLength(this.#loaded.runner.span), blockStepsPerSecond)
    this.#look()
  }

  #watchPlacement(): void {
    const { environment, member, server, loader, model, sizing, settings, rule, log } = this.#options
    if (settings.placement.mode === 'fixed') return
    const mover = new Mover({
      environment,
      member,
      promises: this.#promises,
      server,
      loader,
      model,
      sizing,
      log,
      current: () => this.#loaded,
      onServing: (loaded) => {
        this.#loaded = loaded
        this.#isLoaded = true
        this.#sayReady()
      },
      onDropped: () => {
        this.#isLoaded = false
      },
      onProgress: (moving) => this.#show(moving),
    })
    this.#watch = new PlacementWatch({
      environment,
      member,
      rule,
      balanceQuality: settings.balanceQuality,
      meanPeriodMs: settings.meanBalanceCheckPeriodMs,
      secondsUntil: (span) => this.#secondsUntil(span),
      log,
      move: (choose, signal) => mover.move(choose, signal),
      onFailure: (error) => {
        // A lost GPU takes the served blocks with it: they come back first, then the watch goes on.
        if (error instanceof SwarmError && error.code === 'GPU_LOST') this.lose(error.message)
        else this.#options.onFailure(error)
      },
    })
    this.#watch.start()
  }

  /** Until it works at another span alone. */
  #secondsUntil(span: Span): number {
    const { loader, member, server } = this.#options
    const seconds = loader.secondsToLoad(span, [member.fields.span, ...(member.fields.cached ?? [])])
    return seconds + (server.activeSessions(DRAIN_IDLE_MS) > 0 ? MEAN_DRAIN_SECONDS : 0)
  }

  async #stopWatch(): Promise<void> {
    await this.#watch?.stop()
    this.#watch = null
  }

  #sayReady(): void {
    const { log, settings } = this.#options
    log.info(readyLine(settings.placement.mode, this.#loaded.runner.span, this.#throughput()))
    this.#show(this.#moving)
  }

  #sayPaused(): void {
    const place = this.#options.member.fields.backend === 'wasm' ? 'stay in memory' : 'stay on the GPU'
    const where = this.#isLoaded ? place : 'are loaded again when it resumes'
    this.#options.log.info(`Takes no sessions and computes nothing. Blocks ${this.#ownBlocks()} ${where}.`)
  }

  #throughput(): number {
    const { config } = this.#options.model
    return this.#loaded.blockStepsPerSecond / weightOfSpan(this.#loaded.runner.span, unitWeightsOf(config))
  }

  #load(): { sessions: number; sessionBlocks: number; cacheTokensLeft: number } {
    const { sessions, sessionBlocks } = this.#options.server.stats()
    return {
      sessions,
      sessionBlocks,
      cacheTokensLeft: this.#loaded.runner.status().cacheTokensLeft,
    }
  }

  #ownBlocks(): string {
    return formatBlockRanges(blocksOf(this.#loaded.runner.span))
  }

  /** Blocks that would be missing without this tab. */
  #findOnlyHere(): void {
    const { member } = this.#options
    this.#onlyHere = blocksLostByMove(member.others(), member.peerId, this.#loaded.runner.span, NO_BLOCKS)
  }

  #heldByOthers(): number[] {
    this.#findOnlyHere()
    return blocksOf(this.#loaded.runner.span).filter((block) => !this.#onlyHere.includes(block))
  }

  #tick(): void {
    this.#cancelStats = this.#options.environment.clock.after(STATS_MS, () => {
      this.#findOnlyHere()
      this.#look()
      this.#tick()
    })
  }

  /** Shows new figures, announces the load where it has changed, and ends what has finished. */
  #look(): void {
    const { member } = this.#options
    const load = this.#load()
    const before = member.fields
    const isNews =
      before.sessions !== load.sessions ||
      before.sessionBlocks !== load.sessionBlocks ||
      before.cacheTokensLeft !== load.cacheTokensLeft
    if (before.state === 'online' && isNews) member.announce(load)
    this.#show(this.#moving)
    if (!this.#aborter.signal.aborted) this.#finishing.check()
  }

  #show(moving: ServingFigures['moving']): void {
    this.#moving = moving
    if (this.#aborter.signal.aborted) return
    const { server, loader, model, onChange } = this.#options
    const { sessions, stepsServed, tokensServed, bytesIn, bytesOut, relayedIn, relayedOut, computeMs } = server.stats()
    onChange({
      span: this.#loaded.runner.span,
      throughput: this.#throughput(),
      duty: this.#duty.duty,
      pausedBy: this.#pausedBy,
      isLoaded: this.#isLoaded,
      onlyHere: this.#onlyHere,
      moving,
      stats: {
        sessions,
        stepsServed,
        tokensServed,
        bytesIn,
        bytesOut,
        relayedIn,
        relayedOut,
        bytesFetched: model.source.bytesFetched + loader.bytesFetched,
        gpuMsPerStep: stepsServed === 0 ? null : computeMs / stepsServed,
        startedAt: this.#startedAt,
      },
    })
  }
}
