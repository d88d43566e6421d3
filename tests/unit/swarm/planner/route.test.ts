import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { planRoute, routeMs } from '../../../../swarm/planner/route.ts'
import type { RouteRequest, SwarmView } from '../../../../swarm/planner/types.ts'
import { planJoins } from '../../../../swarm/planner/flow/plan.ts'
import { capacityOf } from '../../../../swarm/planner/measures.ts'
import { randomCluster } from '../../../../swarm/simulator/generate.ts'
import { chooseInTurn, speedsOf } from '../../../support/crowd.ts'
import { throughputOf } from '../../../support/session-throughput.ts'
import { peer, seededRandom, view } from './support.ts'

function request(swarm: SwarmView, fields: Partial<RouteRequest> = {}): RouteRequest {
  return { view: swarm, rttMs: () => 10, maxTokens: 256, exclude: new Set(), random: () => 0.5, ...fields }
}
function route(swarm: SwarmView, fields: Partial<RouteRequest> = {}): string {
  const result = planRoute(request(swarm, fields))
  return result.ok
    ? result.hops.map((h) => `${h.peerId}[${h.span.start}:${h.span.end}]`).join(' ')
    : `missing ${result.missingBlocks.join()}`
}

describe('planRoute', () => {
  it('covers the model through consecutive spans', () => {
    expect(route(view(8, peer('b', 4, 8), peer('a', 0, 4)))).toBe('a[0:4] b[4:8]')
  })

  it('takes the fewest hops even where more would be faster', () => {
    const swarm = view(
      8,
      peer('a', 0, 4, { blockStepsPerSecond: 1e6 }),
      peer('b', 4, 8, { blockStepsPerSecond: 1e6 }),
      peer('c', 0, 8, { blockStepsPerSecond: 1 }),
    )
    expect(route(swarm)).toBe('c[0:8]')
  })

  it('takes more hops where the fewest are busy and the longer way is clearly faster', () => {
    const quarters = [0, 2, 4, 6].map((start) => peer(`q${start}`, start, start + 2))
    const busy = (sessions: number): SwarmView => view(8, ...quarters, peer('whole', 0, 8, { sessions }))
    expect(route(busy(0))).toBe('whole[0:8]')
    expect(route(busy(2))).toBe('q0[0:2] q2[2:4] q4[4:6] q6[6:8]')
    const slow = quarters.map((each) => ({ ...each, blockStepsPerSecond: 40 }))
    expect(route(view(8, ...slow, peer('whole', 0, 8, { sessions: 1 })))).toBe('whole[0:8]')
  })

  it('a queue counts for what of its sessions stands here: sessions spread by what each way can carry', () => {
    // Four in a row and one that holds all, of the same speed: 4 to 1, whatever the number of sessions in one.
    const sessions = { chain: 0, whole: 0 }
    const random = seededRandom(5)
    for (let i = 0; i < 40; i += 1) {
      const quarters = [0, 2, 4, 6].map((start) => peer(`q${start}`, start, start + 2, { sessions: sessions.chain }))
      const swarm = view(8, ...quarters, peer('whole', 0, 8, { sessions: sessions.whole }))
      if (route(swarm, { random, rttMs: () => 1 }) === 'whole[0:8]') sessions.whole += 1
      else sessions.chain += 1
    }
    expect(sessions.chain).toBeGreaterThanOrEqual(26)
    expect(sessions.whole).toBeGreaterThanOrEqual(6)
  })

  it('the load counts as what sessions run of a span, where records say it', () => {
    // Sixteen sessions that run one block each weigh less than four that run all.
    const light = peer('light', 0, 4, { sessions: 16, sessionBlocks: 16 })
    const heavy = peer('heavy', 0, 4, { sessions: 12, sessionBlocks: 48 })
    expect(route(view(4, light, heavy))).toBe('light[0:4]')
    expect(route(view(4, peer('light', 0, 4, { sessions: 16 }), heavy))).toBe('heavy[0:4]')
  })

  it('hands over where that is cheapest, more than once between two', () => {
    // The slow one holds all, and is entered for the middle that the fast ones lack.
    const swarm = view(
      8,
      peer('slow', 0, 8, { blockStepsPerSecond: 10, sessions: 1 }),
      peer('head', 0, 3, { blockStepsPerSecond: 1000 }),
      peer('tail', 5, 8, { blockStepsPerSecond: 1000 }),
    )
    expect(route(swarm)).toBe('head[0:3] slow[3:5] tail[5:8]')
  })

  it('equal inputs give equal routes, in whatever order records came', () => {
    const peers = Array.from({ length: 12 }, (_, i) => peer(`p${i}`, (i * 3) % 8, Math.min(12, ((i * 3) % 8) + 5)))
    const expected = route(view(12, ...peers), { random: seededRandom(4) })
    expect(route(view(12, ...peers.toReversed()), { random: seededRandom(4) })).toBe(expected)
  })

  it('sessions that come one after another fill replicas by what those can carry', () => {
    const shares = [1, 2, 3].map((seed) => {
      const cluster = randomCluster({ seed, peers: 16, units: 32, rttMs: 10 })
      const { placement } = planJoins(cluster, { objective: 'capacity' })
      const { routes } = chooseInTurn(cluster, placement, 16 * 12, seed)
      return throughputOf(routes, speedsOf(cluster), cluster.rttMs).tokensPerSecond / capacityOf(cluster, placement)
    })
    // 192 sessions over 16 peers loaded alike would get 192 ÷ 207 = 0.93.
    expect(Math.min(...shares)).toBeGreaterThan(0.88)
  })

  it('gives blocks that two hold to the faster one', () => {
    const slow = peer('a', 0, 6, { blockStepsPerSecond: 10 })
    expect(route(view(8, slow, peer('b', 2, 8, { blockStepsPerSecond: 1000 })))).toBe('a[0:2] b[2:8]')
    expect(
      route(view(8, peer('b', 0, 6, { blockStepsPerSecond: 1000 }), { ...slow, span: { start: 2, end: 8 } })),
    ).toBe('b[0:6] a[6:8]')
  })

  it('prefers a near replica, and one without a queue', () => {
    const swarm = view(4, peer('far', 0, 4), peer('near', 0, 4))
    expect(route(swarm, { rttMs: (_, to) => (to === 'far' ? 400 : 5) })).toBe('near[0:4]')
    expect(route(view(4, peer('busy', 0, 4, { sessions: 4 }), peer('idle', 0, 4)))).toBe('idle[0:4]')
  })

  it('of the routes with the fewest hops takes the one with the shortest way there, between hops and back', () => {
    const rtts = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 49, maxLength: 49 })
    fc.assert(
      fc.property(rtts, (ms) => {
        const ids = ['a1', 'a2', 'b1', 'b2', 'c1', 'c2']
        const swarm = view(6, ...ids.map((id) => peer(id, ' abc'.indexOf(id[0]!) * 2 - 2, ' abc'.indexOf(id[0]!) * 2)))
        const at = (id: string | null): number => (id === null ? 6 : ids.indexOf(id))
        const rttMs = (from: string | null, to: string): number =>
          ms[Math.min(at(from), at(to)) * 7 + Math.max(at(from), at(to))]!
        const ways = [0, 1, 2, 3, 4, 5, 6, 7].map((bits) => {
          const [a, b, c] = ['a', 'b', 'c'].map((stage, i) => `${stage}${((bits >> i) & 1) + 1}`) as [
            string,
            string,
            string,
          ]
          return {
            key: `${a}[0:2] ${b}[2:4] ${c}[4:6]`,
            ms: rttMs(null, a) + rttMs(a, b) + rttMs(b, c) + rttMs(null, c),
          }
        })
        const taken = route(swarm, { rttMs, random: () => 0 })
        expect(ways.find(({ key }) => key === taken)?.ms).toBe(Math.min(...ways.map((way) => way.ms)))
      }),
    )
  })

  it('the head counts: the last block goes to who runs it fastest, and a crowd at it is a long queue', () => {
    const unitWeights = [1, 1, 1, 9]
    const first = peer('first', 0, 3, { blockStepsPerSecond: 200 })
    const steady = peer('steady', 2, 4, { blockStepsPerSecond: 60 })
    // Alike but for speed and way: 5 ms a weight less, 30 ms further.
    const fast = peer('fast', 2, 4, { blockStepsPerSecond: 100 })
    const rttMs = (_: string | null, to: string): number => (to === 'fast' ? 40 : 10)
    const swarm = view(4, first, steady, fast)
    expect(route(swarm, { rttMs, random: () => 0 })).toBe('first[0:3] steady[3:4]')
    expect(route({ ...swarm, unitWeights }, { rttMs, random: () => 0 })).toBe('first[0:3] fast[3:4]')
    const hops = [
      { peerId: 'first', span: { start: 0, end: 3 } },
      { peerId: 'fast', span: { start: 3, end: 4 } },
    ]
    const ms = (swarmView: SwarmView): number => routeMs(request(swarmView, { rttMs: () => 10 }), hops)
    expect(ms({ ...swarm, unitWeights })).toBeCloseTo(ms(swarm) + 8 * 10)
  })

  it('with every block of weight 1 routes are those without weights', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(7), fc.nat(5), fc.integer({ min: 1, max: 100 })), { minLength: 3, maxLength: 8 }),
        (spans) => {
          const peers = spans.map(([start, sessions, speed], i) =>
            peer(`p${i}`, start, Math.min(8, start + 4), { sessions, blockStepsPerSecond: speed }),
          )
          const swarm = view(8, peer('all', 0, 8, { sessions: 1 }), ...peers)
          expect(route({ ...swarm, unitWeights: Array.from({ length: 8 }, () => 1) })).toBe(route(swarm))
        },
      ),
    )
  })

  it('names exactly the blocks that nobody serves', () => {
    const swarm = view(
      8,
      peer('a', 0, 3),
      peer('b', 4, 6, { state: 'claimed' }),
      peer('c', 5, 7),
      peer('d', 3, 5, { state: 'leaving' }),
    )
    expect(route(swarm)).toBe('missing 3,4,7')
  })

  it('does not use excluded peers', () => {
    const swarm = view(4, peer('a', 0, 4), peer('b', 0, 4))
    expect(route(swarm, { exclude: new Set(['a']) })).toBe('b[0:4]')
    expect(route(swarm, { exclude: new Set(['a', 'b']) })).toBe('missing 0,1,2,3')
  })

  it('avoids peers without room while others exist, even over more hops', () => {
    const full = peer('full', 0, 4, { cacheTokensLeft: 0 })
    expect(route(view(4, full, peer('a', 0, 2), peer('b', 2, 4)))).toBe('a[0:2] b[2:4]')
    expect(route(view(4, full, peer('a', 0, 2)))).toBe('full[0:4]')
  })

  it('avoids a peer that is about to move', () => {
    const swarm = view(8, peer('a', 0, 8), peer('b', 0, 8), peer('a', 0, 4, { state: 'claimed' }))
    expect(route(swarm)).toBe('b[0:8]')
  })

  it('plans only the range that is asked for', () => {
    const swarm = view(8, peer('a', 0, 4), peer('b', 2, 6), peer('c', 4, 8))
    expect(route(swarm, { range: { start: 3, end: 6 } })).toBe('b[3:6]')
    expect(route(swarm, { range: { start: 3, end: 6 }, exclude: new Set(['b', 'c']) })).toBe('missing 4,5')
  })

  it('equal replicas share sessions by chance', () => {
    const random = seededRandom(3)
    const counts = new Map<string, number>()
    for (let i = 0; i < 300; i += 1) {
      const key = route(view(4, peer('a', 0, 4), peer('b', 0, 4), peer('c', 0, 4)), { random })
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
    expect(counts.size).toBe(3)
    for (const count of counts.values()) expect(count).toBeGreaterThan(50)
  })

  const cases = fc.record({
    blocks: fc.integer({ min: 1, max: 12 }),
    spans: fc.array(
      fc.tuple(fc.nat(11), fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 100 }), fc.boolean()),
      { maxLength: 9 },
    ),
    seed: fc.integer(),
  })

  it('covers every block once, with as few hops as there can be, or names the holes', () => {
    fc.assert(
      fc.property(cases, ({ blocks, spans, seed }) => {
        const peers = spans
          .filter(([start]) => start < blocks)
          .map(([start, length, speed, room], i) =>
            peer(`p${i}`, start, Math.min(blocks, start + length), {
              blockStepsPerSecond: speed,
              cacheTokensLeft: room ? 4096 : 0,
            }),
          )
        const result = planRoute(request(view(blocks, ...peers), { random: seededRandom(seed) }))
        const held = Array.from({ length: blocks }, (_, b) => peers.some((p) => p.span.start <= b && b < p.span.end))
        if (!result.ok) {
          expect(result.missingBlocks).toEqual(held.flatMap((has, b) => (has ? [] : [b])))
          expect(result.missingBlocks.length).toBeGreaterThan(0)
          return
        }
        expect(held).not.toContain(false)
        let at = 0
        for (const hop of result.hops) {
          expect(hop.span.start).toBe(at)
          expect(hop.span.end).toBeGreaterThan(at)
          const holder = peers.find((p) => p.peerId === hop.peerId)
          expect(holder?.span.start).toBeLessThanOrEqual(hop.span.start)
          expect(holder?.span.end).toBeGreaterThanOrEqual(hop.span.end)
          at = hop.span.end
        }
        expect(at).toBe(blocks)
        const roomy = peers.filter((p) => p.cacheTokensLeft > 0)
        const fewest = greedyHops(roomy, blocks) ?? greedyHops(peers, blocks)
        expect(result.hops.length).toBe(fewest)
      }),
      { numRuns: 2000 },
    )
  })

  it('200 peers on 128 blocks ask for few of the ways there are', () => {
    const random = seededRandom(9)
    const peers = Array.from({ length: 200 }, (_, i) => {
      const start = Math.floor(random() * 121)
      return peer(`p${i}`, start, start + 8, { blockStepsPerSecond: 50 + 500 * random() })
    })
    const swarm = view(128, peer('x', 0, 8), peer('y', 120, 128), ...peers)
    let asked = 0
    expect(planRoute(request(swarm, { random, rttMs: () => (asked += 1) % 7 })).ok).toBe(true)
    const all = 128 * 13 ** 2
    expect(asked).toBeGreaterThan(128)
    expect(asked).toBeLessThan(all)
  })
})

/** Independent of the planner: always the peer that reaches furthest. */
function greedyHops(peers: { span: { start: number; end: number } }[], blocks: number): number | null {
  let at = 0
  let hops = 0
  while (at < blocks) {
    const from = at
    at = Math.max(at, ...peers.filter((p) => p.span.start <= from).map((p) => p.span.end))
    if (at === from) return null
    hops += 1
  }
  return hops
}
