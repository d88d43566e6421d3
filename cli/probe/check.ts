/** One check of a probe: what was looked at, how it went, and what to do about it. */
import { describeError, SwarmError } from '../../swarm/errors.ts'

export type Outcome = 'ok' | 'warn' | 'fail' | 'skip'

export interface CheckResult {
  name: string
  outcome: Outcome
  /** What was found, as a sentence without its full stop. */
  found: string
  /** What to do; empty where nothing is to be done. */
  fix: string
}

type Found = readonly [outcome: Outcome, found: string, fix?: string]

/** A check that throws has failed, with what was thrown as its finding. */
export async function check(name: string, look: () => Promise<Found>, fix: string): Promise<CheckResult> {
  try {
    const [outcome, found, own] = await look()
    return { name, outcome, found, fix: outcome === 'ok' || outcome === 'skip' ? '' : (own ?? fix) }
  } catch (error) {
    const action = error instanceof SwarmError && error.action !== undefined ? error.action : fix
    return { name, outcome: 'fail', found: reasonOf(error).replace(/\.$/, ''), fix: action }
  }
}

/** Node's fetch says only that it failed; why is in its cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && !(error instanceof SwarmError) ? error.cause : undefined
  return cause instanceof Error ? `${describeError(error)}: ${describeError(cause)}` : describeError(error)
}

export function formatCheck({ name, outcome, found, fix }: CheckResult): string {
  const mark = { ok: 'ok  ', warn: 'note', fail: 'FAIL', skip: 'skip' }[outcome]
  return `${mark}  ${name}: ${found}.${fix === '' ? '' : ` ${fix}`}`
}
