/** Which peers a serving peer should be connected to before anybody asks: those a route may lead from it or to it. */
import type { PeerRecord } from '../swarm/peer-record.ts'

/** Each costs a WebRTC and a circuit connection; a route needs two. */
const MAX_NEIGHBOURS = 24

/** Peer ids of those that a session may come from or go on to: they hold a block beside one of ours. The likeliest first. */
export function handOversOf(own: PeerRecord, records: readonly PeerRecord[]): string[] {
  const beside = records.filter(({ span }) => {
    const isSame = span.start === own.span.start && span.end === own.span.end
    return !isSame && span.start <= own.span.end && span.end >= own.span.start
  })
  return neighboursOf(own, beside)
}

/** Peer ids of those that a route of this model may begin or end with. */
export function endsOf(records: readonly PeerRecord[]): string[] {
  return records
    .filter(({ span, model, state }) => state === 'online' && (span.start === 0 || span.end === model.blocks))
    .map(({ peerId }) => peerId)
}

/** Peer ids, the likeliest neighbours first: spans that touch ours end to end, then overlapping ones, then the rest. */
export function neighboursOf(own: PeerRecord, records: readonly PeerRecord[]): string[] {
  return records
    .filter(({ peerId, state }) => peerId !== own.peerId && state !== 'gone')
    .map((record) => ({ peerId: record.peerId, rank: rankOf(own, record) }))
    .toSorted((a, b) => a.rank - b.rank || (a.peerId < b.peerId ? -1 : 1))
    .slice(0, MAX_NEIGHBOURS)
    .map(({ peerId }) => peerId)
}

function rankOf(own: PeerRecord, { span }: PeerRecord): number {
  if (span.start === own.span.end || span.end === own.span.start) return 0
  if (span.start < own.span.end && own.span.start < span.end) return span.start === own.span.start ? 2 : 1
  return 3
}
