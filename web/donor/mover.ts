/**
 * Moves a serving donor to other blocks: claims them, waits until the claim stands, loads them beside the old ones, serves and
 * announces them, and only then lets the old ones go: when the answers that run there have ended, and those that last longer
 * between two tokens. The old blocks are let go only while others hold them; where memory has room for one span only, that is
 * checked before loading, and said. When the others are lost while answers end there, it goes back: the blocks are still loaded.
 */
import type { InferenceServer } from '../../net/types.ts'
import { describeError, SwarmError } from '../../swarm/errors.ts'
import { MAX_CACHED_SPANS } from '../../swarm/limits.ts'
import { blocksLostByMove, missingBlocks } from '../../swarm/planner/coverage.ts'
import { viewInFormat } from '../../swarm/planner/formats.ts'
import type { SwarmView } from '../../swarm/planner/types.ts'
import { NO_BLOCKS, blocksOf, formatBlockRanges, sameSpan, type Span } from '../../swarm/span.ts'
import type { DonorLog } from './donor-log.ts'
import type { DonorModel } from './donor-model.ts'
import type { DonorEnvironment } from './environment.ts'
import { settlingIn } from './joining.ts'
import { selectedLine } from './lines.ts'
import type { Member } from './member.ts'
import type { PromiseKeeper } from './promise-keeper.ts'
import { settleClaim } from './settle.ts'
import { bytesOf, type Sizing } from './sizing.ts'
import type { LoadedSpan, SpanLoader } from './span-loader.ts'
import type { LoadProgress } from './state.ts'

/** An answer of some hundred tokens; what lasts longer goes on in other tabs, and runs its tokens again there. */
export const DRAIN_LIMIT_MS = 60_000
/** Whoever waits for an answer pings every second, hidden pages less often; a chat that rests is silent. */
export const DRAIN_IDLE_MS = 5_000

export interface MoverOptions {
  environment: DonorEnvironment
  member: Member
  promises: PromiseKeeper
  server: InferenceServer
  loader: SpanLoader
  model: DonorModel
  sizing: Sizing
  log: DonorLog
  current: () => LoadedSpan
  /** The new span is loaded and serves; called before the old one is let go. */
  onServing: (loaded: LoadedSpan) => void
  /** The old span was let go before the new one is there. */
  onDropped: () => void
  onProgress: (moving: { span: Span; progress: LoadProgress } | null) => void
}

export class Mover {
  readonly #options: MoverOptions

  constructor(options: MoverOptions) {
    this.#options = options
  }

  /**
   * `choose` says where to go as things stand, null to stay; it is asked again while other claims come in. Resolves with
   * whether the donor moved. A load that fails leaves it where it was; so does an abort, except that the old blocks may be
   * gone by then (`onDropped`).
   * @throws SwarmError only when the old blocks were dropped first and neither can be loaded; the signal's reason
   */
  async move(choose: (view: SwarmView) => Span | null, signal: AbortSignal): Promise<boolean> {
    const { member, current } = this.#options
    const servedSince = member.fields.claimedAt
    const old = current()
    try {
      return await this.#move(choose, servedSince, signal)
    } catch (error) {
      // A claim that nobody follows up would keep others from the blocks.
      if (signal.aborted && current() === old) {
        member.announce({ span: old.runner.span, next: null, claimedAt: servedSince })
      }
      throw error
    }
  }

