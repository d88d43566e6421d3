/** Whether a session may be opened here: the right model, a free id, the limits, and a next hop that may be dialled. */
import { SwarmError } from '../../swarm/errors.ts'
import { MAX_SESSIONS, MAX_SESSIONS_PER_PEER } from '../../swarm/limits.ts'
import type { PeerRecord } from '../../swarm/peer-record.ts'
import type { OpenRequest } from './open-message.ts'

export interface AdmissionRules {
  selfId: string
  modelDigest: string
  /** Fresh, signature-checked record of a peer. */
  record: (peerId: string) => PeerRecord | undefined
  /** Session id → requesting peer, of all sessions here but the one that the request goes on with. */
  owners: ReadonlyMap<string, string>
}

/** @throws SwarmError WRONG_MODEL, PEER_REFUSED, BUSY, BAD_FRAME, WRONG_PEER */
export function checkAdmission(request: OpenRequest, requesterId: string, rules: AdmissionRules): void {
  const { modelDigest, owners, selfId } = rules
  if (request.modelDigest !== modelDigest) {
    throw new SwarmError('WRONG_MODEL', `this peer serves model ${modelDigest}, not ${request.modelDigest}`)
  }
  if (owners.has(request.session)) throw new SwarmError('PEER_REFUSED', 'a session with this id is open already')
  if (owners.size >= MAX_SESSIONS) {
    throw new SwarmError('BUSY', `this peer serves ${owners.size} sessions, its limit`, { retryable: true })
  }
  const own = [...owners.values()].filter((owner) => owner === requesterId).length
  if (own >= MAX_SESSIONS_PER_PEER) {
    throw new SwarmError('BUSY', `one peer may have ${MAX_SESSIONS_PER_PEER} sessions here`, { retryable: true })
  }
  const { next } = request
  if (next === selfId) throw new SwarmError('BAD_FRAME', 'a hop cannot push to itself')
  if (next !== null && next !== requesterId) checkNext(next, rules)
}

/** A hop dials only peers that serve the same model by their own signature, never an address somebody handed it. */
function checkNext(next: string, { record: recordOf, modelDigest }: AdmissionRules): void {
  const record = recordOf(next)
  if (record === undefined) {
    const message = `no fresh record of the next hop ${next} is known here`
    throw new SwarmError('WRONG_PEER', message, { retryable: true, peerId: next })
  }
  if (record.model.digest !== modelDigest) {
    throw new SwarmError('WRONG_MODEL', `the next hop ${next} serves another model`, { peerId: next })
  }
}
