/** How long to wait before asking a hub again, and waiting that can be cancelled. */
import { SwarmError } from '../swarm/errors.ts'

export interface RetryPolicy {
  /** Times in a row that one request may fail. */
  tries: number
  baseDelayMs: number
  maxDelayMs: number
  /** A hub that asks (`Retry-After`) for a longer wait than this is not waited for. */
  maxRetryAfterMs: number
  /** No byte for this long counts as a cut connection. */
  stallMs: number
  /** Told before each wait, so that a person can be told. */
  onRetry?: (notice: RetryNotice) => void
}

export interface RetryNotice {
  /** One clause: `the hub answered 503`. */
  reason: string
  waitMs: number
  /** Failed tries so far. */
  attempt: number
}

export const DEFAULT_RETRY: RetryPolicy = {
  tries: 5,
  baseDelayMs: 500,
  maxDelayMs: 8_000,
  maxRetryAfterMs: 60_000,
  stallMs: 30_000,
}

/** What a person is told while they wait. */
export function retrySentence(host: string, { reason, waitMs, attempt }: RetryNotice, tries: number): string {
  const seconds = Math.max(1, Math.round(waitMs / 1000))
  const wait = seconds === 1 ? '1 second' : `${seconds} seconds`
  return `Reading from ${host}: ${reason}. It is asked again in ${wait} (try ${attempt + 1} of ${tries}).`
}

/** Doubling delay with a quarter of jitter, for the `attempt`-th failure (from 1). */
export function backOffMs(policy: RetryPolicy, attempt: number): number {
  const delay = Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** (attempt - 1))
  return delay * (0.75 + Math.random() / 2)
}

/** `Retry-After` as milliseconds: seconds or an HTTP date. Null when absent, hidden from a page, or nonsense. */
export function retryAfterMs(response: Response): number | null {
  const value = response.headers.get('Retry-After')?.trim()
  if (value === undefined || value === '') return null
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000
  const at = Date.parse(value)
  return Number.isNaN(at) ? null : Math.max(0, at - Date.now())
}

/** Tells the listener and waits. @throws SwarmError CANCELLED */
export async function waitToRetry(
  policy: RetryPolicy,
  notice: RetryNotice,
  signal: AbortSignal | undefined,
): Promise<void> {
  policy.onRetry?.(notice)
  throwIfCancelled(signal)
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(done, notice.waitMs)
    function done(): void {
      signal?.removeEventListener('abort', cancelled)
      resolve()
    }
    function cancelled(): void {
      clearTimeout(timer)
      reject(cancelledError(signal))
    }
    signal?.addEventListener('abort', cancelled, { once: true })
  })
}

export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw cancelledError(signal)
}

export function cancelledError(signal: AbortSignal | undefined): SwarmError {
  return new SwarmError('CANCELLED', 'reading the model files was cancelled', { cause: signal?.reason })
}
