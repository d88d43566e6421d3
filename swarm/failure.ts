/** What a hop says when it refuses or gives up a session, read with suspicion: it is shown to a person and decides what is done. */
import { readJson, type Frame } from './codec.ts'
import { SwarmError, type ErrorCode } from './errors.ts'
import { STATUS_OF_CODE } from './protocol.ts'

const MAX_MESSAGE_CHARS = 500
/** Codes a hop may fail with: those with a wire status, and what befell it on the way to its next hop. */
const FAILURE_CODES: ReadonlySet<string> = new Set([...Object.keys(STATUS_OF_CODE), 'DIAL_FAILED'])

/** The sender's words are cut and its code must be one of the wire's. */
export function readFailure(frame: Frame, sender: string): SwarmError {
  const message = readJson(frame)
  const code = message['code']
  const isWireCode = typeof code === 'string' && FAILURE_CODES.has(code)
  const text =
    typeof message['message'] === 'string' ? message['message'].slice(0, MAX_MESSAGE_CHARS) : 'no reason given'
  const culprit = message['peerId']
  // A hop that says so of itself is neither gone nor silent: it only ended this session (idle, or too old).
  const isItself = typeof culprit !== 'string' || culprit === sender
  const isAlive = isItself && (code === 'PEER_LOST' || code === 'PEER_TIMEOUT')
  const stated: ErrorCode = isWireCode ? (code as ErrorCode) : 'PEER_REFUSED'
  return new SwarmError(isAlive ? 'NO_SESSION' : stated, text, {
    peerId: isItself ? sender : culprit,
    retryable: message['retryable'] === true,
    details: { sender },
  })
}
