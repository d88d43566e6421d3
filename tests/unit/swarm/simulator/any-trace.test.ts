/** Whatever happens to a swarm, the books balance. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { TimelineEntry } from '../../../../swarm/simulator/timeline.ts'
import { equalPeers, run } from './support.ts'

const PEERS = 'abcdefg'
const cluster = equalPeers(PEERS, 6, { maxBlocks: 3, rttMs: 10 })
const SECONDS = 300

/** Comings and goings that make sense: each step turns a peer's presence over, or slows it, or begins a session. */
const steps = fc.array(
  fc.record({
    after: fc.double({ min: 0, max: 20, noNaN: true }),
    peer: fc.integer({ min: 0, max: PEERS.length - 1 }),
    what: fc.constantFrom('leave', 'crash', 'speed', 'session'),
    amount: fc.integer({ min: 1, max: 400 }),
  }),
  { maxLength: 40 },
)

function eventsOf(drawn: readonly { after: number; peer: number; what: string; amount: number }[]): object[] {
  const away = new Set<string>()
  let t = 0
  return drawn.map(({ after, peer, what, amount }, index) => {
    t += after
    const id = PEERS[peer] as string
    if (what === 'session') return { t, session: `s${index}`, promptTokens: amount % 50, newTokens: amount }
    if (what === 'speed') return { t, speed: id, factor: amount / 200 }
    if (away.delete(id)) return { t, join: id }
    away.add(id)
    return { t, [what]: id }
  })
}

test('sessions, bytes and times add up, and nobody serves what it has not loaded', () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 0, max: 1000 }), (drawn, seed) => {
      const { result, timeline } = run(cluster, eventsOf(drawn), { seed, untilSeconds: SECONDS, meanCheckSeconds: 20 })
      const { started, finished, failed, running, rerouted, reroutesByLoss, reroutesByMove } = result.sessions
      expect(finished + failed + running).toBe(started)
      expect(rerouted).toBeLessThanOrEqual(started)
      expect(reroutesByLoss + reroutesByMove).toBeGreaterThanOrEqual(rerouted)
      for (const share of [
        result.capacityShare.mean,
        result.capacityShare.p5,
        result.flowShare.mean,
        result.coveredShare,
        result.coveredShareOfLoaded,
        result.bytesBeyondFirstLoad,
      ]) {
        expect(share === null || (share >= 0 && share <= 1 + 1e-9)).toBe(true)
      }
      expect(result.peerHours).toBeLessThanOrEqual((PEERS.length * SECONDS) / 3600 + 1e-6)
      expectClaimsBeforeServing(timeline)
      expect(result.recovery.losses).toBeGreaterThanOrEqual(result.recovery.unfinished)
    }),
    { numRuns: 150 },
  )
})

/** A span that is served was claimed by the same peer, for at least as long as its bytes take at 1000 a second. */
function expectClaimsBeforeServing(timeline: readonly TimelineEntry[]): void {
  const claims = new Map<string, Extract<TimelineEntry, { event: 'claim' }>>()
  for (const entry of timeline) {
    if (entry.event === 'claim') claims.set(entry.peer, entry)
    if (entry.event !== 'serve' || entry.why === 'start') continue
    const claim = claims.get(entry.peer)
    expect(claim).toMatchObject({ start: entry.start, end: entry.end, why: entry.why })
    expect(entry.t - (claim?.t ?? NaN)).toBeCloseTo((claim?.bytes ?? NaN) / 1000, 6)
    claims.delete(entry.peer)
  }
}
