/** A route in one line for a person: which blocks run where, and how far the way there is, where that is known. */
import { formatSpan } from '../span.ts'
import type { RouteHop } from './types.ts'

/** `0:8 via …5Xk2mQ (12 ms) => 8:16 via …9fPq1z`: round trips between a hop and the one before it, the first one's to whoever asks. */
export function routeLine(
  hops: readonly RouteHop[],
  rttMs: (from: string | null, to: string) => number | null,
): string {
  return hops
    .map(({ peerId, span }, index) => {
      const rtt = rttMs(hops[index - 1]?.peerId ?? null, peerId)
      return `${formatSpan(span)} via ${shortened(peerId)}${rtt === null ? '' : ` (${Math.round(rtt)} ms)`}`
    })
    .join(' => ')
}

/** The tail of a peer id tells peers apart; the head is the same for all. */
function shortened(peerId: string): string {
  return peerId.length <= 8 ? peerId : `…${peerId.slice(-6)}`
}
