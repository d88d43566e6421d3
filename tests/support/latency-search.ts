/**
 * A local search over placements with whatever aim: peers join one after another, then each re-chooses in turn until nobody
 * gains. The same moves and the same number of looks as the planner's own search has; only the aim differs.
 */
import type { Cluster } from '../../swarm/simulator/cluster.ts'
import { Solo } from '../../swarm/planner/flow/solo.ts'
import { Supplies } from '../../swarm/planner/flow/supplies.ts'
import { blockStepsOf, longestSpan, type Placement } from '../../swarm/planner/model.ts'
import type { Span } from '../../swarm/span.ts'

export interface Reached {
  placement: Placement
  /** A token on the best route of one session alone, ms. */
  soloMs: number
  /** Tokens a second of all. */
  capacity: number
}

const MAX_SWEEPS = 50

interface Placed {
  id: string
  blockSteps: number
  length: number
  span: Span
}

export function soloMsOf(cluster: Cluster, placement: Placement): number {
  const peers = cluster.peers.map((peer) => ({
    span: placement.get(peer.id) as Span,
    blockSteps: blockStepsOf(peer, cluster.unitWeights.length),
  }))
  return new Solo(cluster.unitWeights, peers).ms
}

/** `latencyWeight`: 0 for capacity alone, 1 for the time of one session alone; between, of the logarithms of both. */
export function searchPlacement(cluster: Cluster, latencyWeight: number): Reached {
  const { unitWeights } = cluster
  const units = unitWeights.length
  const placed: Placed[] = []
  const supplies = new Supplies(unitWeights)
  const place = (peer: Placed, others: readonly Placed[]): Span => {
    const solo = new Solo(unitWeights, others)
    let best = peer.span
    let most: readonly [number, number] = [-1, -Infinity]
    const look = (span: Span): void => {
      supplies.add(span, peer.blockSteps)
      const covered = supplies.covered()
      let worth = latencyWeight === 1 ? 0 : (1 - latencyWeight) * Math.log(supplies.capacity())
      if (covered === units && latencyWeight > 0) {
        worth -= latencyWeight * Math.log(solo.msWith({ span, blockSteps: peer.blockSteps }))
      }
      supplies.remove(span, peer.blockSteps)
      if (covered < most[0] || (covered === most[0] && worth <= most[1] + 1e-9)) return
      most = [covered, worth]
      best = span
    }
    // Where it is already goes first: others must be better.
    if (placed.includes(peer)) look(peer.span)
    for (let start = 0; start + peer.length <= units; start += 1) look({ start, end: start + peer.length })
    return best
  }
  for (const spec of cluster.peers) {
    const length = longestSpan(spec, units)
    const peer = { id: spec.id, blockSteps: blockStepsOf(spec, units), length, span: { start: 0, end: length } }
    peer.span = place(peer, placed)
    placed.push(peer)
    supplies.add(peer.span, peer.blockSteps)
  }
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep += 1) {
    let moves = 0
    for (const peer of placed) {
      supplies.remove(peer.span, peer.blockSteps)
      const others = placed.filter((other) => other !== peer)
      const to = place(peer, others)
      if (to.start !== peer.span.start) moves += 1
      peer.span = to
      supplies.add(to, peer.blockSteps)
    }
    if (moves === 0) break
  }
  return {
    placement: new Map(placed.map(({ id, span }) => [id, span])),
    soloMs: new Solo(unitWeights, placed).ms,
    capacity: supplies.capacity(),
  }
}
