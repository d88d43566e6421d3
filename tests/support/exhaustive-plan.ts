/** The most that a small swarm in block-steps form can carry, by trying everything. */
import { placedPeer } from '../../swarm/planner/flow/plan-steps.ts'
import { Supplies } from '../../swarm/planner/flow/supplies.ts'
import type { SwarmModel } from '../../swarm/planner/model.ts'

/**
 * Tokens a second; 0 where the peers cannot hold every unit. Tries every start of every peer at its longest span, which is
 * exact: a longer span can do all that a part of it can (`docs/planner.md`).
 */
export function bestCapacity(model: SwarmModel): number {
  const units = model.unitWeights.length
  const supplies = new Supplies(model.unitWeights)
  const peers = model.peers.map((peer) => placedPeer(peer, units))
  let best = 0
  const visit = (index: number): void => {
    const peer = peers[index]
    if (peer === undefined) {
      if (supplies.covered() === units && supplies.carries(best * (1 + 1e-9))) best = supplies.capacity()
      return
    }
    for (let start = 0; start + peer.longest <= units; start += 1) {
      const span = { start, end: start + peer.longest }
      supplies.add(span, peer.blockSteps)
      visit(index + 1)
      supplies.remove(span, peer.blockSteps)
    }
  }
  visit(0)
  return best
}
