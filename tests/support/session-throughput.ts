/**
 * What sessions get that all run at once, each on its route: tokens a second of all together. A closed queueing network in
 * Schweitzer's approximation, iterated until it holds still; each peer serves one step at a time.
 */
import type { RouteHop } from '../../swarm/planner/types.ts'

interface Visit {
  peerId: string
  /** One token's work here, alone, seconds. */
  seconds: number
  /** Share of its time that the session's token is here. */
  share: number
}

const ROUNDS = 400
const STILL = 1e-4

export interface Throughput {
  tokensPerSecond: number
  /** By peer: share of its speed that is in use. */
  inUse: ReadonlyMap<string, number>
}

export function throughputOf(
  routes: readonly (readonly RouteHop[])[],
  blockStepsPerSecond: ReadonlyMap<string, number>,
  rttMs: (from: string | null, to: string) => number,
): Throughput {
  const sessions = routes.map((hops) => ({ visits: visitsOf(hops, blockStepsPerSecond), waySeconds: way(hops, rttMs) }))
  let rates: number[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const busy = new Map<string, number>()
    for (const { visits } of sessions) {
      for (const { peerId, share } of visits) busy.set(peerId, (busy.get(peerId) ?? 0) + share)
    }
    let change = 0
    rates = sessions.map(({ visits, waySeconds }) => {
      const here = visits.map(({ peerId, seconds, share }) => seconds * (1 + (busy.get(peerId) ?? 0) - share))
      const total = here.reduce((sum, seconds) => sum + seconds, waySeconds)
      for (const [index, visit] of visits.entries()) {
        const share = (visit.share + (here[index] as number) / total) / 2
        change = Math.max(change, Math.abs(share - visit.share))
        visit.share = share
      }
      return 1 / total
    })
    if (change < STILL) break
  }
  const inUse = new Map<string, number>()
  for (const [index, { visits }] of sessions.entries()) {
    for (const { peerId, seconds } of visits) {
      inUse.set(peerId, (inUse.get(peerId) ?? 0) + (rates[index] as number) * seconds)
    }
  }
  return { tokensPerSecond: rates.reduce((sum, rate) => sum + rate, 0), inUse }
}

function visitsOf(hops: readonly RouteHop[], blockStepsPerSecond: ReadonlyMap<string, number>): Visit[] {
  const seconds = new Map<string, number>()
  for (const { peerId, span } of hops) {
    const speed = blockStepsPerSecond.get(peerId) as number
    seconds.set(peerId, (seconds.get(peerId) ?? 0) + (span.end - span.start) / speed)
  }
  return [...seconds].map(([peerId, each]) => ({ peerId, seconds: each, share: 1 / (seconds.size + 1) }))
}

function way(hops: readonly RouteHop[], rttMs: (from: string | null, to: string) => number): number {
  const out = hops.reduce((sum, { peerId }, index) => sum + rttMs(hops[index - 1]?.peerId ?? null, peerId) / 2, 0)
  return (out + rttMs(null, (hops.at(-1) as RouteHop).peerId) / 2) / 1000
}
