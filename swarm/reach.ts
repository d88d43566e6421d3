/**
 * Whether other tabs can come to this one directly, through a relay, or not at all, and why: drawn from what a probe found. The same
 * words for every side; finding things out is `net` and the page.
 */

/** reserved: it holds a place for us, by which others dial us. */
export type RelayFinding =
  | { outcome: 'reserved' | 'unreserved'; address: string }
  | { outcome: 'refused' | 'none'; reason: string }

/**
 * What the browser offers others to connect to. public: STUN told an address that others see. local: only addresses of this
 * machine and its network. none: nothing, as where UDP is not allowed.
 */
export interface AddressFinding {
  outcome: 'public' | 'local' | 'none'
  /** Whether a STUN server is offered that could have told. */
  asked: boolean
}

/** A second peer came to this one: direct, over the relay only, or not. skipped: there was no way to try. */
export type DialFinding = { outcome: 'direct' | 'relayed' | 'skipped' } | { outcome: 'failed'; reason: string }

export interface ReachFindings {
  relay: RelayFinding
  addresses: AddressFinding
  dial: DialFinding
}

export interface Reach {
  verdict: 'direct' | 'relayed' | 'unreachable'
  why:
    /** Direct from anywhere, as far as can be told from inside. */
    | 'public'
    /** Direct from this network; nobody was there to ask how it looks from outside. */
    | 'here'
    /** Direct from this network, and no address that others see. */
    | 'no-public-address'
    | 'no-udp'
    | 'no-direct'
    | 'no-relay'
    | 'refused'
    | 'no-place'
    | 'no-way'
}

export function reachOf({ relay, addresses, dial }: ReachFindings): Reach {
  if (relay.outcome === 'none') return { verdict: 'unreachable', why: 'no-relay' }
  if (relay.outcome === 'refused') return { verdict: 'unreachable', why: 'refused' }
  if (relay.outcome === 'unreserved') return { verdict: 'unreachable', why: 'no-place' }
  switch (dial.outcome) {
    case 'direct':
      if (addresses.outcome === 'public') return { verdict: 'direct', why: 'public' }
      // The second peer is on this machine: it says nothing of those behind other routers.
      return addresses.asked ? { verdict: 'relayed', why: 'no-public-address' } : { verdict: 'direct', why: 'here' }
    case 'relayed':
      return { verdict: 'relayed', why: addresses.outcome === 'none' ? 'no-udp' : 'no-direct' }
    case 'failed':
    case 'skipped':
      return { verdict: 'unreachable', why: 'no-way' }
    default:
      return dial satisfies never
  }
}
