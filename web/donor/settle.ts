/**
 * From a claim to a settled choice: the claim is published, and as long as other claims keep coming it is looked at again.
 * When nothing that matters has changed for a while, it stands. The rules are `swarm/planner/claims.ts`; this adds time.
 */
import type { Directory } from '../../net/types.ts'
import { sameSpan, type Span } from '../../swarm/span.ts'
import { waitFor, type Clock } from './clock.ts'

/** So long without a new claim: longer than a record takes through relay and DHT-less fan-out, by an order of magnitude. */
export const SETTLE_MS = 400
/** Without the directory, records travel by DHT put and get: tenths of a second each, more in a large swarm. */
export const SETTLE_WITHOUT_DIRECTORY_MS = 2_500
/** In a swarm where claims never end, the choice stands after so many times `quietMs`; a collision is then seen while loading. */
const MAX_QUIETS_OF_SETTLING = 15
/** Claims of many come in a burst: so long after the last of them, as a share of `quietMs`, all are considered at once. */
const GATHER_SHARE = 1 / 3

export interface SettleOptions {
  clock: Clock
  directory: Directory
  quietMs: number
  /** The choice as things stand now; null: the claim is withdrawn. */
  choose: () => Span | null
  /** Whether `choose` may say something else although nothing has changed: then the claim stands when it does not. */
  thinksTwice?: true
  /** What the choice depends on, as text; an unchanged one keeps the clock running. */
  fingerprint: () => string
  publish: (span: Span) => void
  /** Looks for records that no directory pushes; resolves when it is done or has given up. */
  lookAround?: () => Promise<void>
  signal: AbortSignal
}

/** The span that stands; null when it was withdrawn. @throws the signal's reason */
export async function settleClaim(options: SettleOptions): Promise<Span | null> {
  const { choose, publish, fingerprint, signal } = options
  const { clock, quietMs } = options
  let claim = choose()
  if (claim === null) return null
  publish(claim)
  const end = clock.now() + MAX_QUIETS_OF_SETTLING * quietMs
  while (clock.now() < end) {
    let seen = fingerprint()
    await quiet(options, quietMs, () => fingerprint() !== seen)
    if (fingerprint() === seen && options.lookAround !== undefined) {
      await options.lookAround()
      signal.throwIfAborted()
    }
    const isSettled = fingerprint() === seen
    if (isSettled && options.thinksTwice !== true) break
    while (fingerprint() !== seen && clock.now() < end) {
      seen = fingerprint()
      await quiet(options, quietMs * GATHER_SHARE, () => fingerprint() !== seen)
    }
    const choice = choose()
    if (choice === null) return null
    if (!sameSpan(choice, claim)) {
      claim = choice
      publish(claim)
    } else if (isSettled) break
  }
  return claim
}

/** Resolves after `ms`, or as soon as the directory changes in a way that matters. */
function quiet({ clock, directory, signal }: SettleOptions, ms: number, matters: () => boolean): Promise<void> {
  return waitFor(clock, ms, signal, (wake) =>
    directory.onChange(() => {
      if (matters()) wake()
    }),
  )
}
