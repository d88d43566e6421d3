/** Random swarms: slow and uneven records, speeds, starts and losses. What must hold in every one of them. */
import { describe, expect, it } from 'vitest'
import { placementRule } from '../../../../swarm/planner/rules.ts'
import { RULE_NAMES, type RuleName } from '../../../../swarm/planner/rule-names.ts'
import { urgentMoves } from '../../../../swarm/planner/urgent.ts'
import { view, peer, seededRandom } from '../../swarm/planner/support.ts'
import { FakeSwarm, type FakeDonor } from './fake-swarm.ts'

const SEEDS = Array.from({ length: 40 }, (_, i) => i + 1)

function randomSwarm(seed: number, delay: [number, number], rule: RuleName) {
  const random = seededRandom(seed * 104_729)
  const blocks = 8 + Math.floor(random() * 17)
  const swarm = new FakeSwarm({ blocks, random, delay, loadMs: [50, 6_000] })
  const donors = Array.from({ length: 3 + Math.floor(random() * 6) }, () =>
    swarm.donor(
      {
        rule,
        numBlocks: 2 + Math.floor(random() * 6),
        meanBalanceCheckPeriod: 1 + 10 * random(),
        balanceQuality: 0.9,
      },
      { speed: 20 + 200 * random() },
    ),
  )
  for (const donor of donors) swarm.clock.after(5_000 * random() * random(), () => void donor.donor.start())
  return { swarm, donors, random }
}

function alive(swarm: FakeSwarm, donors: readonly FakeDonor[]): FakeDonor[] {
  return donors.filter((donor) => donor.node !== null && swarm.nodes.has(donor.node))
}

/** The truth as a view: who serves what now. */
function truth(swarm: FakeSwarm, donors: readonly FakeDonor[]) {
  const peers = alive(swarm, donors).map((donor) => {
    const record = donor.node?.record()
    const span = donor.servedSpan()
    if (record === undefined || record === null || span === null) throw new Error(`${donor.id} does not serve`)
    return peer(donor.id, span.start, span.end, {
      blockStepsPerSecond: record.blockStepsPerSecond,
      claimedAt: record.claimedAt,
    })
  })
  return view(swarm.blocks, ...peers)
}

describe.each(RULE_NAMES)('random swarms under %s', (rule) => {
  it.each(SEEDS)('without losses, no voluntary move opens a hole, and the swarm comes to rest (%i)', async (seed) => {
    // Records take up to three times the time that a claim is watched.
    const { swarm, donors } = randomSwarm(seed, [1, 1_200], rule)
    await swarm.clock.advance(240_000)
    expect(swarm.holesOpened).toEqual([])
    expectNothingToDo(swarm, donors, rule)
    const loads = donors.map((donor) => donor.loads.length)
    await swarm.clock.advance(240_000)
    expect(donors.map((donor) => donor.loads.length)).toEqual(loads)
  })

  it.each(SEEDS)('after losses and returns, whatever can be covered is covered (%i)', async (seed) => {
    const { swarm, donors, random } = randomSwarm(seed + 1_000, [1, 300], rule)
    for (let event = 0; event < 6; event += 1) {
      await swarm.clock.advance(20_000 * random())
      // Answers keep a mover's old blocks for up to a minute.
      for (const { node } of donors) if (node !== null) node.active = random() < 0.5 ? 1 : 0
      const candidates = alive(swarm, donors)
      const victim = candidates[Math.floor(random() * candidates.length)]
      if (candidates.length > 2 && victim !== undefined) victim.vanish()
      if (random() < 0.5) {
        const newcomer = swarm.donor({ rule, numBlocks: 2 + Math.floor(random() * 6), meanBalanceCheckPeriod: 5 })
        donors.push(newcomer)
        void newcomer.donor.start()
      }
    }
    await swarm.clock.advance(240_000)
    expectNothingToDo(swarm, donors, rule)
  })

  it.each(SEEDS.slice(0, 20))(
    'owners who pause and resume at any moment, and lost GPUs, leave no trace (%i)',
    async (seed) => {
      const { swarm, donors, random } = randomSwarm(seed + 2_000, [1, 300], rule)
      const pick = (): FakeDonor => donors[Math.floor(random() * donors.length)] as FakeDonor
      for (let event = 0; event < 24; event += 1) {
        await swarm.clock.advance(4_000 * random())
        const { donor, engines, power, node } = pick()
        if (node !== null) node.active = random() < 0.5 ? 1 : 0
        const [chance, isOn] = [random(), random() < 0.5]
        if (chance < 0.4) donor.pause()
        else if (chance < 0.7) donor.resume()
        else if (chance < 0.9) power.set({ onBattery: isOn })
        else if (engines.length === 1 && donor.state().status === 'serving') engines[0]?.lose('driver reset')
        await swarm.clock.advance(200)
        for (const each of donors) {
          const state = each.donor.state()
          if (state.status !== 'serving' || state.duty !== 'paused') continue
          expect(each.node?.served()).toEqual([])
          expect(each.node?.published()).toBe('leaving')
        }
      }
      for (const { donor, power } of donors) {
        power.set({ onBattery: false })
        donor.resume()
      }
      await swarm.clock.advance(240_000)
      expectNothingToDo(swarm, donors, rule)
      for (const donor of alive(swarm, donors)) expect(donor.node?.published()).toBe('online')
    },
  )
})

function expectNothingToDo(swarm: FakeSwarm, donors: readonly FakeDonor[], rule: RuleName): void {
  const now = truth(swarm, donors)
  expect([...urgentMoves(placementRule(rule), now)]).toEqual([])
  if (swarm.missing().length > 0) {
    const spans = now.peers.map((p) => `${p.span.start}:${p.span.end}`)
    expect(new Set(spans).size).toBe(spans.length)
  }
  for (const donor of alive(swarm, donors)) expect(donor.node?.record()).not.toHaveProperty('next')
}
