/** Donors that share the embedded model, slowed so that an answer lasts long enough to break things. */
import { isRunning, peerIdOf, processTree, type StartedProcess } from './processes.ts'
import { READY, type TestSwarm } from './swarm.ts'

const BLOCKS = 8

/**
 * A quarter at 40 block-steps a second takes no less than 2 ÷ 40 s a step, an answer of 77 tokens over four hops about 15 s;
 * halves at twice the speed take about 8 s.
 */
function slowly(parts: number): string[] {
  return ['--model', 'tinytales', '--simulate-speed', String(160 / parts), '--backend', 'software']
}

function onePart(parts: number): string[] {
  return [...slowly(parts), '--num_blocks', String(BLOCKS / parts)]
}

/** One donor for each part; with `replicaOf` (a part, from 0) one more that holds the same blocks. The relay runs already. */
export async function startSlowDonors(swarm: TestSwarm, parts: 2 | 4, replicaOf?: number): Promise<StartedProcess[]> {
  await swarm.readyDonors(parts, onePart(parts))
  if (replicaOf !== undefined) {
    const splits = Array.from({ length: parts - 1 }, (_, i) => ((i + 1) * BLOCKS) / parts).join(',')
    // A fixed donor: a second holder of just these blocks.
    const replica = swarm.donor([...slowly(parts), '--splits', splits, '--stage', String(replicaOf)])
    await replica.waitForLine(READY, 90_000)
  }
  return [...swarm.donors]
}

/** One more donor, for whatever part is missing. It may take over the identity that a killed browser left. */
export function returningDonor(swarm: TestSwarm, parts: 2 | 4): StartedProcess {
  return swarm.donor(onePart(parts))
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
