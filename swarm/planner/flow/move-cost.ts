/**
 * What a move costs: time. Until the weights of the new place have come, and the answers at the old one have ended, the swarm is worth
 * what it was; what the move gains is gained for the rest of the time that a placement stands.
 */

/** Peers come and go: in swarms of 20 minutes' mean life a placement of 32 changes every half minute, in calm ones after hours. */
const STANDS_SECONDS = 600

/** The share of a move's gain that is left when it takes so long until the peer works there; 0 where it would come too late. */
export function shareLeft(seconds: number): number {
  return Math.max(0, 1 - seconds / STANDS_SECONDS)
}
