/**
 * A cluster planned once, without time: for all at once (`global`), or as peers arrive one after another, each choosing for
 * itself, with balance checks until nobody moves (`joins`).
 */
import { boundOf, capacityOf, meanHopsOf, petalsCapacityOf } from '../planner/measures.ts'
import { planAll, planJoins } from '../planner/flow/plan.ts'
import { blockStepsOf, longestSpan, type Objective, type Placement, type SwarmModel } from '../planner/model.ts'
import type { PlannerPeer, SwarmView } from '../planner/types.ts'
import type { Span } from '../span.ts'
import type { Cluster, ClusterPeer } from './cluster.ts'
import { Random } from './random.ts'
import type { RuleName } from '../planner/rule-names.ts'
import { simulatedRule, type SimulatedRule } from './rules.ts'

export type PlanMode = 'global' | 'joins'

export interface StaticOptions {
  cluster: Cluster
  rule: RuleName
  mode: PlanMode
  objective: Objective
  /** Bound of the mean hops of the capacity flow. */
  maxHops?: number
  seed: number
  balanceQuality: number
}

/** What `--json` prints. */
export interface StaticResult {
  rule: RuleName
  mode: PlanMode
  objective: Objective
  placements: { peer: string; start: number; end: number }[]
  /** Tokens a second in the rule's own measure: max flow, or Petals' poorest block. */
  capacity: number
  flowCapacity: number
  bound: number
  /** Of a token, on the cheapest routing of the max flow; null when nothing flows. */
  meanHops: number | null
  /** Holders of the unit that has fewest. */
  leastReplicas: number
  /** Moves that the balance checks made after everybody had joined. */
  moves: number
  planMs?: number
}

export interface Plan {
  placement: Placement
  moves: number
}

/** Sweeps of balance checks after joining; the rules settle in a few. */
const MAX_SWEEPS = 50

export function planCluster(options: StaticOptions): Plan {
  const { rule, cluster, mode, objective, maxHops } = options
  if (rule !== 'flow') return planByRule(simulatedRule(rule), options)
  return mode === 'global' ? planAll(cluster, { objective, maxHops }) : planJoins(cluster, { objective })
}

export function measurePlan(options: StaticOptions, { placement, moves }: Plan): StaticResult {
  const { cluster, rule, mode, objective } = options
  const flowCapacity = capacityOf(cluster, placement)
  return {
    rule,
    mode,
    objective,
    placements: [...placement].map(([peer, { start, end }]) => ({ peer, start, end })),
    capacity: rule === 'petals' ? petalsCapacityOf(cluster, placement) : flowCapacity,
    flowCapacity,
    bound: boundOf(cluster),
    meanHops: flowCapacity > 0 ? meanHopsOf(cluster, placement) : null,
    leastReplicas: leastReplicas(cluster, placement),
    moves,
  }
}

function leastReplicas({ unitWeights }: SwarmModel, placement: Placement): number {
  const holders = unitWeights.map(() => 0)
  for (const { start, end } of placement.values()) {
    for (let unit = start; unit < end; unit += 1) holders[unit] = (holders[unit] as number) + 1
  }
  return Math.min(...holders)
}

/**
 * Peers arrive in the file's order, each choosing for itself; then all check the balance in turn until nobody moves. A rule
 * without a plan for all at once has for `global` its joins with everybody re-choosing until nobody can gain, and for `joins`
 * with its own slack (`balanceQuality`).
 */
function planByRule({ rule, check }: SimulatedRule, { cluster, mode, seed, balanceQuality }: StaticOptions): Plan {
  const units = cluster.unitWeights.length
  const peers = new Map<string, PlannerPeer>()
  const view = (): SwarmView => ({ blocks: units, unitWeights: cluster.unitWeights, peers: [...peers.values()] })
  for (const [index, peer] of cluster.peers.entries()) {
    const length = longestSpan(peer, units)
    const joiner = { peerId: peer.id, length, blockStepsPerSecond: blockStepsOf(peer, units) }
    peers.set(peer.id, asRecord(peer, rule.chooseSpan(view(), joiner), index, units))
  }
  const random = new Random(seed, 'balance')
  const slack = { balanceQuality: mode === 'global' ? 1 : balanceQuality, random: () => random.next() }
  let moves = 0
  let current = view()
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep += 1) {
    const before = moves
    for (const peer of peers.values()) {
      const { moveTo } = check({ view: current, peerId: peer.peerId, ...slack })
      if (moveTo === null) continue
      peers.set(peer.peerId, { ...peer, span: moveTo })
      current = view()
      moves += 1
    }
    if (moves === before) break
  }
  return { placement: new Map([...peers].map(([id, peer]) => [id, peer.span])), moves }
}

function asRecord(peer: ClusterPeer, span: Span, claimedAt: number, units: number): PlannerPeer {
  return {
    peerId: peer.id,
    span,
    state: 'online',
    blockStepsPerSecond: blockStepsOf(peer, units),
    maxBlocks: longestSpan(peer, units),
    fixed: peer.fixed === true,
    claimedAt,
    sessions: 0,
    cacheTokensLeft: 0,
  }
}
