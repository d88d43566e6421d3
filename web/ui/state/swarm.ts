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

/**
 * What stands between this page and a relay that it needs: all of them, or one that its link names. null while there is
 * nothing to say, or an answer is still out.
 */
export type RelayTrouble =
  | { kind: 'restarting'; backAfterMs: number | null }
  | { kind: 'version' | 'other-relay' | 'lost' | 'link-lost' }
  | { kind: 'refused'; reason: string }

export function relayTrouble({ relays }: SwarmSnapshot): RelayTrouble | null {
  const restarting = relays.find(({ state }) => state === 'restarting')
  // Said even while another relay is there: what hangs on this one comes back by itself.
  if (restarting !== undefined) return { kind: 'restarting', backAfterMs: restarting.backAfterMs ?? null }
  if (relays.some(({ state }) => state === 'connecting')) return null
  const isIn = relays.some(({ state }) => state === 'connected')
  // A page that is in the swarm may do without a relay, but not without noticing that its link leads nowhere.
  const needed = isIn ? relays.filter((relay) => relay.isFromLink === true && relay.state !== 'connected') : relays
  if (needed.length === 0) return null
  const known = needed.find(({ trouble }) => trouble !== undefined)
  if (known?.trouble !== undefined) return { kind: known.trouble }
  const refusing = needed.find(({ state }) => state === 'refused')
  if (refusing !== undefined) return { kind: 'refused', reason: refusing.reason ?? '' }
  return { kind: isIn ? 'link-lost' : 'lost' }
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
