/** What may be asked of a runner's sessions, and the sentences when it may not; the same for every backend. */
import { SwarmError } from '../../swarm/errors.ts'
import type { LlamaConfig } from '../../swarm/model/config.ts'
import { containsSpan, formatSpan, isValidSpan } from '../../swarm/span.ts'
import type { Span } from '../../swarm/span.ts'
import type { SessionRequest } from '../../swarm/span-runner.ts'
import type { PrefixHolder } from './kept-prefixes.ts'
import { cutPrefix } from './kept-prefixes.ts'

/** `held`: the runner's span. @throws SwarmError NO_ROUTE, CONTEXT_FULL, BUSY */
export function checkOpening(
  { session, span, maxTokens }: SessionRequest,
  held: Span,
  config: LlamaConfig,
  open: ReadonlyMap<string, unknown>,
): void {
  if (!isValidSpan(span, config.numHiddenLayers) || !containsSpan(held, span)) {
    throw new SwarmError('NO_ROUTE', `blocks ${formatSpan(span)} were asked for, this tab holds ${formatSpan(held)}`)
  }
  if (!Number.isInteger(maxTokens) || maxTokens < 1 || maxTokens > config.maxPositionEmbeddings) {
    const limit = config.maxPositionEmbeddings
    throw new SwarmError('CONTEXT_FULL', `a session of ${maxTokens} tokens; the model's context is 1 to ${limit}`)
  }
  if (open.has(session)) throw new SwarmError('BUSY', `session ${session} is already open`)
}

/** Of a session with that id. @throws SwarmError NO_SESSION */
export function findSession<S>(sessions: ReadonlyMap<string, S>, session: string): S {
  const found = sessions.get(session)
  if (found !== undefined) return found
  throw new SwarmError('NO_SESSION', `session ${session} is not open here`, { retryable: true })
}

/** Forgets tokens from `length` on. @throws SwarmError WRONG_POSITION */
export function cutSession(session: PrefixHolder & { hasLogits: boolean }, length: number): void {
  if (!Number.isInteger(length) || length < 0 || length > session.length) {
    throw new SwarmError('WRONG_POSITION', `the session has ${session.length} tokens, it cannot be cut to ${length}`, {
      details: { position: length, expected: session.length },
    })
  }
  if (length < session.length) {
    session.hasLogits = false
    cutPrefix(session, length)
  }
  session.length = length
}

export function noLogits(session: string): SwarmError {
  return new SwarmError('NO_SESSION', `session ${session} has no logits to give again`)
}

export function gpuLost(message: string): SwarmError {
  return new SwarmError('GPU_LOST', message, { retryable: true, action: 'Reload the tab to serve again.' })
}
