/**
 * Keys and values of closed sessions, kept for sessions that begin with the same tokens. What is kept lies in the budget and counts as
 * free: it goes as soon as a session needs the room. Knows names and lengths only; a backend hands in what makes and copies caches.
 *
 * Shared are only rows of the same requesting peer, from the same hops before this one: then the same peer would have sent the same
 * inputs, and nobody reads, guesses at or poisons what another one left.
 */
import { SwarmError } from '../../swarm/errors.ts'
import { MAX_SESSIONS } from '../../swarm/limits.ts'
import { sameSpan, spanLength } from '../../swarm/span.ts'
import type { PrefixNames, SessionRequest } from '../../swarm/span-runner.ts'
import type { SessionLimits } from './step-checks.ts'

export interface PrefixHolder extends SessionLimits {
  /** null: nobody may share its rows. */
  prefix: PrefixNames | null
  /** Tokens that it began with, before a step of its own. */
  begun: number
}

export interface CacheMaker<C> {
  /** Whether so many tokens are free in the budget now. */
  fits: () => boolean
  /** @throws SwarmError CACHE_FULL, OUT_OF_MEMORY */
  allocate: () => C | Promise<C>
  /** The first `tokens` rows, in every block. */
  copy: (from: C, to: C, tokens: number) => void
}

interface Kept<C> extends PrefixHolder {
  cache: C
}

/** After this long whoever left them has most likely gone; looked at when sessions open and close. */
const KEEP_MS = 10 * 60_000

export class KeptPrefixes<C> {
  readonly #free: (cache: C) => void
  readonly #now: () => number
  /** The one that was of use longest ago first. */
  #kept: { holder: Kept<C>; usedAt: number }[] = []

  /** `free` is called once for each cache that is given up here. */
  constructor(free: (cache: C) => void, now: () => number = () => performance.now()) {
    this.#free = free
    this.#now = now
  }

  /** Tokens times blocks that are free as soon as somebody asks. */
  get tokenBlocks(): number {
    return this.#kept.reduce((sum, { holder }) => sum + holder.maxTokens * spanLength(holder.span), 0)
  }

  /**
   * The cache of a session that opens, with as many `tokens` in it as one of `open` or one that was kept shares with it.
   * @throws SwarmError what `allocate` does once nothing is kept any more
   */
  async begin(
    request: SessionRequest,
    open: readonly Kept<C>[],
    { fits, allocate, copy }: CacheMaker<C>,
  ): Promise<{ cache: C; tokens: number }> {
    this.#dropOld()
    const found = this.#find(request, open)
    const from = found?.from ?? null
    this.#makeRoom(fits, from)
    if (found !== null && !fits()) {
      // Its room is the only one: it becomes the session's own where it is of that size, else it goes.
      if (this.#isKept(found.from) && found.from.maxTokens === request.maxTokens) {
        this.#kept = this.#kept.filter(({ holder }) => holder !== from)
        return { cache: found.from.cache, tokens: found.tokens }
      }
      this.#makeRoom(fits, null)
    }
    let cache: C
    try {
      cache = await allocate()
    } catch (error) {
      const isShort = error instanceof SwarmError && error.code === 'OUT_OF_MEMORY'
      if (!isShort || this.#kept.length === 0) throw error
      // Within the budget, and the device has less than that: what is kept goes before a session is refused.
      this.clear()
      return { cache: await allocate(), tokens: 0 }
    }
    const isThere = found !== null && (open.includes(found.from) || this.#isKept(found.from))
    if (!isThere) return { cache, tokens: 0 }
    copy(found.from.cache, cache, found.tokens)
    this.#use(found.from)
    return { cache, tokens: found.tokens }
  }

  /** Takes over the cache of a session that has closed: keeps it, or frees it at once. */
  keep(closed: Kept<C>): void {
    this.#dropOld()
    const names = namesHeld(closed)
    const longer = this.#kept.find(
      ({ holder }) => isSameSource(holder, closed) && shared(holder, names) === names.length,
    )
    if (names.length === 0 || longer !== undefined) {
      if (longer !== undefined) this.#use(longer.holder)
      this.#free(closed.cache)
      return
    }
    // Those that it holds in full itself are of no more use.
    this.#give(
      ({ holder }) => isSameSource(holder, closed) && shared(closed, namesHeld(holder)) === namesHeld(holder).length,
    )
    const { span, maxTokens, length, prefix, begun, cache } = closed
    this.#kept.push({ holder: { span, maxTokens, length, prefix, begun, cache }, usedAt: this.#now() })
    if (this.#kept.length > MAX_SESSIONS) this.#giveFirst(null)
  }

  clear(): void {
    this.#give(() => true)
  }

  /** The longest start that is there already. */
  #find(
    { span, maxTokens, prefix }: SessionRequest,
    open: readonly Kept<C>[],
  ): { from: Kept<C>; tokens: number } | null {
    if (prefix === undefined) return null
    let best: { from: Kept<C>; tokens: number } | null = null
    for (const from of [...this.#kept.map(({ holder }) => holder), ...open]) {
      if (!isSameSource(from, { span, prefix })) continue
      const most = Math.floor(maxTokens / prefix.stride)
      const tokens = Math.min(shared(from, prefix.names), most) * prefix.stride
      if (tokens > (best?.tokens ?? 0)) best = { from, tokens }
    }
    return best
  }

  #isKept(holder: Kept<C>): boolean {
    return this.#kept.some((kept) => kept.holder === holder)
  }

