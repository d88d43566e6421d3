/**
 * How many others stand before a step that comes to a peer, in the mean, told from what records say: how many sessions each
 * peer has and how many blocks they run there. A closed queueing network in Schweitzer's approximation: each session's token
 * is at one peer at a time, at each for as long as its work and those before it take there, and in one round through all.
 * Time is counted in the peers' own terms (work over speed), so that replicas fill in proportion to what they can carry.
 */
import { weightOfSpan } from '../model/unit-weights.ts'
import type { PlannerPeer, SwarmView } from './types.ts'

const HALVINGS = 30

interface Load {
  peerId: string
  sessions: number
  /** What all its sessions' tokens take here in one round, without waiting, ms. */
  workMs: number
  /** The same of those that a session of this peer meets. */
  othersMs: number
}

/** By peer id, of those with sessions. `hopMs`: what a hop's way takes, in the mean. */
export function queuesOf({ blocks, peers, unitWeights }: SwarmView, hopMs: number): Map<string, number> {
  const loads = peers
    .filter(({ state, sessions }) => state === 'online' && sessions > 0)
    .map((peer): Load => {
      const workMs = (1000 * workOf(peer, unitWeights)) / peer.blockStepsPerSecond
      return { peerId: peer.peerId, sessions: peer.sessions, workMs, othersMs: workMs * (1 - 1 / peer.sessions) }
    })
  const inUse = peers.reduce((sum, peer) => (peer.state === 'online' ? sum + workOf(peer, unitWeights) : sum), 0)
  // Each session runs every block once; sessions that only some records know of count as the part of them that is known.
  const sessions = inUse / weightOfSpan({ start: 0, end: blocks }, unitWeights)
  const roundMs = roundOf(loads, sessions, hopMs)
  return new Map(loads.map((load) => [load.peerId, waiting(load, roundMs) / roundMs]))
}

/** Of all its sessions' steps, in a round; a record that does not say it means whole spans. */
export function blocksInUse({ sessions, sessionBlocks, span }: PlannerPeer): number {
  return sessionBlocks ?? sessions * (span.end - span.start)
}

/** The same in what blocks cost: records tell no parts of a span, so its costly blocks count as used like the others. */
function workOf(peer: PlannerPeer, unitWeights?: readonly number[]): number {
  const { span } = peer
  return (blocksInUse(peer) * weightOfSpan(span, unitWeights)) / (span.end - span.start)
}

/** What a token takes for all its hops, ms: the time that fits with the queues which it makes. */
function roundOf(loads: readonly Load[], sessions: number, hopMs: number): number {
  if (loads.length === 0) return 1
  const hops = loads.reduce((sum, load) => sum + load.sessions, 0) / sessions
  const wayMs = (hops + 1) * hopMs
  const taken = (roundMs: number): number =>
    wayMs + loads.reduce((sum, load) => sum + waiting(load, roundMs), 0) / sessions
  let low = Math.max(...loads.map(({ othersMs }) => othersMs))
  let high = low + wayMs + loads.reduce((sum, { workMs, sessions: here }) => sum + workMs * here, 0) / sessions
  for (let i = 0; i < HALVINGS; i += 1) {
    const middle = (low + high) / 2
    if (taken(middle) > middle) low = middle
    else high = middle
  }
  return high
}

/** Time of all its sessions' tokens at a peer in a round of `roundMs`, waiting included, ms. */
function waiting({ workMs, othersMs }: Load, roundMs: number): number {
  return roundMs <= othersMs ? Infinity : workMs / (1 - othersMs / roundMs)
}
