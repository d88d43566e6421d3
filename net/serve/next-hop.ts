/** The push stream from a hop to the next one of its session: opened before the session is, watched as long as it lives. */
import { jsonFrame } from '../../swarm/codec.ts'
import { describeError, SwarmError } from '../../swarm/errors.ts'
import { readFailure } from '../../swarm/failure.ts'
import { DIAL_TOTAL_MS } from '../../swarm/limits.ts'
import type { FrameStream } from '../types.ts'
import { asSwarmError, type HopSession } from './hop-session.ts'
import { blame, seconds } from './refusals.ts'

type OpenPush = (peerId: string, signal: AbortSignal) => Promise<FrameStream>

/**
 * Whether the connection is a direct one; null where there is none to make.
 * Nothing to do for the last hop, or where the requesting peer carries the hidden states on itself.
 * @throws SwarmError naming the next hop: whoever asked must not take it for this hop's loss
 */
export async function connectNext(
  session: HopSession,
  requesterId: string,
  openPush: OpenPush,
): Promise<boolean | null> {
  const { next } = session
  if (next === null || next === requesterId || session.isEnded) return null
  const stream = await dial(next, openPush)
  if (session.isEnded) {
    stream.abort(new Error('the session ended meanwhile'))
    return null
  }
  session.attachOutgoing(stream)
  await stream.send(jsonFrame('attach', session.id, session.epoch, {}))
  // What comes back on it (attached, a failure, its end) is read beside the session's own work.
  void watch(session, stream, next)
  return stream.direct
}

async function dial(next: string, openPush: OpenPush): Promise<FrameStream> {
  const signal = AbortSignal.timeout(DIAL_TOTAL_MS)
  try {
    return await openPush(next, signal)
  } catch (error) {
    if (error instanceof SwarmError && error.code !== 'CANCELLED') throw blame(error, next)
    const reason = signal.aborted ? `no answer in ${seconds(DIAL_TOTAL_MS)}` : describeError(error)
    const message = `the next hop ${next} could not be reached: ${reason}`
    throw new SwarmError('DIAL_FAILED', message, { retryable: true, peerId: next, cause: error })
  }
}

async function watch(session: HopSession, stream: FrameStream, next: string): Promise<void> {
  try {
    for (let frame = await stream.receive(); frame !== null; frame = await stream.receive()) {
      if (frame.type === 'failure') throw readFailure(frame, next)
      // It lost a hop itself, and told the requesting peer, which decides about this one.
      if (frame.type === 'close') return
    }
    throw new SwarmError('PEER_LOST', `the next hop ${next} ended its stream`, { retryable: true, peerId: next })
  } catch (error) {
    await session.fail(blame(asSwarmError(error), next))
  }
}
