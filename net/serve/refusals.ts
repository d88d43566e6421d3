/** What the serving end says when it ends or refuses something: the errors, and whose they are. */
import { emptyFrame, failureFrame, type Frame } from '../../swarm/codec.ts'
import { SwarmError, toPlainError } from '../../swarm/errors.ts'
import { formatSpan } from '../../swarm/span.ts'
import type { FrameStream } from '../types.ts'
import type { OpenRequest } from './open-message.ts'

export function stopped(selfId: string): SwarmError {
  return new SwarmError('PEER_REFUSED', `peer ${selfId} stopped serving`, { retryable: true })
}

/** `because`: the end of a sentence that begins with the peer. */
export function aside(because: string, selfId: string): SwarmError {
  return new SwarmError('PEER_REFUSED', `peer ${selfId} ${because}`, { retryable: true })
}

export function moved(request: OpenRequest, selfId: string): SwarmError {
  const message = `peer ${selfId} does not serve blocks ${formatSpan(request.span)} now`
  return new SwarmError('PEER_REFUSED', message, { retryable: true })
}

export function timeout(message: string): SwarmError {
  return new SwarmError('PEER_TIMEOUT', message, { retryable: true })
}

/** The same error with the peer whose fault or loss it is. */
export function blame(error: SwarmError, peerId: string): SwarmError {
  if (error.peerId !== undefined) return error
  const { code, message, retryable, action, details } = error
  return new SwarmError(code, message, {
    retryable,
    peerId,
    details,
    cause: error,
    ...(action === undefined ? {} : { action }),
  })
}

export function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`
}

/** Says why and lets go. Whoever is refused may be gone already. */
export async function refuse(stream: FrameStream, frame: Frame | null, error: SwarmError): Promise<void> {
  const { session, epoch } = frame ?? emptyFrame('open', '0'.repeat(32), 0)
  try {
    await stream.send(failureFrame(session, epoch, toPlainError(error)))
    await stream.close()
  } catch {
    stream.abort(error)
  }
}
