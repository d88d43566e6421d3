/**
 * What hops hold of sessions whose route was lost beside them: kept for a while, so that the session goes on here when another peer
 * has taken the lost one's place. Whoever else needs the room gets it.
 */
import { HELD_SESSION_MS } from '../../swarm/limits.ts'
import type { HeldSession } from './hop-session.ts'

export class HeldSessions {
  readonly #held = new Map<string, { session: HeldSession; timer: ReturnType<typeof setTimeout> }>()
  readonly #onFreed: () => void
  readonly #log: (text: string) => void

  /** `onFreed`: caches have room again. */
  constructor(onFreed: () => void, log: (text: string) => void) {
    this.#onFreed = onFreed
    this.#log = log
  }

  get(id: string): HeldSession | undefined {
    return this.#held.get(id)?.session
  }

  keep(session: HeldSession): void {
    const timer = setTimeout(() => void this.free(({ id }) => id === session.id), HELD_SESSION_MS)
    this.#held.set(session.id, { session, timer })
  }

  /** It goes on; undefined when it is no longer here. */
  take(id: string): HeldSession | undefined {
    const found = this.#held.get(id)
    if (found === undefined) return undefined
    clearTimeout(found.timer)
    this.#held.delete(id)
    return found.session
  }

  /** Frees those that are meant; false: there was none. */
  async free(isMeant: (session: HeldSession) => boolean): Promise<boolean> {
    const meant = [...this.#held.values()].map(({ session }) => session).filter(isMeant)
    await Promise.all(
      meant.map(async ({ id, runner, outputs }) => {
        this.take(id)
        outputs.drop()
        await runner.closeSession(id).catch((error: unknown) => this.#log(`closing a session failed: ${String(error)}`))
      }),
    )
    if (meant.length > 0) this.#onFreed()
    return meant.length > 0
  }
}
