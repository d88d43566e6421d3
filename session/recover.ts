/**
 * Getting a route and keeping one: plans it, opens a session on it, and when there is none waits (with the missing blocks
 * named) until the directory brings one. Of a route that lost a hop the others keep what they hold, if another takes its
 * place. Also decides what a loss means: who is to blame, and whether going on makes sense. It knows nothing of tokens;
 * `generate.ts` replays them on the session that comes out.
 */
import { SwarmError, type ErrorCode } from '../swarm/errors.ts'
import type { RouteHop } from '../swarm/planner/types.ts'
import type { BanReason } from './bans.ts'
import type { BrokenRoute } from './broken-route.ts'
import {
  chooseRepair,
  chooseRoute,
  lessCrowded,
  lineOf,
  type RouteChoice,
  type RouteChooser,
  type RouteNeeds,
} from './choose-route.ts'
import type { PrefixNamer } from './prefix-names.ts'
import { pairOf, RouteSession } from './route-session.ts'
import type { GenerateEvent, PromptModel } from './types.ts'

export interface Connector extends RouteChooser {
  model: Pick<PromptModel, 'id' | 'vocabSize' | 'hiddenSize' | 'unitWeights'>
  /** Cryptographically random bytes for session ids. */
  randomBytes: (length: number) => Uint8Array
  /** Counts sessions of one chat; each gets the next number. */
  nextEpoch: () => number
  /** How often a hop did not know its next hop yet, by pair. */
  strangers: Map<string, number>
  /** null: nothing is shared between chats. */
  prefixes: PrefixNamer | null
}

export interface ConnectOptions extends RouteNeeds {
  /** What is to be run on the session: it may begin with rows that the hops have kept. */
  ids: readonly number[]
  signal: AbortSignal
  /** A first route is waited for in silence this long before the answer is called paused. */
  graceMs: number
  /** Whether an answer was interrupted: its going on is then reported. */
  isRecovery: boolean
  /** What is left of the route that lost a hop; it is closed when a session has opened, or throws. */
  broken: BrokenRoute | null
}

/** First directory updates arrive within this time of joining. */
export const FIRST_ROUTE_GRACE_MS = 1_000
const RETRY_MIN_MS = 250
const RETRY_MAX_MS = 5_000
/** The DHT is asked again at most this often, and never on the way of a token. */
const DHT_INTERVAL_MS = 3_000
/** Changes of the directory come in bursts (a peer leaves, others move): look once. */
const SETTLE_MS = 20

/** A crowd that comes at once spreads in one or two steps; the rest is accepted. */
const MAX_ROUTE_CHANGES = 2

/** Records cross the swarm in some hundred milliseconds. */
const STRANGER_TRIES = 4
const STRANGER_DELAY_MS = 150

/** What a failure of a peer means for the next route. Anything not listed ends the answer. */
const BAN_OF_CODE: Partial<Record<ErrorCode, BanReason>> = {
  PEER_LOST: 'lost',
  PEER_TIMEOUT: 'lost',
  GPU_LOST: 'lost',
  OUT_OF_MEMORY: 'lost',
  NO_SESSION: 'refused',
  BUSY: 'refused',
  CACHE_FULL: 'refused',
  PEER_REFUSED: 'refused',
  DIAL_FAILED: 'unreachable',
  BAD_FRAME: 'fault',
  WRONG_VERSION: 'fault',
  WRONG_MODEL: 'fault',
  WRONG_PEER: 'fault',
  WRONG_POSITION: 'fault',
  NOT_FINITE: 'fault',
  NO_ROUTE: 'fault',
  BAD_RECORD: 'fault',
}

/** Bans the peer at fault; false when the error is not a peer's and the answer cannot go on. */
export function blame(connector: RouteChooser, error: unknown): error is SwarmError {
  if (!(error instanceof SwarmError) || error.peerId === undefined || error.peerId === '') return false
  const reason = BAN_OF_CODE[error.code]
  if (reason === undefined) return false
  const record = connector.node.directory.get(error.peerId)
  connector.bans.ban(error.peerId, reason, connector.now(), record)
  return true
}

/** Whether the error says that the peer broke the rules, rather than that it went or has no room. */
export function isFault(error: SwarmError): boolean {
  return BAN_OF_CODE[error.code] === 'fault'
}

/**
 * Returns a session with nothing run yet but what its hops had kept of `ids`, or hold of the broken route's session. Waits as long as
 * it takes. @throws SwarmError CANCELLED; an error that is no peer's
 */
export async function* connect(
  connector: Connector,
  options: ConnectOptions,
): AsyncGenerator<GenerateEvent, RouteSession> {
  try {
    return yield* openRoute(connector, options)
  } finally {
    // What goes on has other streams by now: nothing waits for these to end.
    void options.broken?.close()
  }
}