  async #move(choose: (view: SwarmView) => Span | null, servedSince: number, signal: AbortSignal): Promise<boolean> {
    const { environment, member, log, current } = this.#options
    const claimedAt = Math.max(member.now(), servedSince + 1)
    const from = current().runner.span
    const seen = (): SwarmView => this.#seenBefore(claimedAt, servedSince)
    const lostByGoingTo = (to: Span): number[] => blocksLostByMove(seen(), member.peerId, from, to)
    const target = await settleClaim({
      ...settlingIn(environment, member, signal),
      choose: () => {
        const choice = choose(seen())
        return choice === null || lostByGoingTo(choice).length > 0 || sameSpan(choice, from) ? null : choice
      },
      fingerprint: () => fingerprint(seen()),
      publish: (next) => member.announce({ next, claimedAt }),
    })
    const stay = (reason: string): false => this.#stay(reason, servedSince)
    if (target === null) return stay('another tab is taking care of it')
    log.info(selectedLine(target))
    try {
      return this.#bothFit(from, target)
        ? await this.#loadThenDrop(target, claimedAt, lostByGoingTo, stay, signal)
        : await this.#dropThenLoad(target, claimedAt, lostByGoingTo, stay, signal)
    } finally {
      this.#options.onProgress(null)
    }
  }

  /** In its own weight format: the others as they go before a move claimed then. */
  #seenBefore(claimedAt: number, servedSince: number): SwarmView {
    const { member } = this.#options
    return viewInFormat(member.viewBeforeMove(claimedAt, servedSince), member.fields.weights)
  }

  #stay(reason: string, servedSince: number): false {
    const { log, member } = this.#options
    log.info(`Stays with its blocks: ${reason}.`)
    member.announce({ next: null, claimedAt: servedSince })
    return false
  }

  #bothFit(from: Span, target: Span): boolean {
    const { model, sizing } = this.#options
    return bytesOf(model.config, from, sizing) + bytesOf(model.config, target, sizing) <= sizing.budgetBytes
  }

  async #loadThenDrop(
    target: Span,
    claimedAt: number,
    lostByGoingTo: (to: Span) => number[],
    stay: (reason: string) => false,
    signal: AbortSignal,
  ): Promise<boolean> {
    let loaded: LoadedSpan
    try {
      loaded = await this.#load(target, signal)
    } catch (error) {
      if (signal.aborted || isOfTheDevice(error)) throw error
      return stay(`the others could not be loaded (${describeError(error)})`)
    }
    const old = this.#options.current()
    let reason: string | null
    try {
      reason = await this.#askToGo(old.runner.span, target, () => lostByGoingTo(target), signal)
    } catch (error) {
      await loaded.runner.dispose()
      throw error
    }
    if (reason !== null) {
      await loaded.runner.dispose()
      return stay(reason)
    }
    this.#serve(loaded, claimedAt)
    this.#options.promises.done()
    await this.#letGo(old, signal)
    return true
  }

  async #dropThenLoad(
    target: Span,
    claimedAt: number,
    lostByGoingTo: (to: Span) => number[],
    stay: (reason: string) => false,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { member, server, log, current } = this.#options
    const old = current()
    const lost = lostByGoingTo(NO_BLOCKS)
    if (lost.length > 0) {
      return stay(`memory holds one span at a time, and only this tab serves blocks ${formatBlockRanges(lost)}`)
    }
    const reason = await this.#askToGo(old.runner.span, NO_BLOCKS, () => lostByGoingTo(NO_BLOCKS), signal)
    if (reason !== null) return stay(reason)
    log.info('Memory holds one span at a time: the old blocks are dropped first, other tabs serve them.')
    const servedSince = member.fields.claimedAt
    member.announce({ state: 'joining', span: target, next: null, claimedAt, asks: null, promises: null })
    this.#options.promises.done()
    if ((await this.#drain(old, signal)) === 'needed again') {
      server.takeBackRunner(old.runner)
      this.#announce(old, servedSince)
      log.info('Stays with its blocks: they have lost their other holder.')
      return false
    }
    await this.#drop(old)
    this.#options.onDropped()
    try {
      this.#serve(await this.#load(target, signal), claimedAt)
      return true
    } catch (error) {
      if (signal.aborted) throw error
      log.warn(`The new blocks could not be loaded (${describeError(error)}); the old ones are loaded again.`)
      member.announce({ state: 'joining', span: old.runner.span, claimedAt: servedSince })
      this.#serve(await this.#load(old.runner.span, signal), servedSince)
      return false
    }
  }

  /** null: others keep what is let go, and this donor goes now. Otherwise why it stays. */
  async #askToGo(from: Span, to: Span, lost: () => number[], signal: AbortSignal): Promise<string | null> {
    const gone = blocksOf(from).filter((block) => block < to.start || block >= to.end)
    const open = await this.#options.promises.request({
      span: from,
      blocks: () => gone,
      isOver: () => lost().length > 0,
      signal,
    })
    const missing = lost()
    if (missing.length > 0) {
      if (open === null) this.#options.promises.done()
      return `blocks ${formatBlockRanges(missing)} lost their other holder meanwhile`
    }
    if (open === null) return null
    return open.length > 0
      ? `no other tab promised in time to keep blocks ${formatBlockRanges(open)}`
      : 'other tabs count on its blocks for the moment'
  }

  async #load(span: Span, signal: AbortSignal): Promise<LoadedSpan> {
    const { loader, onProgress } = this.#options
    return await loader.load(span, (progress) => onProgress({ span, progress }), signal)
  }

  /** Sessions come to the new runner first, then the announcement sends them. */
  #serve(loaded: LoadedSpan, claimedAt: number): void {
    this.#options.server.addRunner(loaded.runner)
    this.#announce(loaded, claimedAt)
  }

  #announce(loaded: LoadedSpan, claimedAt: number): void {
    const { member, onServing } = this.#options
    member.announce({
      state: 'online',
      span: loaded.runner.span,
      next: null,
      asks: null,
      promises: null,
      cached: this.#kept(loaded.runner.span),
      claimedAt,
      blockStepsPerSecond: loaded.blockStepsPerSecond,
      exact: loaded.exact,
      cacheTokensLeft: loaded.runner.status().cacheTokensLeft,
    })
    onServing(loaded)
  }

  /** What was loaded before is on the disk, and this tab is back there in seconds. */
  #kept(span: Span): Span[] {
    const { member, current } = this.#options
    const before = [current().runner.span, ...(member.fields.cached ?? [])]
    const others = before.filter((each, i) => !sameSpan(each, span) && before.findIndex((b) => sameSpan(b, each)) === i)
    return others.slice(0, MAX_CACHED_SPANS)
  }

  /** Once the new blocks are served. */
  async #letGo(old: LoadedSpan, signal: AbortSignal): Promise<void> {
    const drained = await this.#drain(old, signal)
    if (drained === 'needed again') {
      if (await this.#goBack(old, signal)) return
      // Nobody else has those blocks: what runs on them has nowhere to go.
      await this.#drain(old, signal, true)
    }
    await this.#drop(old)
  }

  async #drop({ runner }: LoadedSpan): Promise<void> {
    await this.#options.server.retireRunner(runner)
    await runner.dispose()
  }

  /**
   * Answers under way end where they are, unless that takes too long, the donor is to stop, or blocks are missing: it may be
   * needed elsewhere. `needed again`: they are those of the old span.
   */
  async #drain({ runner }: LoadedSpan, signal: AbortSignal, inSpiteOfHoles = false): Promise<'done' | 'needed again'> {
    const { environment, member, server } = this.#options
    const enough = new AbortController()
    let isNeeded = false
    const look = (): void => {
      if (signal.aborted) enough.abort()
      if (inSpiteOfHoles || enough.signal.aborted) return
      isNeeded = this.#missingOf(runner.span).length > 0
      if (isNeeded || missingBlocks(member.view()).length > 0) enough.abort()
    }
    const cancel = environment.clock.after(DRAIN_LIMIT_MS, () => enough.abort())
    const unsubscribe = member.node.directory.onChange(look)
    signal.addEventListener('abort', look)
    look()
    try {
      await server.drainRunner(runner, { idleMs: DRAIN_IDLE_MS, signal: enough.signal })
    } finally {
      cancel()
      unsubscribe()
      signal.removeEventListener('abort', look)
    }
    return isNeeded && !signal.aborted ? 'needed again' : 'done'
  }

  /** Blocks of the span that nobody serves in its weight format, this donor included. */
  #missingOf({ start, end }: Span): number[] {
    const { member } = this.#options
    const missing = missingBlocks(viewInFormat(member.view(), member.fields.weights))
    return missing.filter((block) => start <= block && block < end)
  }

  /** Serves the old blocks again, which are still loaded, and lets the new ones go. False: that would open another hole. */
  async #goBack(old: LoadedSpan, signal: AbortSignal): Promise<boolean> {
    const { member, server, log, promises, current } = this.#options
    const [from, to] = [current(), old.runner.span]
    const servedSince = member.fields.claimedAt
    const claimedAt = Math.max(member.now(), servedSince + 1)
    const lost = (): number[] =>
      blocksLostByMove(this.#seenBefore(claimedAt, servedSince), member.peerId, from.runner.span, to)
    const missing = formatBlockRanges(this.#missingOf(to))
    log.info(`Blocks ${missing} have lost their other holder, and are still loaded here.`)
    const onlyHere = lost()
    if (onlyHere.length > 0)
      return this.#stay(`only this tab serves blocks ${formatBlockRanges(onlyHere)}`, servedSince)
    // Whoever would have to load them gives way.
    member.announce({ next: to, claimedAt })
    try {
      const reason = await this.#askToGo(from.runner.span, to, lost, signal)
      if (reason !== null) return this.#stay(reason, servedSince)
    } catch (error) {
      if (!signal.aborted) throw error
      member.announce({ next: null, claimedAt: servedSince })
      return false
    }
    server.takeBackRunner(old.runner)
    this.#announce(old, claimedAt)
    promises.done()
    await this.#letGo(from, signal)
    return true
  }
}

/** Then the blocks that are served are in question as well. */
function isOfTheDevice(error: unknown): boolean {
  return error instanceof SwarmError && (error.code === 'GPU_LOST' || error.code === 'WRONG_RESULTS')
}

/** Who is where: what a choice depends on, without the figures that change all the time. */
function fingerprint(view: SwarmView): string {
  return view.peers
    .map((peer) => `${peer.peerId} ${peer.state} ${peer.span.start}:${peer.span.end}`)
    .toSorted()
    .join(' ')
}
