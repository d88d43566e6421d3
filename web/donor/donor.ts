/**
 * The donor tab: keeps the one `DonorState` and takes it from idle over a plan to serving and back. It runs on the page's main
 * thread and decides nothing about placement itself (`swarm/planner`), touches no GPU (`worker.ts`) and no page (`ui`).
 */
import { tellRefusals, tellRelayNews } from '../../net/relay-news.ts'
import type { AnnouncedFields, InferenceServer } from '../../net/types.ts'
import { fixedSpan } from '../../swarm/donor-settings.ts'
import type { DonorDefaults } from '../../swarm/app-config.ts'
import { SwarmError, toPlainError } from '../../swarm/errors.ts'
import { headWeight, unitWeightsOf } from '../../swarm/model/unit-weights.ts'
import { withinFormat } from '../../swarm/planner/formats.ts'
import { placementRule } from '../../swarm/planner/rules.ts'
import { DonorLog } from './donor-log.ts'
import type { ModelRequest } from './donor-model.ts'
import type { DonorEnvironment, Identity } from './environment.ts'
import { joinSwarm } from './joining.ts'
import { computeLine, initializedLine, kvLine, selectedLine, type DonorMode } from './lines.ts'
import { Member } from './member.ts'
import { preparePlan, resizePlan, type Prepared } from './prepare-plan.ts'
import { PauseControl } from './pause-control.ts'
import { Serving } from './serving.ts'
import { SpanLoader, type LoadedSpan } from './span-loader.ts'
import type { Donor, DonorLogLine, DonorState, LoadProgress } from './state.ts'

export interface DonorOptions {
  model: ModelRequest
  /** What the page's server, the link and the person ask for; checked by `plan`. */
  defaults: DonorDefaults
  environment: DonorEnvironment
}

export function createDonor(options: DonorOptions): Donor {
  return new TabDonor(options)
}

const CHOOSING: LoadProgress = {
  phase: 'choose',
  doneBytes: 0,
  totalBytes: 0,
  cachedBytes: 0,
  bytesPerSecond: 0,
  etaSeconds: null,
}

class TabDonor implements Donor {
  readonly #model: ModelRequest
  readonly #defaults: DonorDefaults
  readonly #environment: DonorEnvironment
  readonly #log: DonorLog
  readonly #listeners = new Set<() => void>()
  #state: DonorState = { status: 'idle' }
  #prepared: Prepared | null = null
  /** The last change of budget, under way or over; a start must not go on with the one before. */
  #resizing: Promise<void> = Promise.resolve()
  #resizes = 0
  /** Ends planning or loading; a new one for each run. */
  #aborter = new AbortController()
  /** What to undo at the end, last first. */
  #endings: (() => Promise<void> | void)[] = []
  #ending: Promise<void> | null = null
  /** Of the run under way, or of the last one: then it does nothing. */
  #control: PauseControl | null = null

