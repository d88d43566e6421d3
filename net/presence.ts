/**
 * A peer that stands still for a while and comes back: a page that its browser freezes says goodbye first; a machine that
 * sleeps says nothing, and is noticed by the clock that has jumped. Whoever comes back cannot know what the others believe
 * by now: it announces itself anew, and asks its relays and neighbours whether their connections still live.
 */
import { SwarmError } from '../swarm/errors.ts'
import { HEARTBEAT_DEAD_MS } from '../swarm/limits.ts'
import type { LossReason } from './types.ts'

const TICK_MS = 1_000
/** Between two ticks (hidden pages have one a second): longer, and somebody who watched us may have given us up. */
const STOOD_STILL_MS = HEARTBEAT_DEAD_MS - TICK_MS
/**
 * By then everybody has who waited for something. (In a page that is throttled to a timer a minute things did run: sessions
 * from which something came are kept.)
 */
const GIVEN_UP_MS = HEARTBEAT_DEAD_MS + TICK_MS
/** What ends within this time after waking was cut by others that gave us up meanwhile. */
const WAKING_MS = 10_000
/** A page whose timers run is not frozen, whatever it was told. */
const FROZEN_AT_LEAST_MS = 2_000

export interface PresenceOptions {
  selfId: string
  announcer: { away(): void; back(): void }
  /** Ends what is served, saying why: all, or what nothing came from after `heardUntil` (`performance.now`). */
  endSessions: (reason: SwarmError, heardUntil?: number) => void
  /** Finds out which connections still live, and makes the others anew; resolves when no dead one is taken for a living one. */
  checkConnections: () => Promise<void>
  debug: (text: string) => void
}

export class Presence {
  readonly #options: PresenceOptions
  #frozenAt: number | null = null
  #ticked = clocks()
  #wokeAt = -Infinity

  constructor(options: PresenceOptions) {
    this.#options = options
  }

  /** The browser is about to stop this page. Everything here is done when it returns and the microtasks after it have run. */
  freeze(): void {
    if (this.#frozenAt !== null) return
    this.#frozenAt = Date.now()
    this.#endSessions('its browser froze the page')
    this.#options.announcer.away()
  }

  /** It runs again, or its network is back. Does no harm where nothing had happened. */
  wake(): void {
    const stillMs = this.#stillMs()
    const heardUntil = this.#ticked.running + TICK_MS
    this.#ticked = clocks()
    if (this.#frozenAt !== null || stillMs > STOOD_STILL_MS) this.#wokeAt = Date.now()
    this.#frozenAt = null
    if (stillMs > GIVEN_UP_MS) {
      this.#options.debug(`nothing ran here for ${Math.round(stillMs / 1_000)} s`)
      this.#endSessions(`it stood still for ${Math.round(stillMs / 1_000)} s`, heardUntil)
    }
    // A session that came before would be sent on over a connection that the next hop has cut, and the next hop be blamed.
    void this.#options.checkConnections().then(() => {
      if (this.#frozenAt === null) this.#options.announcer.back()
    })
  }

  /** Whether a loss says that the other one is gone. About the time of waking it rather says that we were. */
  isTheirs(reason: LossReason): boolean {
    if (reason === 'goodbye' || reason === 'relay-notice') return true
    // What was cut meanwhile may be read before the first tick.
    const isWaking = this.#stillMs() > STOOD_STILL_MS || Date.now() - this.#wokeAt < WAKING_MS
    return this.#frozenAt === null && !isWaking
  }

  /** To be called every TICK_MS, or as often as the browser lets. */
  tick(): void {
    const isThawed = this.#frozenAt !== null && Date.now() - this.#frozenAt > FROZEN_AT_LEAST_MS
    if (isThawed || this.#stillMs() > STOOD_STILL_MS) this.wake()
    else this.#ticked = clocks()
  }

  /** Since the last tick; the one clock stands still while a machine sleeps, the other may be set. */
  #stillMs(): number {
    const now = clocks()
    return Math.max(now.wall - this.#ticked.wall, now.running - this.#ticked.running)
  }

  #endSessions(why: string, heardUntil?: number): void {
    const { selfId, endSessions } = this.#options
    const message = `peer ${selfId} cannot go on: ${why}`
    endSessions(new SwarmError('PEER_REFUSED', message, { retryable: true, peerId: selfId }), heardUntil)
  }
}

function clocks(): { wall: number; running: number } {
  return { wall: Date.now(), running: performance.now() }
}
