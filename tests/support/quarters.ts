/** Four donors that hold a quarter of the embedded model each, slowed so that an answer lasts long enough to break things. */
import { isRunning, peerIdOf, processTree, type StartedProcess } from './processes.ts'
import { READY, type TestSwarm } from './swarm.ts'

/** Two blocks a donor: a step takes no less than 2 ÷ 40 s, an answer of 77 tokens over four hops about 15 s. */
export const SLOW = ['--model', 'tinytales', '--simulate-speed', '40', '--backend', 'software']
const QUARTER = [...SLOW, '--num_blocks', '2']

/** With `replicaOf` (a quarter, 0 to 3) a fifth donor that holds the same blocks. The relay runs already. */
export async function startQuarters(swarm: TestSwarm, replicaOf?: number): Promise<StartedProcess[]> {
  await swarm.readyDonors(4, QUARTER)
  if (replicaOf !== undefined) {
    // A fixed donor: a second holder of just these blocks.
    const replica = swarm.donor([...SLOW, '--splits', '2,4,6', '--stage', String(replicaOf)])
    await replica.waitForLine(READY, 90_000)
  }
  return [...swarm.donors]
}

/** One more donor, for whatever quarter is missing. */
export function returningDonor(swarm: TestSwarm): StartedProcess {
  return swarm.donor(QUARTER)
}

export function donorOf(donors: readonly StartedProcess[], peerId: string | undefined): StartedProcess {
  const found = donors.find((donor) => peerIdOf(donor) === peerId)
  if (found === undefined) throw new Error(`no donor has the peer id ${peerId}`)
  return found
}

/** The browser below a `donate` process, with all its processes. */
export function browserTree(donor: StartedProcess): number[] {
  const below = processTree(donor.pid).slice(1)
  if (below.length === 0) throw new Error('the donor has no browser')
  return below
}

export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) if (isRunning(pid)) process.kill(pid, signal)
}
