/** Whole swarms of donors under a virtual clock. */
import { describe, expect, it } from 'vitest'
import { placementRule } from '../../../../swarm/planner/rules.ts'
import { RULE_NAMES } from '../../../../swarm/planner/rule-names.ts'
import type { DonorDefaults } from '../../../../swarm/app-config.ts'
import type { PlannerPeer } from '../../../../swarm/planner/types.ts'
import { peer, seededRandom, view } from '../../swarm/planner/support.ts'
import { fakeUnitWeights, FakeSwarm, type FakeDonor } from './fake-swarm.ts'

const EIGHT = { numBlocks: 8, totalBlocks: 32, useLoadBalancing: true, splits: '8,16,24', stage: 1 }
const PETALS = { ...EIGHT, rule: 'petals' } as const

async function serving(swarm: FakeSwarm, donors: readonly FakeDonor[]): Promise<void> {
  await swarm.clock.until(() => donors.every((donor) => donor.servedSpan() !== null), 60_000)
}

async function fourInTurn(swarm: FakeSwarm, asked: DonorDefaults = EIGHT): Promise<FakeDonor[]> {
  const donors: FakeDonor[] = []
  for (let i = 0; i < 4; i += 1) {
    const donor = swarm.donor(asked)
    donors.push(donor)
    void donor.donor.start()
    await serving(swarm, donors)
    await swarm.clock.advance(200)
  }
  return donors
}