  #makeRoom(isEnough: () => boolean, spared: Kept<C> | null): void {
    while (!isEnough() && this.#giveFirst(spared));
  }

  /** Whether there was one. */
  #giveFirst(spared: Kept<C> | null): boolean {
    const first = this.#kept.find(({ holder }) => holder !== spared)
    if (first === undefined) return false
    this.#give((kept) => kept === first)
    return true
  }

  #give(which: (kept: { holder: Kept<C>; usedAt: number }) => boolean): void {
    const given = this.#kept.filter(which)
    this.#kept = this.#kept.filter((kept) => !given.includes(kept))
    for (const { holder } of given) this.#free(holder.cache)
  }

  #use(holder: Kept<C>): void {
    const used = this.#kept.filter((kept) => kept.holder === holder)
    for (const kept of used) kept.usedAt = this.#now()
    this.#kept = [...this.#kept.filter((kept) => !used.includes(kept)), ...used]
  }

  #dropOld(): void {
    const since = this.#now() - KEEP_MS
    this.#give(({ usedAt }) => usedAt < since)
  }
}

/** To be called before a session is cut to `length`: what runs there next may be other tokens than were named. */
export function cutPrefix(session: PrefixHolder, length: number): void {
  if (session.length > session.begun && session.prefix !== null) {
    const { prefix } = session
    session.prefix = { ...prefix, names: prefix.names.slice(0, Math.floor(length / prefix.stride)) }
  }
  session.begun = Math.min(session.begun, length)
}

/** Of the names those whose rows are there. */
function namesHeld({ prefix, length }: Pick<PrefixHolder, 'prefix' | 'length'>): readonly string[] {
  return prefix === null ? [] : prefix.names.slice(0, Math.floor(length / prefix.stride))
}

/** How many of `names`, from the first on, it holds. */
function shared(holder: PrefixHolder, names: readonly string[]): number {
  const held = namesHeld(holder)
  let count = 0
  while (count < held.length && count < names.length && held[count] === names[count]) count += 1
  return count
}

function isSameSource(a: Pick<PrefixHolder, 'span' | 'prefix'>, b: Pick<PrefixHolder, 'span' | 'prefix'>): boolean {
  if (a.prefix === null || b.prefix === null || !sameSpan(a.span, b.span)) return false
  return a.prefix.owner === b.prefix.owner && a.prefix.source === b.prefix.source && a.prefix.stride === b.prefix.stride
}
