/**
 * What sessions get whose tokens go round their routes for ever, event by event: each peer works on one step at a time, in the order in
 * which they came, and takes as long as its speed says. Beside `session-throughput.ts`, where the times are random.
 */
import { weightOfSpan } from '../../swarm/model/unit-weights.ts'
import type { RouteHop } from '../../swarm/planner/types.ts'

/** Sessions begin one after another, as they do in practice. */
const APART_SECONDS = 0.01

interface Token {
  session: number
  hop: number
  /** When it reaches that hop, seconds. */
  at: number
}

export interface Sessions {
  routes: readonly (readonly RouteHop[])[]
  unitWeights: readonly number[]
  blockStepsPerSecond: ReadonlyMap<string, number>
  /** From one peer to the next. */
  wayMs: number
}

/** Tokens a second of all sessions together, from `settledSeconds` to `endSeconds`. */
export function lapsASecond(
  { routes, unitWeights, blockStepsPerSecond, wayMs }: Sessions,
  { settledSeconds, endSeconds }: { settledSeconds: number; endSeconds: number },
): number {
  const tokens = routes.map((_, session): Token => ({ session, hop: 0, at: session * APART_SECONDS }))
  const freeAt = new Map<string, number>()
  let laps = 0
  for (;;) {
    const token = tokens.reduce((first, other) => (other.at < first.at ? other : first))
    if (token.at >= endSeconds) return laps / (endSeconds - settledSeconds)
    const hops = routes[token.session] as readonly RouteHop[]
    const { peerId, span } = hops[token.hop] as RouteHop
    const seconds = weightOfSpan(span, unitWeights) / (blockStepsPerSecond.get(peerId) as number)
    const done = Math.max(token.at, freeAt.get(peerId) ?? 0) + seconds
    freeAt.set(peerId, done)
    token.at = done + wayMs / 1_000
    token.hop = (token.hop + 1) % hops.length
    if (token.hop === 0 && done >= settledSeconds) laps += 1
  }
}
