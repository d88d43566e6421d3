/**
 * A serving donor's promises: answers those who ask to let blocks go, keeps what it has promised, and asks for itself before
 * a move or a leave. The decisions are `swarm/planner/promises.ts`; this adds time, and says them in the donor's record.
 */
import {
  blocksNotPromised,
  isBound,
  lookAtPromises,
  NO_PROMISES,
  publishedPromises,
  type PromiseState,
} from '../../swarm/planner/promises.ts'
import type { PeerRecord } from '../../swarm/peer-record.ts'
import type { Span } from '../../swarm/span.ts'
import { waitFor } from './clock.ts'
import type { DonorEnvironment } from './environment.ts'
import type { Member } from './member.ts'

/** How long promises run, and how long they are waited for: several times what a record takes and comes back. */
const WITH_DIRECTORY = { forMs: 20_000, waitMs: 8_000 }
/** Records travel by DHT put and get, each a matter of seconds. */
const WITHOUT_DIRECTORY = { forMs: 60_000, waitMs: 45_000 }
/** A record may be lost: who asks says so again, and others answer again. */
const REPEAT_MS = 2_000
const LOOK_MS = 1_000
const LOOK_AROUND_MS = 5_000
const LOOK_APART_MS = 50

export interface PromiseRequest {
  /** What is to be let go, within what is served. */
  span: Span
  /** Of that, the blocks that somebody must promise to keep, as things stand. */
  blocks: () => readonly number[]
  /** It need not be waited for any longer. */
  isOver?: () => boolean
  /** At most so long, ms; default: as long as records may take. */
  limitMs?: number
  signal: AbortSignal
}

export class PromiseKeeper {
  readonly #environment: DonorEnvironment
  readonly #member: Member
  #state: PromiseState = NO_PROMISES
  #wants: Span | null = null
  #stamp = 0
  /** Blocks are being let go: nothing may be promised until others can read it. */
  #isDeciding = false
  #said = ''
  #saidAt = 0
  #unsubscribe: () => void = () => undefined
  #cancelTimer: () => void = () => undefined
  #cancelLook: (() => void) | null = null
  #lookedAt = 0
  #onLook: () => void = () => undefined

  constructor(environment: DonorEnvironment, member: Member) {
    this.#environment = environment
    this.#member = member
  }

  start(): void {
    this.#unsubscribe = this.#member.node.directory.onChange(() => this.#lookSoon())
    this.#look()
  }

  stop(): void {
    this.#unsubscribe()
    this.#cancelLook?.()
    this.#cancelTimer()
  }

  /**
   * Waits for promises to keep `blocks`. Resolves with null when they may be let go: at once, and nothing is promised to
   * anybody until `done`. Otherwise with what nobody promised; nothing, when a promise of its own still runs. One request at a
   * time. @throws the signal's reason
   */
  async request({ span, blocks, isOver, limitMs, signal }: PromiseRequest): Promise<readonly number[] | null> {
    const { clock } = this.#environment
    const end = clock.now() + (limitMs ?? this.#pace().waitMs)
    let nextLookAround = clock.now() + LOOK_AROUND_MS
    try {
      for (;;) {
        signal.throwIfAborted()
        const open = this.#notPromised(blocks())
        const now = clock.now()
        if (open.length === 0 && !this.isBound()) {
          this.#isDeciding = true
          return null
        }
        if (now >= end || isOver?.() === true) return open
        if (this.#wants === null) {
          this.#wants = span
          this.#look()
          continue
        }
        if (!this.#usesDirectory() && now >= nextLookAround) {
          nextLookAround = now + LOOK_AROUND_MS
          // What it finds comes through the directory; whether it finds anything is not waited for.
          void this.#member.node.refreshFromDht(this.#member.fields.model.digest, signal).catch(() => undefined)
        }
        await this.#nextLook(Math.min(LOOK_MS, end - now), signal)
      }
    } finally {
      if (!this.#isDeciding) this.#letRest()
    }
  }

  /** Whether others count on its blocks for the moment. */
  isBound(): boolean {
    return isBound(this.#state, this.#now())
  }

  /** What was to be let go has been let go, and said; or it has not, and is kept. */
  done(): void {
    this.#isDeciding = false
    this.#state = NO_PROMISES
    this.#letRest()
  }

  #letRest(): void {
    this.#wants = null
    this.#look()
  }

  /** A text keeps to one weight format: who holds blocks in another keeps nothing for those who count on this tab. */
  #recordsInFormat(): PeerRecord[] {
    const { weights } = this.#member.fields
    return this.#member.otherRecords().filter((record) => record.weights === weights)
  }

  #notPromised(blocks: readonly number[]): readonly number[] {
    const { peerId } = this.#member
    return blocksNotPromised(this.#state, { peerId, records: this.#recordsInFormat(), blocks, now: this.#now() })
  }

  /** At once, but not for every record of a large swarm. */
  #lookSoon(): void {
    const waits = this.#lookedAt + LOOK_APART_MS - this.#now()
    if (waits <= 0) this.#look()
    else this.#cancelLook ??= this.#environment.clock.after(waits, () => this.#look())
  }

