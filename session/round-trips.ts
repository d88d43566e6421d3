/**
 * What a requesting peer knows of the ways that a token goes: to each hop from the one before it, from itself to the first and
 * back from the last. Its own ways it has measured; those between others their records tell.
 */
import type { SwarmNode } from '../net/types.ts'
import { toldRoundTrip, type PeerRecord } from '../swarm/peer-record.ts'
import { UNKNOWN_RTT_MS } from '../swarm/planner/route.ts'
import type { RouteRequest } from '../swarm/planner/types.ts'
import { pairOf } from './route-session.ts'

export type RttMs = RouteRequest['rttMs']

/** Measured ones, ms; null where nobody has. `forwarded`: pairs (`pairOf`) between which this peer carries the hidden states. */
export function knownRtt(
  node: Pick<SwarmNode, 'rttMs'>,
  recordOf: (peerId: string) => PeerRecord | undefined,
  forwarded: ReadonlySet<string>,
): RttMs {
  const read = new Map<string, PeerRecord | undefined>()
  // A search asks for the same pairs at every block.
  const once = (peerId: string): PeerRecord | undefined => {
    if (!read.has(peerId)) read.set(peerId, recordOf(peerId))
    return read.get(peerId)
  }
  return (from, to) => {
    if (from === null) return node.rttMs(to)
    if (forwarded.has(pairOf(from, to)))
      return (node.rttMs(from) ?? UNKNOWN_RTT_MS) + (node.rttMs(to) ?? UNKNOWN_RTT_MS)
    return toldBetween(once(from), once(to))
  }
}

/**
 * With an estimate where nobody has measured: as far as the further of both is from here. Two sides of a triangle bound the third by
 * their difference and their sum, and that is the middle.
 */
export function estimatedRtt(known: RttMs): RttMs {
  return (from, to) => {
    const measured = known(from, to)
    if (measured !== null || from === null) return measured
    const [here, there] = [known(null, from), known(null, to)]
    return here === null || there === null ? null : Math.max(here, there)
  }
}

/** Where both tell, the longer one: nobody comes near alone by saying so. */
function toldBetween(a: PeerRecord | undefined, b: PeerRecord | undefined): number | null {
  if (a === undefined || b === undefined) return null
  const told = [toldRoundTrip(a, b.peerId), toldRoundTrip(b, a.peerId)].filter((ms) => ms !== null)
  return told.length === 0 ? null : Math.max(...told)
}