  constructor({ model, defaults, environment }: DonorOptions) {
    this.#model = model
    this.#defaults = defaults
    this.#environment = environment
    this.#log = new DonorLog({
      print: (text) => environment.print(text),
      now: () => environment.clock.now(),
      onChange: () => this.#changed(),
    })
  }

  state(): DonorState {
    return this.#state
  }

  log(): readonly DonorLogLine[] {
    return this.#log.lines()
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async plan(): Promise<void> {
    if (!this.#isAtRest()) return
    await this.#run(async (signal) => {
      // A plan made before holds a GPU.
      await this.#undoAll()
      const prepared = await this.#prepare(signal)
      this.#set({ status: 'ready', plan: prepared.plan })
    })
  }

  resize(memoryBytes: number | null): Promise<void> {
    const before = this.#prepared
    if (this.#state.status !== 'ready' || before === null) return Promise.resolve()
    this.#resizes += 1
    this.#resizing = this.#resize(before, memoryBytes, this.#resizes)
    return this.#resizing
  }

  async #resize(before: Prepared, memoryBytes: number | null, number: number): Promise<void> {
    const { signal } = this.#aborter
    /** A newer one, a new plan or an end makes this one void. */
    const counts = (): boolean => this.#resizes === number && this.#prepared === before
    try {
      const prepared = await resizePlan(this.#environment, before, memoryBytes, signal)
      if (!counts()) return
      this.#prepared = prepared
      if (this.#state.status === 'ready') this.#set({ status: 'ready', plan: prepared.plan })
    } catch (error) {
      if (counts() && !signal.aborted) await this.#fail(error)
    }
  }

  async start(): Promise<void> {
    if (!this.#isAtRest()) return
    await this.#run(async (signal) => {
      if (this.#prepared !== null) this.#showChoosing(this.#prepared)
      await this.#resizing
      signal.throwIfAborted()
      // Before anything is downloaded: a second tab of one identity would do it for nothing.
      const identity = await this.#environment.claimIdentity()
      this.#undo(signal, () => identity.release())
      signal.throwIfAborted()
      const prepared = this.#prepared ?? (await this.#prepare(signal))
      await this.#join(prepared, identity, signal)
    })
  }

  pause(): void {
    this.#control?.pause()
  }

  resume(): void {
    this.#control?.resume()
  }

  finish(): void {
    this.#control?.finish()
  }

  async stop(): Promise<void> {
    const { status } = this.#state
    if (status === 'stopped' || status === 'failed') return
    await this.#end({ status: 'stopped' })
  }

  #isAtRest(): boolean {
    return ['idle', 'ready', 'stopped', 'failed'].includes(this.#state.status)
  }

  /** Runs planning or starting; whatever goes wrong becomes the state's sentence. */
  async #run(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (this.#aborter.signal.aborted) this.#aborter = new AbortController()
    const { signal } = this.#aborter
    if (this.#prepared === null) this.#set({ status: 'planning' })
    try {
      await work(signal)
    } catch (error) {
      if (signal.aborted) return
      await this.#fail(error)
    }
  }

  async #prepare(signal: AbortSignal): Promise<Prepared> {
    const prepared = await preparePlan({
      environment: this.#environment,
      request: this.#model,
      defaults: this.#defaults,
      log: this.#log,
      onEngine: (engine) =>
        this.#undo(signal, () => {
          engine.close()
          this.#prepared = null
        }),
      signal,
    })
    this.#prepared = prepared
    return prepared
  }

  #showChoosing({ plan }: Prepared): void {
    this.#set({ status: 'loading', plan, span: plan.span, progress: CHOOSING })
  }

  async #join(prepared: Prepared, identity: Identity, signal: AbortSignal): Promise<void> {
    const { settings, model, sizing, engine, plan } = prepared
    const environment = this.#environment
    const mode: DonorMode = settings.placement.mode
    const control = new PauseControl({ power: environment.power, log: this.#log })
    this.#control = control
    this.#undo(signal, () => control.end())
    this.#showChoosing(prepared)
    this.#log.info(computeLine(engine.adapter))
    if (settings.kv === null && sizing.kv !== 'f32') this.#log.info(kvLine(sizing))

    this.#undo(signal, await environment.holdWeights(model.source, plan.downloadBytes > 0, signal))
    signal.throwIfAborted()
    const node = await environment.join({
      seed: identity.seed,
      modelDigest: model.id.digest,
      initialPeers: settings.initialPeers,
    })
    this.#undo(signal, () => node.stop())
    this.#undo(signal, () => node.announcer.goodbye())
    signal.throwIfAborted()
    this.#warnWithoutRelay(node.relays())
    this.#undo(
      signal,
      tellRelayNews(node, (text) => this.#log.warn(text)),
    )
    this.#undo(
      signal,
      tellRefusals(node, (text) => this.#log.warn(text)),
    )

    let serving: Serving | null = null
    const loader = new SpanLoader(engine, {
      environment,
      model,
      sizing,
      threads: settings.threads,
      autotune: settings.autotune,
      simulateSpeed: settings.simulateSpeed,
      log: this.#log,
      onLost: (reason) => serving?.lose(reason),
    })
    this.#undo(signal, () => loader.close())
    const member = await this.#becomeMember(node, prepared, loader)
    this.#undo(signal, environment.stayUnthrottled())
    this.#undo(
      signal,
      environment.onPageEvent((event) => {
        if (event === 'hide') node.leaveNow()
        else if (event === 'freeze') node.freeze()
        else node.wake()
      }),
    )

    let isInitialized = false
    const loaded = await joinSwarm({
      environment,
      member,
      joiner: {
        peerId: node.peerId,
        claimedAt: member.fields.claimedAt,
        length: sizing.length,
        blockStepsPerSecond: member.fields.blockStepsPerSecond,
      },
      fixed: settings.placement.mode === 'fixed' ? fixedSpan(settings.placement, plan.blocks) : null,
      rule: withinFormat(placementRule(settings.rule), sizing.format),
      settings,
      loader,
      log: this.#log,
      onSelected: (span) => {
        this.#log.info(selectedLine(span))
        if (!isInitialized) this.#log.info(initializedLine(mode, node.peerId))
        isInitialized = true
        this.#set({ status: 'loading', plan, span, progress: CHOOSING })
      },
      onProgress: (span, progress) => this.#set({ status: 'loading', plan, span, progress }),
      signal,
    })
    signal.throwIfAborted()
    const server = node.createServer({
      modelDigest: model.id.digest,
      weights: sizing.format,
      backend: member.fields.backend,
      hiddenSize: model.config.hiddenSize,
      headSteps: headWeight(model.config),
      ...(settings.simulateSpeed === null ? {} : { simulateSpeed: settings.simulateSpeed }),
    })
    serving = this.#serve(prepared, member, server, loader, loaded)
    this.#undo(signal, () => serving?.stop())
    // First of all: others take their new routes while this tab still ends what it has begun.
    this.#undo(signal, () => node.announcer.goodbye())
    serving.start()
    control.begin(serving)
  }

  async #becomeMember(
    node: Awaited<ReturnType<DonorEnvironment['join']>>,
    { settings, model, sizing, engine, plan }: Prepared,
    loader: SpanLoader,
  ): Promise<Member> {
    const speed = await loader.knownSpeed(sizing.length)
    const fields: AnnouncedFields = {
      model: model.id,
      state: 'joining',
      span: plan.span,
      claimedAt: Math.round(node.now()),
      maxBlocks: sizing.length,
      ...(settings.placement.mode === 'fixed' ? { fixed: true } : {}),
      blockStepsPerSecond: speed ?? settings.simulateSpeed ?? 0,
      ...(settings.simulateSpeed === null ? {} : { simulated: settings.simulateSpeed }),
      cacheTokensLeft: 0,
      sessions: 0,
      weights: sizing.format,
      backend: engine.adapter.backend,
      ...(sizing.kv === 'f32' ? {} : { kv: sizing.kv }),
    }
    return new Member(node, fields, unitWeightsOf(model.config))
  }

  #serve(
    { settings, model, sizing, plan }: Prepared,
    member: Member,
    server: InferenceServer,
    loader: SpanLoader,
    loaded: LoadedSpan,
  ): Serving {
    return new Serving({
      environment: this.#environment,
      member,
      server,
      loader,
      loaded,
      model,
      sizing,
      settings,
      rule: withinFormat(placementRule(settings.rule), sizing.format),
      log: this.#log,
      onChange: (figures) => {
        if (this.#ending === null) this.#set({ status: 'serving', plan, peerId: member.peerId, ...figures })
      },
      onFinished: () => void this.stop(),
      onFailure: (error) => void this.#fail(error),
    })
  }

  #warnWithoutRelay(relays: readonly { state: string }[]): void {
    const isHeard = relays.some(({ state }) => state === 'connected' || state === 'refused')
    if (!isHeard && relays.length > 0) this.#log.warn('No relay answers yet; this tab goes on trying.')
  }

  async #fail(error: unknown): Promise<void> {
    if (this.#ending !== null) return
    this.#log.error(error)
    await this.#end({ status: 'failed', error: plainOf(error) })
  }

  /** Undoes everything, last first, and rests in `last`. Safe to call while it is under way. */
  #end(last: DonorState): Promise<void> {
    this.#ending ??= (async () => {
      this.#aborter.abort(new SwarmError('CANCELLED', 'the tab stopped donating'))
      if (last.status === 'stopped') this.#set({ status: 'stopping' })
      await this.#undoAll()
      this.#ending = null
      this.#set(last)
    })()
    return this.#ending
  }

  /** `signal` is that of the run: what it opens after it was ended is undone at once. */
  #undo(signal: AbortSignal, ending: () => Promise<void> | void): void {
    if (!signal.aborted) this.#endings.push(ending)
    else void this.#attempt(ending)
  }

  async #attempt(ending: () => Promise<void> | void): Promise<void> {
    try {
      await ending()
    } catch (error) {
      // The end goes on: what is left frees more than what failed.
      this.#log.error(error)
    }
  }

  async #undoAll(): Promise<void> {
    for (let ending = this.#endings.pop(); ending !== undefined; ending = this.#endings.pop()) {
      await this.#attempt(ending)
    }
  }

  #set(state: DonorState): void {
    this.#state = state
    this.#changed()
  }

  #changed(): void {
    for (const listener of this.#listeners) listener()
  }
}

/** What is not one of our errors is a bug, and says so rather than blaming a frame. */
function plainOf(error: unknown): ReturnType<typeof toPlainError> {
  const plain = toPlainError(error)
  if (error instanceof SwarmError) return plain
  return {
    ...plain,
    message: `Something went wrong in this tab: ${plain.message}`,
    action: 'Reload the page and try again.',
  }
}