  #look(): void {
    this.#cancelLook?.()
    this.#cancelLook = null
    if (this.#isDeciding) return
    const now = this.#now()
    this.#lookedAt = now
    this.#stamp = Math.max(this.#stamp + 1, this.#member.now())
    const before = this.#state
    this.#state = lookAtPromises(before, {
      peerId: this.#member.peerId,
      records: this.#recordsInFormat(),
      holds: this.#member.heldSpan(),
      wants: this.#wants,
      forMs: this.#pace().forMs,
      now,
      stamp: this.#stamp,
    })
    this.#publish(now)
    this.#schedule(now)
    this.#onLook()
  }

  /** When it has changed, while an answer is waited for, and when the one who asked says so again: it has not heard. */
  #publish(now: number): void {
    const { given, ask } = this.#state
    const running = given.filter(({ until }) => until > now)
    const says = publishedPromises(this.#state, now)
    const said = JSON.stringify([says, ask === null ? running.map(({ seq }) => seq) : null])
    const isRepeated = ask !== null && now - this.#saidAt >= REPEAT_MS
    if (said === this.#said && !isRepeated) return
    this.#said = said
    this.#saidAt = now
    const { asks, promises } = this.#member.fields
    if (ask === null && running.length === 0 && asks === undefined && promises === undefined) return
    this.#member.announce({ asks: says.asks ?? null, promises: says.promises ?? null })
  }

  #schedule(now: number): void {
    this.#cancelTimer()
    const ends = this.#state.given.map(({ until }) => until - now).filter((ms) => ms > 0)
    if (this.#state.ask !== null || this.#wants !== null) ends.push(LOOK_MS)
    if (ends.length > 0) {
      this.#cancelTimer = this.#environment.clock.after(Math.min(...ends), () => this.#look())
    }
  }

  /** Resolves at the next look, or after `ms`. */
  #nextLook(ms: number, signal: AbortSignal): Promise<void> {
    return waitFor(this.#environment.clock, ms, signal, (wake) => {
      this.#onLook = wake
      return () => {
        this.#onLook = () => undefined
      }
    })
  }

  #pace(): { forMs: number; waitMs: number } {
    return this.#usesDirectory() ? WITH_DIRECTORY : WITHOUT_DIRECTORY
  }

  #usesDirectory(): boolean {
    return usesDirectory(this.#environment, this.#member)
  }

  #now(): number {
    return this.#environment.clock.now()
  }
}

/** Whether records are pushed by a relay; otherwise they are looked for in the DHT. */
export function usesDirectory(environment: DonorEnvironment, member: Member): boolean {
  return environment.directory === 'on' && member.node.relays().some(({ state }) => state === 'connected')
}
