/** The swarm as the page shows it: signals over the port's snapshots, and the coverage computed from records. */
import { signal, type ReadonlySignal } from '@preact/signals'
import type { PeerRecord } from '../../../swarm/peer-record.ts'
import type { ModelRef } from './chat-types.ts'
import type { SwarmModel, SwarmPort, SwarmSnapshot } from './ports.ts'

export interface SwarmState {
  readonly snapshot: ReadonlySignal<SwarmSnapshot>
  join(): Promise<void>
}

/** How many peers serve each block. */
export interface Coverage {
  blocks: number
  replicas: readonly number[]
  missing: readonly number[]
  /** Blocks that somebody serves. */
  covered: number
  /** Peers that serve, not counting claims. */
  peers: number
}

export function createSwarmState(port: SwarmPort): SwarmState {
  const snapshot = signal(port.snapshot())
  port.onChange(() => {
    snapshot.value = port.snapshot()
  })
  return { snapshot, join: () => port.join() }
}

/** A model of the snapshot: the same revision, or the only one known of that repository. */
export function findModel(snapshot: SwarmSnapshot, ref: ModelRef): SwarmModel | null {
  const same = snapshot.models.filter((model) => model.repo === ref.repo)
  return same.find((model) => model.revision === ref.revision) ?? (same.length === 1 ? (same[0] ?? null) : null)
}

export function coverageOfRecords(records: readonly PeerRecord[], blocks: number): Coverage {
  const replicas = Array.from({ length: blocks }, () => 0)
  let peers = 0
  for (const record of records) {
    if (record.state !== 'online') continue
    peers += 1
    for (let block = record.span.start; block < Math.min(record.span.end, blocks); block += 1) {
      replicas[block] = (replicas[block] ?? 0) + 1
    }
  }
  const missing = replicas.flatMap((count, block) => (count === 0 ? [block] : []))
  return { blocks, replicas, missing, covered: blocks - missing.length, peers }
}

/** Last characters of a peer id: the first ones are the same for every key of one kind. */
export function shortPeerId(peerId: string): string {
  return peerId.slice(-6)
}

/** A peer's part in one block. */
export type CellState = 'none' | 'claimed' | 'online' | 'leaving'

export function cellState(record: PeerRecord, block: number): CellState {
  const inSpan = record.span.start <= block && block < record.span.end
  if (inSpan && record.state === 'online') return 'online'
  if (inSpan && record.state === 'leaving') return 'leaving'
  if (inSpan && record.state === 'joining') return 'claimed'
  const { next } = record
  return next !== undefined && next.start <= block && block < next.end ? 'claimed' : 'none'
}
