/** Donors of several weight formats in one swarm, under a virtual clock: each format becomes whole, and stays so. */
import { expect, it } from 'vitest'
import type { DonorDefaults } from '../../../../swarm/app-config.ts'
import type { WeightFormat } from '../../../../swarm/model/config.ts'
import { record, seededRandom } from '../../swarm/planner/support.ts'
import { FakeSwarm, type FakeDonor } from './fake-swarm.ts'

const HALF = { numBlocks: 16, totalBlocks: 32, useLoadBalancing: true }

async function started(swarm: FakeSwarm, defaults: DonorDefaults): Promise<FakeDonor> {
  const donor = swarm.donor(defaults)
  void donor.donor.start()
  await swarm.clock.until(() => donor.servedSpan() !== null, 60_000)
  await swarm.clock.advance(2_000)
  return donor
}

const startOf = (donor: FakeDonor): number | undefined => donor.servedSpan()?.start

it.each(['petals', 'flow'] as const)(
  '%s: both formats become whole, and one that loses a holder heals itself',
  async (rule) => {
    const swarm = new FakeSwarm({ blocks: 32, random: seededRandom(3) })
    const join = (weights: WeightFormat): Promise<FakeDonor> => started(swarm, { ...HALF, weights, rule })
    const first = await join('f32')
    const others = [await join('int8'), await join('f32'), await join('int8')]
    expect([first, ...others].map(startOf)).toEqual([0, 16, 16, 0])

    const exact = [first, others[1]!, await join('f32')]
    const starts = exact.map(startOf)
    const lost = exact.find((donor) => starts.filter((start) => start === startOf(donor)).length === 1)!
    const left = exact.filter((donor) => donor !== lost)
    await lost.donor.stop()
    // All blocks are held all the while, by the other format.
    expect(swarm.missing()).toEqual([])
    await swarm.clock.until(() => new Set(left.map(startOf)).size === 2, 120_000)
  },
)

it('a tab that may choose takes the format that the swarm is of, where it fits', async () => {
  const weightsIn = async (format: WeightFormat, numBlocks: number, memoryGb: number): Promise<string> => {
    const swarm = new FakeSwarm({ blocks: 32, random: seededRandom(1) })
    const donor = swarm.donor({ numBlocks, memoryGb }, { knownRecords: [record('other', 0, 32, { weights: format })] })
    await donor.donor.plan()
    const state = donor.donor.state()
    return state.status === 'ready' ? state.plan.weights : state.status
  }
  expect(await weightsIn('f32', 16, 1)).toBe('f32')
  expect(await weightsIn('int8', 16, 1)).toBe('int8')
  expect(await weightsIn('f32', 16, 0.0055)).toBe('int4')
})
