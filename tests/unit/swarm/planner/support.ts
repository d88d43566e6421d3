/** Peers and records for planner tests. */
import type { PeerRecord } from '../../../../swarm/peer-record.ts'
import type { PlannerPeer, SwarmView } from '../../../../swarm/planner/types.ts'

export function peer(peerId: string, start: number, end: number, fields: Partial<PlannerPeer> = {}): PlannerPeer {
  return {
    peerId,
    span: { start, end },
    state: 'online',
    blockStepsPerSecond: 100,
    maxBlocks: end - start,
    fixed: false,
    claimedAt: 0,
    sessions: 0,
    cacheTokensLeft: 4096,
    ...fields,
  }
}

export function view(blocks: number, ...peers: PlannerPeer[]): SwarmView {
  return { blocks, peers }
}

export function record(peerId: string, start: number, end: number, fields: Partial<PeerRecord> = {}): PeerRecord {
  return {
    v: 1,
    peerId,
    seq: 1,
    issuedAt: 1,
    ttlMs: 90_000,
    model: { repo: 'm', revision: 'r', digest: 'd', blocks: 32 },
    state: 'online',
    span: { start, end },
    claimedAt: 0,
    maxBlocks: 8,
    blockStepsPerSecond: 100,
    cacheTokensLeft: 4096,
    sessions: 0,
    weights: 'f32',
    backend: 'software',
    relays: [],
    ...fields,
  }
}

/** A small deterministic generator in [0, 1). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
