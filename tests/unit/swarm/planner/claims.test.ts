import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  chooseByClaim,
  chooseTogether,
  coversUnclaimed,
  startingBefore,
  type Joiner,
} from '../../../../swarm/planner/claims.ts'
import { petalsRule } from '../../../../swarm/planner/petals.ts'
import { placementRule } from '../../../../swarm/planner/rules.ts'
import type { PlacementRule, PlannerPeer } from '../../../../swarm/planner/types.ts'
import type { Span } from '../../../../swarm/span.ts'
import { compareClaims } from '../../../../swarm/planner/view.ts'
import { peer, view } from './support.ts'

/** The same joiners one after another, in claim order. */
function inTurn(
  blocks: number,
  served: readonly PlannerPeer[],
  joiners: readonly Joiner[],
  rule: PlacementRule,
): Map<string, Span> {
  const peers = [...served]
  for (const joiner of joiners.toSorted(compareClaims)) {
    peers.push({ ...peer(joiner.peerId, 0, 1), ...joiner, span: rule.chooseSpan(view(blocks, ...peers), joiner) })
  }
  return new Map(peers.map((p) => [p.peerId, p.span]))
}

/**
 * Joiners that claim at once. Each knows only the claims delivered to it; `schedule` picks which undelivered claim
 * (of whom, to whom) arrives next, until everything has.
 */
function atOnce(
  blocks: number,
  served: readonly PlannerPeer[],
  joiners: readonly Joiner[],
  schedule: readonly number[],
  rule: PlacementRule = petalsRule,
  chooseSpan = chooseByClaim,
) {
  const claims = new Map<string, PlannerPeer>()
  const known = new Map<string, Map<string, PlannerPeer>>(joiners.map((j) => [j.peerId, new Map()]))
  let inFlight: { to: string; claim: PlannerPeer }[] = []
  const choose = (joiner: Joiner): void => {
    const heard = [...(known.get(joiner.peerId)?.values() ?? [])]
    const span = chooseSpan(rule, view(blocks, ...served, ...heard), joiner)
    const before = claims.get(joiner.peerId)?.span
    if (before?.start === span.start) return
    const claim: PlannerPeer = { ...peer(joiner.peerId, 0, 1), ...joiner, span, state: 'claimed' }
    claims.set(joiner.peerId, claim)
    for (const other of joiners) {
      // A newer record takes an older one's place on its way or not: both happen, the newer one wins at the receiver.
      if (other.peerId !== joiner.peerId) inFlight.push({ to: other.peerId, claim })
    }
  }
  for (const joiner of joiners) choose(joiner)
  let turns = 0
  while (inFlight.length > 0) {
    const index = (schedule[turns % Math.max(1, schedule.length)] ?? 0) % inFlight.length
    const { to, claim } = inFlight[index] as { to: string; claim: PlannerPeer }
    inFlight = inFlight.filter((_, i) => i !== index)
    turns += 1
    if (turns > 100_000) throw new Error('does not settle')
    // Records are merged by sequence: one that was overtaken on the way changes nothing.
    if (claims.get(claim.peerId) !== claim) continue
    known.get(to)?.set(claim.peerId, claim)
    const joiner = joiners.find((j) => j.peerId === to)
    if (joiner !== undefined) choose(joiner)
  }
  return new Map([
    ...served.map((p) => [p.peerId, p.span] as const),
    ...[...claims].map(([id, c]) => [id, c.span] as const),
  ])
}

describe('claims', () => {
  const joiner = (i: number, claimedAt: number, length = 8, blockStepsPerSecond = 100): Joiner => ({
    peerId: `p${i}`,
    claimedAt,
    length,
    blockStepsPerSecond,
  })

  it('four that start in the same millisecond take four places', () => {
    const spans = atOnce(
      32,
      [],
      [3, 1, 2, 0].map((i) => joiner(i, 5)),
      [3, 1, 4, 1, 5, 9],
    )
    expect(Object.fromEntries([...spans].map(([id, s]) => [id, s.start]))).toEqual({ p0: 0, p1: 8, p2: 16, p3: 24 })
  })

  it('one that has not measured itself stands where a typical peer would', () => {
    const served = view(
      16,
      peer('a', 0, 8, { blockStepsPerSecond: 100 }),
      peer('b', 8, 16, { blockStepsPerSecond: 100 }),
    )
    const flow = placementRule('flow')
    const unknown = chooseByClaim(flow, served, joiner(9, 1, 8, 0))
    expect(unknown).toEqual(chooseByClaim(flow, served, joiner(9, 1, 8, 100)))
    expect(unknown).not.toEqual(chooseByClaim(flow, served, joiner(9, 1, 8, 1)))
  })

  it.each([
    ['petals', 'as they stand', 2_000],
    ['petals', 'as they will end', 300],
    ['flow', 'as they stand', 40],
    ['flow', 'as they will end', 40],
  ] as const)('any interleaving ends where joining one after another ends (%s, claims %s)', (name, how, numRuns) => {
    const chooseSpan = how === 'as they stand' ? chooseByClaim : chooseTogether
    const rule = placementRule(name)
    const scenario = fc.record({
      blocks: fc.integer({ min: 2, max: 40 }),
      joiners: fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 500 })), {
        minLength: 2,
        maxLength: 7,
      }),
      served: fc.array(fc.tuple(fc.nat(30), fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 500 })), {
        maxLength: 3,
      }),
      schedule: fc.array(fc.nat(1000), { minLength: 1, maxLength: 200 }),
    })
    fc.assert(
      fc.property(scenario, ({ blocks, joiners, served, schedule }) => {
        const online = served
          .filter(([start]) => start < blocks)
          .map(([start, length, speed], i) =>
            peer(`s${i}`, start, Math.min(blocks, start + length), { blockStepsPerSecond: speed, claimedAt: -1 }),
          )
        const joining = joiners.map(([at, length, speed], i) => joiner(i, at, Math.min(length, blocks), speed))
        const result = atOnce(blocks, online, joining, schedule, rule, chooseSpan)
        expect(Object.fromEntries(result)).toEqual(Object.fromEntries(inTurn(blocks, online, joining, rule)))
      }),
      { numRuns },
    )
  })

  it('two never keep the same span while blocks are uncovered', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 6 }),
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.nat(1000), { minLength: 1 }),
        (count, length, schedule) => {
          const joining = Array.from({ length: count }, (_, i) => joiner(i, 1, length))
          const starts = [...atOnce(count * length, [], joining, schedule).values()].map((s) => s.start)
          expect(new Set(starts).size).toBe(count)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('names what goes before a claim, and whether a new choice covers a hole', () => {
    const swarm = view(8, peer('a', 0, 4, { claimedAt: 1 }), peer('b', 0, 4, { claimedAt: 3, state: 'claimed' }))
    expect(startingBefore(swarm, { peerId: 'j', claimedAt: 2 })).toEqual(['a 0:4'])
    // Of one that starts at the same time, how long a span it wants; of an older claim, which.
    expect(startingBefore(swarm, { peerId: 'j', claimedAt: 4 })).toEqual(['a 0:4', 'b 4'])
    expect(startingBefore(swarm, { peerId: 'j', claimedAt: 60_000 })).toEqual(['a 0:4', 'b 0:4'])
    expect(coversUnclaimed(swarm, { start: 0, end: 4 }, { start: 4, end: 8 })).toBe(true)
    expect(coversUnclaimed(swarm, { start: 4, end: 8 }, { start: 3, end: 7 })).toBe(false)
  })
})
