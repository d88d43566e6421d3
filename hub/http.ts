/**
 * Every request to a hub goes through here: the token only to the hub's own origin, cookies to nobody, retries with
 * back-off, one error per kind of refusal. Redirects to another origin are followed by the platform, which takes the
 * `Authorization` header off (Fetch standard, "HTTP-redirect fetch"; the stand-in's token check would notice a platform
 * that does not).
 */
import { describeError } from '../swarm/errors.ts'
import type { HubRequestContext } from './errors.ts'
import { rateLimited, readRefusal, refusalError, unreachable } from './errors.ts'
import type { RetryPolicy } from './retry.ts'
import { backOffMs, cancelledError, retryAfterMs, throwIfCancelled, waitToRetry } from './retry.ts'

export interface HubHttpOptions {
  token: string | undefined
  /** Origin that may see the token. */
  tokenOrigin: string
  fetch: typeof fetch
  retry: RetryPolicy
}

export interface HubRequest {
  method?: string
  headers?: Record<string, string>
  body?: string
  /** `no-store` for what must be fresh or is kept elsewhere. */
  cache?: RequestCache
  signal?: AbortSignal | undefined
}

export class HubHttp {
  readonly retry: RetryPolicy
  /** Bytes of bodies received, resumed and repeated ones included. */
  bytesFetched = 0
  readonly #options: HubHttpOptions

  constructor(options: HubHttpOptions) {
    this.#options = options
    this.retry = options.retry
  }

  /** Whether a request to this URL carries the token. */
  sendsTokenTo(url: string): boolean {
    return this.#options.token !== undefined && new URL(url).origin === this.#options.tokenOrigin
  }

  /**
   * Sends a request until it is answered with something other than 408, 429 or 5xx. A refusal (4xx) is returned, not thrown:
   * whether a missing file is an error is the caller's to say.
   * @throws SwarmError HUB_UNREACHABLE, HUB_RATE_LIMITED, HUB_ERROR, CANCELLED
   */
  async send(url: string, context: HubRequestContext, request: HubRequest = {}): Promise<Response> {
    for (let attempt = 1; ; attempt += 1) {
      throwIfCancelled(request.signal)
      let response: Response
      try {
        response = await this.#fetchOnce(url, request)
      } catch (error) {
        if (request.signal?.aborted === true) throw cancelledError(request.signal)
        if (attempt >= this.retry.tries) throw unreachable(context, attempt, error)
        const notice = {
          reason: `no answer (${describeError(error)})`,
          waitMs: backOffMs(this.retry, attempt),
          attempt,
        }
        await waitToRetry(this.retry, notice, request.signal)
        continue
      }
      if (!isTemporary(response.status)) return response
      const asked = retryAfterMs(response)
      const tooLong = asked !== null && asked > this.retry.maxRetryAfterMs
      if (attempt >= this.retry.tries || tooLong) {
        if (response.status !== 429) throw refusalError(await readRefusal(response), context)
        await response.body?.cancel()
        throw rateLimited(context, asked === null ? null : asked / 1000)
      }
      await response.body?.cancel()
      const waitMs = Math.max(asked ?? 0, backOffMs(this.retry, attempt))
      await waitToRetry(this.retry, { reason: `the hub answered ${response.status}`, waitMs, attempt }, request.signal)
    }
  }

  async #fetchOnce(url: string, request: HubRequest): Promise<Response> {
    const headers: Record<string, string> = { ...request.headers }
    if (this.sendsTokenTo(url)) headers.Authorization = `Bearer ${this.#options.token}`
    return await this.#options.fetch(url, {
      method: request.method ?? 'GET',
      headers,
      credentials: 'omit',
      referrerPolicy: 'no-referrer',
      ...(request.body === undefined ? {} : { body: request.body }),
      ...(request.cache === undefined ? {} : { cache: request.cache }),
      ...(request.signal === undefined ? {} : { signal: request.signal }),
    })
  }

  /**
   * As a `fetch` for a library that reads the hub's API: same rules, refusals thrown as our errors. Its requests carry no
   * token of their own.
   */
  asFetch(context: HubRequestContext, signal: AbortSignal | undefined): typeof fetch {
    return async (input, init) => {
      const url = typeof input === 'string' ? input : input instanceof URL ? input.href : input.url
      const headers = Object.fromEntries(new Headers(init?.headers).entries())
      delete headers.authorization
      const response = await this.send(url, context, {
        method: init?.method ?? 'GET',
        headers,
        cache: 'no-store',
        signal,
        ...(typeof init?.body === 'string' ? { body: init.body } : {}),
      })
      if (!response.ok) throw refusalError(await readRefusal(response), context)
      return response
    }
  }
}

function isTemporary(status: number): boolean {
  return status === 408 || status === 429 || status >= 500
}
