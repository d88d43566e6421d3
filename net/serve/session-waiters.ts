/**
 * Push streams whose session is not open yet: the previous hop may be faster than the requesting peer's own stream to us.
 * They wait a limited time, and only so many of them.
 */
import { SwarmError } from '../../swarm/errors.ts'
import { ATTACH_TIMEOUT_MS } from '../../swarm/limits.ts'
import type { HopSession } from './hop-session.ts'

/** All peers together. */
const MAX_WAITING = 32

export class SessionWaiters {
  readonly #find: (id: string, epoch: number) => HopSession | undefined
  readonly #checks = new Set<() => void>()

  /** `find`: a session of that epoch or a later one. */
  constructor(find: (id: string, epoch: number) => HopSession | undefined) {
    this.#find = find
  }

  /** To be called when a session was opened. */
  check(): void {
    for (const check of this.#checks) check()
  }

  /** @throws SwarmError BUSY, NO_SESSION */
  async wait(id: string, epoch: number): Promise<HopSession> {
    const known = this.#find(id, epoch)
    if (known !== undefined) return known
    if (this.#checks.size >= MAX_WAITING) {
      throw new SwarmError('BUSY', 'too many streams wait for their session', { retryable: true })
    }
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#checks.delete(check)
      }
      const check = (): void => {
        const session = this.#find(id, epoch)
        if (session === undefined) return
        done()
        resolve(session)
      }
      const timer = setTimeout(() => {
        done()
        reject(new SwarmError('NO_SESSION', `session ${id} was not opened within ${ATTACH_TIMEOUT_MS} ms`))
      }, ATTACH_TIMEOUT_MS)
      this.#checks.add(check)
    })
  }
}
