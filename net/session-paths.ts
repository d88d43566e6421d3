/**
 * The way that a session's streams take to a peer: a direct connection, or, where none comes about, a circuit of their own
 * through a relay. The circuits that serve as death sensors stay as they are: a circuit's bytes are counted by the relay, and
 * tokens must not use up what tells of a death. A peer that could not be reached directly is tried again beside, and later
 * sessions go back to the direct connection when it stands.
 */
import type { Connection } from '@libp2p/interface'
import { describeError, SwarmError } from '../swarm/errors.ts'
import { DIRECT_RETRY_MS, RELAYED_AFTER_MS, RELAYED_BYTES_PER_HOUR } from '../swarm/limits.ts'
import type { Dialler } from './dialler.ts'

const HOUR_MS = 3_600_000
/** After so long without a session a failure is forgotten: its peer is gone, or sits in another network by now. */
const FORGET_FAILURE_MS = 10 * 60_000
/** A new session does not begin on a circuit that is nearly used up: it would be cut in the middle of an answer. */
const FRESH_SHARE = 0.75

export interface SessionPathsOptions {
  dialler: Pick<Dialler, 'connect' | 'dialSessionCircuit' | 'warm'>
  direct: (peerId: string) => Connection | null
  now: () => number
}

interface Circuit {
  connection: Connection
  bytes: number
}

export class SessionPaths {
  readonly #options: SessionPathsOptions
  readonly #circuits = new Map<string, Circuit>()
  readonly #dials = new Map<string, Promise<Connection>>()
  /** Peers that could not be reached directly, and when. */
  readonly #failedAt = new Map<string, number>()
  #hourStart = -Infinity
  #hourBytes = 0

  constructor(options: SessionPathsOptions) {
    this.#options = options
  }

  /**
   * The connection for a session's stream. A direct one has RELAYED_AFTER_MS to come about before a circuit is taken; it
   * goes on being dialled.
   * @throws SwarmError DIAL_FAILED, CANCELLED
   */
  async connect(peerId: string, signal: AbortSignal): Promise<Connection> {
    const { dialler, direct, now } = this.#options
    const open = direct(peerId)
    if (open !== null) return this.#isDirectNow(peerId, open)
    const failedAt = this.#failedAt.get(peerId)
    if (failedAt !== undefined && now() - failedAt < DIRECT_RETRY_MS) return this.#relayed(peerId, signal)
    if (failedAt !== undefined) {
      // Long enough ago to try again, but nobody waits for it.
      this.#failed(peerId)
      dialler.warm([peerId])
      return this.#relayed(peerId, signal)
    }
    const dial = dialler.connect(peerId, signal)
    const first = await firstOf(dial, RELAYED_AFTER_MS)
    if (first.kind === 'done') return this.#isDirectNow(peerId, first.value)
    if (signal.aborted) throw first.kind === 'failed' ? first.error : cancelled(peerId)
    try {
      const circuit = await this.#relayed(peerId, signal)
      // It may have come about meanwhile, as on a busy machine.
      const late = direct(peerId)
      if (late !== null) return this.#isDirectNow(peerId, late)
      this.#failed(peerId)
      return circuit
    } catch (error) {
      // What stands in the way of both is told by the direct dial's end.
      if (error instanceof SwarmError && error.details['budget'] === 'spent') throw error
      return await dial
    }
  }

  /** To be called for every frame of a session's stream on a circuit, both ways. */
  count(connection: Connection, bytes: number): void {
    const circuit = this.#circuits.get(connection.remotePeer.toString())
    if (circuit?.connection === connection) circuit.bytes += bytes
    const now = this.#options.now()
    if (now - this.#hourStart >= HOUR_MS) {
      this.#hourStart = now
      this.#hourBytes = 0
    }
    this.#hourBytes += bytes
  }

  /** Peers whose direct connection is known not to come about. */
  get failures(): number {
    return this.#failedAt.size
  }

  #failed(peerId: string): void {
    const now = this.#options.now()
    for (const [other, at] of this.#failedAt) if (now - at > FORGET_FAILURE_MS) this.#failedAt.delete(other)
    this.#failedAt.set(peerId, now)
  }

  #isDirectNow(peerId: string, connection: Connection): Connection {
    this.#failedAt.delete(peerId)
    return connection
  }

  async #relayed(peerId: string, signal: AbortSignal): Promise<Connection> {
    const { now } = this.#options
    if (now() - this.#hourStart < HOUR_MS && this.#hourBytes >= RELAYED_BYTES_PER_HOUR) {
      const minutes = Math.ceil((HOUR_MS - (now() - this.#hourStart)) / 60_000)
      const mib = RELAYED_BYTES_PER_HOUR / 1_048_576
      throw new SwarmError(
        'DIAL_FAILED',
        `peer ${peerId} can only be reached through a relay, and this hour’s ${mib} MiB through relays are used up`,
        {
          retryable: true,
          peerId,
          details: { budget: 'spent' },
          action: `It goes on in ${minutes} min, or over a direct connection.`,
        },
      )
    }
    const open = this.#circuits.get(peerId)
    if (open?.connection.status === 'open' && isFresh(open)) return open.connection
    let dial = this.#dials.get(peerId)
    if (dial === undefined) {
      dial = this.#dialCircuit(peerId, signal).finally(() => this.#dials.delete(peerId))
      this.#dials.set(peerId, dial)
    }
    return dial
  }

  async #dialCircuit(peerId: string, signal: AbortSignal): Promise<Connection> {
    try {
      const connection = await this.#options.dialler.dialSessionCircuit(peerId, signal)
      this.#circuits.set(peerId, { connection, bytes: 0 })
      connection.addEventListener('close', () => {
        if (this.#circuits.get(peerId)?.connection === connection) this.#circuits.delete(peerId)
      })
      return connection
    } catch (error) {
      if (error instanceof SwarmError) throw error
      throw new SwarmError('DIAL_FAILED', `no way to peer ${peerId} through a relay: ${describeError(error)}`, {
        retryable: true,
        peerId,
        cause: error,
      })
    }
  }
}

/** The relay says how many bytes a circuit may carry; without a word of it there is no limit. */
function isFresh({ connection, bytes }: Circuit): boolean {
  const most = connection.limits?.bytes
  return most === undefined || bytes < Number(most) * FRESH_SHARE
}

type First<T> = { kind: 'done'; value: T } | { kind: 'failed'; error: unknown } | { kind: 'late' }

/** What became of a promise within a time; it goes on. */
async function firstOf<T>(promise: Promise<T>, ms: number): Promise<First<T>> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<First<T>>((resolve) => {
    timer = setTimeout(() => resolve({ kind: 'late' }), ms)
  })
  const settled = promise.then(
    (value): First<T> => ({ kind: 'done', value }),
    (error: unknown): First<T> => ({ kind: 'failed', error }),
  )
  const first = await Promise.race([settled, late])
  clearTimeout(timer)
  return first
}

function cancelled(peerId: string): SwarmError {
  return new SwarmError('CANCELLED', `the dial to peer ${peerId} was given up`, { retryable: true, peerId })
}
