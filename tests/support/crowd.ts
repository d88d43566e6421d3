/** Many sessions that choose their routes one after another over a placement, each told of those before it. */
import type { Placement } from '../../swarm/planner/model.ts'
import { planRoute } from '../../swarm/planner/route.ts'
import type { PlannerPeer, RouteHop, SwarmView } from '../../swarm/planner/types.ts'
import type { Cluster } from '../../swarm/simulator/cluster.ts'
import { Random } from '../../swarm/simulator/random.ts'
import type { Span } from '../../swarm/span.ts'

export interface Crowd {
  routes: RouteHop[][]
  /** Of each choice, as it was timed. */
  ms: number[]
}

export function speedsOf(cluster: Cluster): Map<string, number> {
  return new Map(
    cluster.peers.map(({ id, speed }) => {
      if (speed.kind !== 'steps') throw new Error('a crowd runs on peers in block-steps form')
      return [id, speed.blockStepsPerSecond]
    }),
  )
}

export function viewOfPlacement(cluster: Cluster, placement: Placement): PlannerPeer[] {
  const speeds = speedsOf(cluster)
  return cluster.peers.map(({ id, maxBlocks }) => ({
    peerId: id,
    span: placement.get(id) as Span,
    state: 'online',
    blockStepsPerSecond: speeds.get(id) as number,
    maxBlocks,
    fixed: false,
    claimedAt: 0,
    sessions: 0,
    sessionBlocks: 0,
    cacheTokensLeft: 1e9,
  }))
}

export function chooseInTurn(cluster: Cluster, placement: Placement, sessions: number, seed: number): Crowd {
  const random = new Random(seed, 'crowd')
  const peers = viewOfPlacement(cluster, placement)
  const byId = new Map(peers.map((peer) => [peer.peerId, peer]))
  const view: SwarmView = { blocks: cluster.unitWeights.length, peers, unitWeights: cluster.unitWeights }
  const crowd: Crowd = { routes: [], ms: [] }
  for (let i = 0; i < sessions; i += 1) {
    const started = performance.now()
    const route = planRoute({
      view,
      rttMs: cluster.rttMs,
      maxTokens: 256,
      exclude: new Set(),
      random: () => random.next(),
    })
    crowd.ms.push(performance.now() - started)
    if (!route.ok) throw new Error(`nobody holds units ${route.missingBlocks.join(', ')}`)
    crowd.routes.push(route.hops)
    for (const { peerId, span } of route.hops) {
      const peer = byId.get(peerId) as PlannerPeer
      peer.sessions += 1
      peer.sessionBlocks = (peer.sessionBlocks ?? 0) + span.end - span.start
    }
  }
  return crowd
}
