/**
 * When a serving donor thinks about its place: at random times with the given mean, and soon after a change in the directory
 * that leaves blocks without holder and claim. One move at a time. How to move is `mover.ts`, where to is the planner.
 */
import { describeError, SwarmError } from '../../swarm/errors.ts'
import { unclaimedBlocks } from '../../swarm/planner/coverage.ts'
import { viewInFormat } from '../../swarm/planner/formats.ts'
import type { BalanceOptions, PlacementRule, SwarmView } from '../../swarm/planner/types.ts'
import { urgentMoves } from '../../swarm/planner/urgent.ts'
import { formatBlockRanges, type Span } from '../../swarm/span.ts'
import type { DonorLog } from './donor-log.ts'
import type { DonorEnvironment } from './environment.ts'
import { balanceLine, IMBALANCE_LINE } from './lines.ts'
import type { Member } from './member.ts'

export interface PlacementWatchOptions {
  environment: DonorEnvironment
  member: Member
  rule: PlacementRule
  balanceQuality: number
  meanPeriodMs: number
  /** See `BalanceOptions`. */
  secondsUntil: (span: Span) => number
  log: DonorLog
  move: (choose: (view: SwarmView) => Span | null, signal: AbortSignal) => Promise<boolean>
  /** A move that left the donor without blocks. */
  onFailure: (error: unknown) => void
}

/** Records of one event come within milliseconds of each other: looked at together. */
const LOOK_AFTER_MS = 150
/** So long a hole may stay unclaimed before the next in line takes it that those before did not. */
const PATIENCE_MS = 5_000
/** After a move that did not work out, before the next urgent one. */
const REST_MS = 15_000

export class PlacementWatch {
  readonly #options: PlacementWatchOptions
  readonly #aborter = new AbortController()
  #unsubscribe: () => void = () => undefined
  #cancelCheck: () => void = () => undefined
  #cancelLook: (() => void) | null = null
  #moving: Promise<void> | null = null
  #missing = ''
  #openSince: number | null = null
  #restUntil = 0

  constructor(options: PlacementWatchOptions) {
    this.#options = options
  }

  start(): void {
    this.#unsubscribe = this.#options.member.node.directory.onChange(() => this.#lookSoon(LOOK_AFTER_MS))
    this.#scheduleCheck()
    this.#lookSoon(LOOK_AFTER_MS)
  }

  /** Ends the checks and a move under way; resolves when that is over. */
  async stop(): Promise<void> {
    this.#aborter.abort()
    this.#unsubscribe()
    this.#cancelCheck()
    this.#cancelLook?.()
    this.#cancelLook = null
    await this.#moving
  }

  #scheduleCheck(): void {
    const { environment, meanPeriodMs } = this.#options
    this.#cancelCheck = environment.clock.after(2 * meanPeriodMs * environment.random(), () => {
      if (this.#moving === null) this.#checkBalance()
      this.#scheduleCheck()
    })
  }

  #checkBalance(): void {
    const { rule, member, log } = this.#options
    const decide = (view: SwarmView) => rule.checkBalance(view, member.peerId, this.#checkOptions())
    const check = decide(member.view())
    log.info(balanceLine(check))
    if (check.moveTo === null) return
    log.info(IMBALANCE_LINE)
    this.#begin((view) => decide(view).moveTo)
  }

  #lookSoon(ms: number): void {
    if (this.#cancelLook !== null || this.#aborter.signal.aborted) return
    this.#cancelLook = this.#options.environment.clock.after(ms, () => {
      this.#cancelLook = null
      this.#look()
    })
  }

  /** Whether blocks lost their last holder, and whether it is this donor's turn to take them. */
  #look(): void {
    const { member, log, environment, rule } = this.#options
    const all = member.view()
    const view = viewInFormat(all, member.fields.weights)
    const open = unclaimedBlocks(view)
    // Its own claim closes the hole; said when that has become true.
    if (this.#moving === null) this.#reportMissing(unclaimedBlocks(all))
    if (open.length === 0) {
      this.#openSince = null
      return
    }
    const now = environment.clock.now()
    this.#openSince ??= now
    // Others may be unable to do what the plan asks of them; their turn passes with time.
    const turns = Math.floor((now - this.#openSince) / PATIENCE_MS)
    const isReady = this.#moving === null && now >= this.#restUntil
    if (!isReady || this.#target(view, turns) === null) {
      this.#lookSoon(PATIENCE_MS)
      return
    }
    log.info(balanceLine(rule.checkBalance(view, member.peerId, this.#checkOptions())))
    log.info(IMBALANCE_LINE)
    this.#begin((current) => this.#target(current, turns))
  }

  #target(view: SwarmView, turns: number): Span | null {
    const { rule, member } = this.#options
    let current = view
    for (let turn = 0; turn <= turns; turn += 1) {
      const moves = urgentMoves(rule, current)
      const own = moves.get(member.peerId)
      if (own !== undefined) return own
      if (moves.size === 0) return null
      const peers = current.peers.map((peer) => (moves.has(peer.peerId) ? { ...peer, fixed: true } : peer))
      current = { ...current, peers }
    }
    return null
  }

  #begin(choose: (view: SwarmView) => Span | null): void {
    const { signal } = this.#aborter
    const { environment, log, onFailure } = this.#options
    this.#moving = this.#options
      .move(choose, signal)
      .then((moved) => {
        if (!moved) this.#restUntil = environment.clock.now() + REST_MS
      })
      .catch((error: unknown) => {
        // A GPU that was lost stays lost, wanted or not.
        const isLost = error instanceof SwarmError && error.code === 'GPU_LOST'
        if (signal.aborted && !isLost) return
        log.warn(`Moving failed: ${describeError(error)}`)
        onFailure(error)
      })
      .finally(() => {
        this.#moving = null
        this.#lookSoon(LOOK_AFTER_MS)
      })
  }

  #reportMissing(open: readonly number[]): void {
    const { log } = this.#options
    const missing = formatBlockRanges(open)
    if (missing === this.#missing) return
    if (missing !== '') log.warn(`Missing blocks: ${missing} (nobody serves or loads them).`)
    else log.info('No block is missing any more.')
    this.#missing = missing
  }

  #checkOptions(): BalanceOptions {
    const { environment, balanceQuality, secondsUntil } = this.#options
    return { balanceQuality, random: () => environment.random(), secondsUntil }
  }
}