describe('a swarm of donors', () => {
  it('four that start one after another split the model, with the lines of the original in their order', async () => {
    const swarm = new FakeSwarm({ blocks: 32, random: seededRandom(1) })
    const donors = await fourInTurn(swarm)
    expect(swarm.spans()).toEqual(['0:8', '8:16', '16:24', '24:32'])
    expect(swarm.missing()).toEqual([])
    const second = donors[1] as FakeDonor
    expect(second.printed.slice(0, 5)).toEqual([
      'splits and stage are ignored: under load balancing each tab picks its own blocks.',
      'Computing with WebGPU (fake adapter): as asked for.',
      'Selected blocks: [8, 9, 10, 11, 12, 13, 14, 15]',
      'P2P initialized for Load Balancing server, PeerID: peer-01',
      'Load Balancing server ready, blocks=[8, 9, 10, 11, 12, 13, 14, 15], throughput=12.50 rps',
    ])
  })

  it.each(Array.from({ length: 20 }, (_, i) => i + 1))(
    'four that start at once split it too (start %i)',
    async (seed) => {
      const random = seededRandom(seed * 7919)
      const swarm = new FakeSwarm({ blocks: 32, random, delay: [1, 300], loadMs: [100, 2_000] })
      const donors = Array.from({ length: 4 }, () => swarm.donor(EIGHT))
      for (const donor of donors) {
        swarm.clock.after(1000 * random() * random(), () => void donor.donor.start())
      }
      await swarm.clock.advance(1_000)
      await serving(swarm, donors)
      await swarm.clock.advance(20_000)
      expect(new Set(swarm.spans()).size).toBe(4)
      expect(swarm.missing()).toEqual([])
    },
  )

  it('without the directory, claims are looked for in the DHT before they stand', async () => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const random = seededRandom(seed)
      // What is not asked for comes with the next refresh, long after a claim has settled.
      const swarm = new FakeSwarm({ blocks: 32, random, delay: [8_000, 12_000], loadMs: [50, 100], directory: 'off' })
      const donors = Array.from({ length: 4 }, () => swarm.donor(EIGHT))
      for (const donor of donors) swarm.clock.after(1_000 * random(), () => void donor.donor.start())
      await swarm.clock.advance(1_000)
      await serving(swarm, donors)
      expect(swarm.missing()).toEqual([])
      expect(donors.map((donor) => donor.loads.length)).toEqual([1, 1, 1, 1])
    }
  })

  it.each(RULE_NAMES)(
    'many that start at once end where they would have ended one after another (%s)',
    async (rule) => {
      for (let seed = 1; seed <= 25; seed += 1) {
        const random = seededRandom(seed)
        const count = 2 + (seed % 6)
        const lengths = Array.from({ length: count }, () => 2 + Math.floor(7 * random()))
        const swarm = new FakeSwarm({ blocks: 24, random, delay: [1, 350], loadMs: [1_000, 4_000] })
        const donors = lengths.map((numBlocks) => swarm.donor({ numBlocks, rule }, { speeds: knownSpeeds(lengths) }))
        for (const donor of donors) void donor.donor.start()
        await serving(swarm, donors)
        const inOrder = donors.toSorted((a, b) => claimedAt(a) - claimedAt(b) || (a.id < b.id ? -1 : 1))
        const placed: PlannerPeer[] = []
        for (const donor of inOrder) {
          const length = lengths[donors.indexOf(donor)] as number
          const joiner = { peerId: donor.id, length, blockStepsPerSecond: 100 }
          const before = { ...view(24, ...placed), unitWeights: fakeUnitWeights(24) }
          const span = placementRule(rule).chooseSpan(before, joiner)
          expect([seed, donor.id, donor.loads.at(-1)]).toEqual([seed, donor.id, span])
          placed.push(peer(donor.id, span.start, span.end))
        }
      }
    },
  )

  it.each(RULE_NAMES)('a fifth joins as a replica, and a steady swarm moves nothing (%s)', async (rule) => {
    const swarm = new FakeSwarm({ blocks: 32, random: seededRandom(5) })
    const donors = await fourInTurn(swarm, { ...EIGHT, rule })
    const fifth = swarm.donor({ ...EIGHT, rule, meanBalanceCheckPeriod: 2 })
    void fifth.donor.start()
    await serving(swarm, [fifth])
    if (rule === 'petals') expect(fifth.servedSpan()).toEqual({ start: 0, end: 8 })
    await swarm.clock.advance(300_000)
    const checks = fifth.lines(/^Swarm balance quality: \d+\.\d% \(initial=\d+\.\d\d, new=\d+\.\d\d\)$/)
    // 2 s in the mean: about 150 in 300 s.
    expect(checks.length).toBeGreaterThan(100)
    expect(checks.length).toBeLessThan(220)
    for (const donor of [...donors, fifth]) expect(donor.loads).toHaveLength(1)
    expect(fifth.lines(/will rebalance/)).toEqual([])
  })

  it('when the only holder of a span leaves, a replica takes it at once', async () => {
    for (const leave of ['stop', 'vanish'] as const) {
      const swarm = new FakeSwarm({ blocks: 32, random: seededRandom(6) })
      const donors = await fourInTurn(swarm, PETALS)
      const fifth = swarm.donor(PETALS)
      void fifth.donor.start()
      await serving(swarm, [fifth])
      const third = donors[2] as FakeDonor
      if (leave === 'stop') await Promise.all([third.donor.stop(), swarm.clock.advance(10)])
      else third.vanish()
      expect(swarm.missing()).toEqual([16, 17, 18, 19, 20, 21, 22, 23])
      // Noticed, settled, loaded: far from the period of 120 s.
      await swarm.clock.until(() => swarm.missing().length === 0, 6_000)
      await swarm.clock.advance(1_000)
      // The first in claim order of the two that hold 0:8.
      const mover = donors[0] as FakeDonor
      expect(mover.servedSpan()).toEqual({ start: 16, end: 24 })
      expect(fifth.loads).toHaveLength(1)
      const story = mover.printed.slice(mover.printed.findIndex((line) => line.startsWith('Missing blocks: 16–23')))
      expect(story).toEqual([
        'Missing blocks: 16–23 (nobody serves or loads them).',
        expect.stringMatching(/^Swarm balance quality: 0\.0% \(initial=0\.00, new=12\.50\)$/),
        'Load balancing detected imbalance, will rebalance blocks',
        'Selected blocks: [16, 17, 18, 19, 20, 21, 22, 23]',
        'Load Balancing server ready, blocks=[16, 17, 18, 19, 20, 21, 22, 23], throughput=12.50 rps',
        'No block is missing any more.',
      ])
    }
  })

  it('after a crash whoever still has the blocks on its disk is back first, before those who would be next in line', async () => {
    const swarm = new FakeSwarm({ blocks: 32, random: seededRandom(7) })
    const started = async (asked: DonorDefaults): Promise<FakeDonor> => {
      const donor = swarm.donor(asked)
      void donor.donor.start()
      await serving(swarm, [donor])
      await swarm.clock.advance(200)
      return donor
    }
    const fixedAt = (stage: number): Promise<FakeDonor> => started({ splits: '8,16,24', stage })
    const [second, third] = [await fixedAt(1), await fixedAt(2)]
    await fixedAt(3)
    const [once, only, older] = [await started(PETALS), await started(PETALS), await started(PETALS)]
    expect([once, only, older].map((donor) => donor.servedSpan()?.start)).toEqual([0, 0, 8])
    second.vanish()
    third.vanish()
    await swarm.clock.until(() => swarm.missing().length === 0, 6_000)
    expect(once.servedSpan()).toEqual({ start: 16, end: 24 })
    // Two could be spared now: one that was never at 0:8 and claimed its place before, and one that was.
    await fixedAt(1)
    await fixedAt(2)
    expect(claimedAt(older)).toBeLessThan(claimedAt(once))
    only.vanish()
    await swarm.clock.until(() => swarm.missing().length === 0, 6_000)
    await swarm.clock.advance(1_000)
    expect(once.servedSpan()).toEqual({ start: 0, end: 8 })
    expect(older.loads).toHaveLength(1)
  })

  it('with only four, the missing blocks are named and nobody moves', async () => {
    const swarm = new FakeSwarm({ blocks: 32, random: seededRandom(8) })
    const donors = await fourInTurn(swarm)
    donors[3]?.vanish()
    await swarm.clock.advance(60_000)
    for (const donor of donors.slice(0, 3)) {
      expect(donor.loads).toHaveLength(1)
      expect(donor.printed).toContain('Missing blocks: 24–31 (nobody serves or loads them).')
    }
    const returned = swarm.donor(EIGHT)
    void returned.donor.start()
    await serving(swarm, [returned])
    expect(returned.servedSpan()).toEqual({ start: 24, end: 32 })
  })

  it('a balance check moves a replica where it is worth a third: new span first, old one last, never a hole', async () => {
    const swarm = new FakeSwarm({ blocks: 16, random: seededRandom(9) })
    const eager = { numBlocks: 8, meanBalanceCheckPeriod: 5, rule: 'petals' } as const
    const donors = [swarm.donor(eager), swarm.donor(eager), swarm.donor(eager), swarm.donor(eager)]
    for (const donor of donors) {
      void donor.donor.start()
      await serving(swarm, [donor])
    }
    expect(swarm.spans()).toEqual(['0:8', '8:16', '0:8', '8:16'])
    const holes: number[][] = []
    swarm.onServing = () => {
      if (swarm.missing().length > 0) holes.push(swarm.missing())
    }
    // Two more on the left, then the right loses one: 4 against 1.
    const more = [
      swarm.donor({ numBlocks: 8, splits: '8', stage: 0 }),
      swarm.donor({ numBlocks: 8, splits: '8', stage: 0 }),
    ]
    for (const donor of more) void donor.donor.start()
    await serving(swarm, more)
    donors[3]?.vanish()
    await swarm.clock.advance(60_000)
    expect(holes).toEqual([])
    expect(swarm.spans().toSorted((a, b) => a.localeCompare(b))).toEqual(['0:8', '0:8', '0:8', '8:16', '8:16'])
    const mover = donors.find((donor) => donor.loads.length === 2) as FakeDonor
    const from = mover.printed.indexOf('Load balancing detected imbalance, will rebalance blocks')
    expect(mover.printed[from - 1]).toMatch(
      /^Swarm balance quality: (50\.0|66\.7)% \(initial=\d+\.\d\d, new=\d+\.\d\d\)$/,
    )
    expect(mover.printed[from + 1]).toBe('Selected blocks: [8, 9, 10, 11, 12, 13, 14, 15]')
    expect(mover.printed[from + 2]).toMatch(
      // The head takes its part of 100 block-steps a second.
      /^Load Balancing server ready, blocks=\[8, .*, 15\], throughput=11\.25 rps$/,
    )
    expect(mover.node?.retired).toEqual([{ start: 0, end: 8 }])
    expect(mover.node?.record()).toMatchObject({ state: 'online', span: { start: 8, end: 16 } })
    // Where it was, it could be back without a download.
    expect(mover.node?.record()?.cached).toEqual([{ start: 0, end: 8 }])
    expect(mover.node?.record()).not.toHaveProperty('next')
    // Steady again.
    const loads = donors.map((donor) => donor.loads.length)
    await swarm.clock.advance(120_000)
    expect(donors.map((donor) => donor.loads.length)).toEqual(loads)
  })

  it('two that want to leave the same place at once do not both go', async () => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const swarm = new FakeSwarm({ blocks: 16, random: seededRandom(seed), delay: [1, 300] })
      const left = [
        swarm.donor({ numBlocks: 8, meanBalanceCheckPeriod: 0.5 }, { speed: 10 }),
        swarm.donor({ numBlocks: 8, meanBalanceCheckPeriod: 0.5 }, { speed: 10 }),
      ]
      const fixed = [swarm.donor({ splits: '8', stage: 1 }, { speed: 1 })]
      for (const donor of [...fixed, ...left]) {
        void donor.donor.start()
        await serving(swarm, [donor])
      }
      const holes: number[][] = []
      swarm.onServing = () => void (swarm.missing().length > 0 && holes.push(swarm.missing()))
      await swarm.clock.advance(120_000)
      expect(holes).toEqual([])
      expect(swarm.spans().filter((span) => span === '0:8')).toHaveLength(1)
    }
  })

  it('one that moves away and one that pauses at that moment do not both leave the same blocks', async () => {
    let moves = 0
    for (let seed = 1; seed <= 40; seed += 1) {
      const random = seededRandom(seed * 31)
      const swarm = new FakeSwarm({ blocks: 16, random, delay: [50, 600], loadMs: [500, 600] })
      const [mover, paused] = [
        swarm.donor({ numBlocks: 8, meanBalanceCheckPeriod: 0.5 }, { speed: 10 }),
        swarm.donor({ splits: '8', stage: 0 }, { speed: 10 }),
      ] as const
      for (const donor of [mover, paused, swarm.donor({ splits: '8', stage: 1 }, { speed: 1 })]) {
        void donor.donor.start()
        await serving(swarm, [donor])
      }
      const holes: number[][] = []
      swarm.onServing = () => void (swarm.missing().length > 0 && holes.push(swarm.missing()))
      await swarm.clock.until(() => mover.loads.length >= 2, 60_000)
      await swarm.clock.advance(2_500 * random())
      paused.donor.pause()
      await swarm.clock.advance(10_000)
      if ((mover.node?.retired.length ?? 0) > 0) moves += 1
      // A person's wish goes first: one that knows itself to be the last is told so, and goes.
      if (holes.length > 0) {
        expect([seed, paused.lines(/^Nobody else serves blocks 0–/).length]).toEqual([seed, 1])
      }
      expect([seed, swarm.holesOpened]).toEqual([seed, []])
    }
    expect(moves).toBeGreaterThan(0)
    expect(moves).toBeLessThan(40)
  })
})

function claimedAt(donor: FakeDonor): number {
  return donor.node?.record()?.claimedAt ?? 0
}

/** As if this machine had measured itself before: claims then carry the speed. */
function knownSpeeds(lengths: readonly number[]): Map<string, number> {
  return new Map(lengths.map((length) => [`with head|fake adapter|${'00'.repeat(16)}|f32|${length}`, 100]))
}