async function* openRoute(connector: Connector, options: ConnectOptions): AsyncGenerator<GenerateEvent, RouteSession> {
  const { node, now } = connector
  const { signal } = options
  const startedMs = now()
  let pausedFor: string | null = null
  let retryMs = RETRY_MIN_MS
  let lastDhtMs = -Infinity
  let refusal: SwarmError | null = null
  const told = new Map<string, number>()
  let other: ReturnType<typeof lessCrowded> = null
  let changes = 0
  let { broken } = options
  for (;;) {
    if (signal.aborted) throw cancelled()
    const repair = broken === null ? null : chooseRepair(connector, options, broken)
    const choice = repair ?? other ?? chooseRoute(connector, options)
    other = null
    if (choice.ok) {
      if (repair === null && broken !== null) {
        // Its sessions would stand in the way of new ones at the same peers.
        await broken.close()
        broken = null
      }
      const opened: RouteSession | SwarmError = await tryOpen(connector, options, choice, broken)
      if (opened instanceof RouteSession) {
        for (const [peerId, sessions] of opened.sessionsBefore) told.set(peerId, sessions)
        // Nothing has run on it yet: another route costs no more than its opening.
        if (repair === null && changes < MAX_ROUTE_CHANGES) other = lessCrowded(connector, options, opened.hops, told)
        if (other !== null) {
          changes += 1
          await opened.close()
          continue
        }
        yield { type: 'route', hops: opened.hops, direct: opened.direct, line: lineOf(connector, opened.hops) }
        if (options.isRecovery || pausedFor !== null) yield { type: 'resumed' }
        return opened
      }
      refusal = opened
      broken?.lose(opened.peerId ?? '')
      // Its peer is banned now: another route may exist this very moment.
      continue
    }
    const reason = refusal === null ? choice.reason : `${choice.reason} (last: ${refusal.message})`
    const isQuiet = pausedFor === null && now() - startedMs < options.graceMs
    const pauseKey = `${choice.missingBlocks.join()} ${choice.reason}`
    if (!isQuiet && pauseKey !== pausedFor) {
      pausedFor = pauseKey
      yield { type: 'paused', missingBlocks: choice.missingBlocks, reason }
    }
    if (now() - lastDhtMs >= DHT_INTERVAL_MS) {
      lastDhtMs = now()
      // Its findings arrive as directory changes; a failed query is asked again in three seconds.
      node.refreshFromDht(connector.model.id.digest, signal).catch(() => null)
    }
    const banEndMs = connector.bans.nextEndMs(now())
    const graceLeftMs = isQuiet ? options.graceMs - (now() - startedMs) : Infinity
    await directoryChange(connector, Math.min(retryMs, banEndMs ?? Infinity, graceLeftMs) + SETTLE_MS, signal)
    retryMs = Math.min(RETRY_MAX_MS, retryMs * 2)
  }
}

/** The session, or the error of the peer that refused or could not be reached (banned by then). */
async function tryOpen(
  connector: Connector,
  options: ConnectOptions,
  choice: Extract<RouteChoice, { ok: true }>,
  broken: BrokenRoute | null,
): Promise<RouteSession | SwarmError> {
  const { node, model, now, randomBytes, nextEpoch } = connector
  const { ids } = options
  const session = broken?.id ?? Array.from(randomBytes(16), (byte) => byte.toString(16).padStart(2, '0')).join('')
  try {
    const prefixes = broken === null ? connector.prefixes : null
    const messages = await prefixes?.name(ids, choice.hops, (peerId) => node.directory.get(peerId))
    return await RouteSession.open({
      node,
      model,
      hops: choice.hops,
      session,
      epoch: nextEpoch(),
      maxTokens: choice.maxTokens,
      now,
      signal: options.signal,
      forwarded: connector.forwarded,
      ...(messages ? { prefix: { ids, messages } } : {}),
      ...(broken === null ? {} : { resume: broken.resume(choice.hops, ids) }),
    })
  } catch (error) {
    if (options.signal.aborted) throw cancelled()
    if (error instanceof SwarmError && (await joinHops(connector, choice.hops, error))) return error
    if (blame(connector, error)) return error
    throw error
  }
}

/**
 * True when the same route is worth the next try although a hop did not get through to its next hop. One that has not
 * heard of the other yet (records reach the requesting peer first) is given a moment. Two that cannot connect (both
 * behind hard NATs) still work together: this peer, which reaches both, carries the hidden states between them.
 */
async function joinHops(connector: Connector, hops: readonly RouteHop[], error: SwarmError): Promise<boolean> {
  if (error.code !== 'DIAL_FAILED' && error.code !== 'WRONG_PEER') return false
  const index = hops.findIndex((hop) => hop.peerId === error.details['sender'])
  const next = hops[index + 1]
  if (index === -1 || next === undefined || next.peerId !== error.peerId) return false
  const pair = pairOf((hops[index] as RouteHop).peerId, next.peerId)
  if (connector.forwarded.has(pair)) return false
  const strikes = (connector.strangers.get(pair) ?? 0) + 1
  if (error.code === 'WRONG_PEER' && strikes <= STRANGER_TRIES) {
    connector.strangers.set(pair, strikes)
    await new Promise<void>((resolve) => setTimeout(resolve, STRANGER_DELAY_MS * strikes))
  } else {
    connector.strangers.delete(pair)
    connector.forwarded.add(pair)
  }
  return true
}

/** Resolves a moment after the directory changed, after `timeoutMs`, or when the signal aborts. */
function directoryChange({ node }: RouteChooser, timeoutMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    let settle: ReturnType<typeof setTimeout> | undefined
    const finish = (): void => {
      clearTimeout(timer)
      clearTimeout(settle)
      unsubscribe()
      signal.removeEventListener('abort', finish)
      resolve()
    }
    const timer = setTimeout(finish, timeoutMs)
    const unsubscribe = node.directory.onChange(() => {
      settle ??= setTimeout(finish, SETTLE_MS)
    })
    signal.addEventListener('abort', finish, { once: true })
    if (signal.aborted) finish()
  })
}

export function cancelled(): SwarmError {
  return new SwarmError('CANCELLED', 'cancelled')
}
