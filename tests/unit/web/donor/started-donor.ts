/** One donor in a swarm that a test starts, and waits for. */
import type { DonorDefaults } from '../../../../swarm/app-config.ts'
import { seededRandom } from '../../swarm/planner/support.ts'
import { FakeSwarm, type FakeDonor, type FakeDonorOptions } from './fake-swarm.ts'

export function swarmOf(blocks = 16): FakeSwarm {
  return new FakeSwarm({ blocks, random: seededRandom(3) })
}

/** Serving, or failed: its state says which. */
export async function started(
  swarm: FakeSwarm,
  defaults: DonorDefaults = {},
  options: FakeDonorOptions = {},
): Promise<FakeDonor> {
  const donor = swarm.donor(defaults, options)
  void donor.donor.start()
  await swarm.clock.until(() => ['serving', 'failed'].includes(donor.donor.state().status), 60_000)
  return donor
}
