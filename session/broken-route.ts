/**
 * A route that lost a hop. What the others hold of the session is left open, for one that goes on with it; a hop whose neighbour was
 * lost has ended its stream, and holds it for HELD_SESSION_MS.
 */
import type { RouteHop } from '../swarm/planner/types.ts'
import type { Resume, RouteSession } from './route-session.ts'
import { sharedLength } from './shared-length.ts'

export class BrokenRoute {
  readonly id: string
  readonly maxTokens: number
  readonly #route: RouteSession
  readonly #lost = new Set<string>()
  /** Sessions that were to go on with it and lost a hop themselves. */
  readonly #tries: RouteSession[] = []

  constructor(route: RouteSession) {
    this.#route = route
    this.id = route.id
    this.maxTokens = route.maxTokens
  }

  /** A peer that is at fault for this or for a later try. */
  lose(peerId: string): void {
    this.#lost.add(peerId)
  }

  /** Hops that are left, with what they hold. */
  get hops(): readonly RouteHop[] {
    return this.#route.hops.filter(({ peerId }) => this.#route.canResume(peerId) && !this.#lost.has(peerId))
  }

  /** For a session over `hops` that is to run `ids`. */
  resume(hops: readonly RouteHop[], ids: readonly number[]): Resume {
    const { tokens, chunkEnds } = this.#route
    // One token at least is run: its logits are wanted.
    const length = Math.min(sharedLength(tokens, ids), ids.length - 1)
    return {
      peers: new Set(this.hops.map(({ peerId }) => peerId).filter((id) => hops.some(({ peerId }) => peerId === id))),
      tokens: tokens.slice(0, length),
      chunkEnds,
      onFailedTry: (session) => this.#tries.push(session),
    }
  }

  /** Frees what is left; resolves within half a second. */
  async close(): Promise<void> {
    await Promise.all([this.#route, ...this.#tries].map((session) => session.close()))
  }
}
