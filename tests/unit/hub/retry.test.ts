import { expect, test, vi } from 'vitest'
import { backOffMs, DEFAULT_RETRY, retryAfterMs } from '../../../hub/retry.ts'

const answer = (value: string | null): Response =>
  new Response(null, { status: 429, headers: value === null ? {} : { 'Retry-After': value } })

test('Retry-After in seconds, as a date, absent or nonsense', () => {
  vi.useFakeTimers({ now: Date.parse('2026-11-24T00:00:00Z') })
  expect(retryAfterMs(answer('12'))).toBe(12_000)
  expect(retryAfterMs(answer('Tue, 24 Nov 2026 00:00:30 GMT'))).toBe(30_000)
  expect(retryAfterMs(answer('Mon, 23 Nov 2026 00:00:00 GMT'))).toBe(0)
  expect(retryAfterMs(answer(null))).toBeNull()
  expect(retryAfterMs(answer('soon'))).toBeNull()
  vi.useRealTimers()
})

test('the delay doubles up to its limit, give or take a quarter', () => {
  for (let attempt = 1; attempt <= 10; attempt += 1) {
    const middle = Math.min(DEFAULT_RETRY.maxDelayMs, 500 * 2 ** (attempt - 1))
    const delay = backOffMs(DEFAULT_RETRY, attempt)
    expect(delay).toBeGreaterThanOrEqual(middle * 0.75)
    expect(delay).toBeLessThanOrEqual(middle * 1.25)
  }
})
