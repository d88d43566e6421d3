/**
 * Reads `[begin, end)` of a file as a stream that delivers exactly those bytes or fails. Rule 13: an answer must be 206 with
 * the very range and length that were asked for; 200 is never cut to size. A connection that breaks or stalls is taken up
 * again at the byte where it broke.
 */
import { assert } from '../swarm/errors.ts'
import type { HubRequestContext } from './errors.ts'
import { badRange, changedError, cutError, readRefusal, refusalError } from './errors.ts'
import type { HubHttp } from './http.ts'
import { backOffMs, cancelledError, waitToRetry } from './retry.ts'

export interface RangeRequest {
  url: string
  /** Names the file and the commit it is pinned to. */
  context: HubRequestContext & { file: string }
  begin: number
  end: number
  /** From the hub's listing. */
  fileSize: number
  /** Shared by all ranges of a source: tag of each file as first seen, by origin that served it. */
  etags: Map<string, string>
}

/** A connection that breaks before it has brought this much counts towards giving up: a byte at a time is no download. */
const MIN_PROGRESS_BYTES = 64 * 1024

/** Bytes are fetched as they are asked for; cancelling the stream closes the connection. */
export function readRange(http: HubHttp, request: RangeRequest, signal?: AbortSignal): ReadableStream<Uint8Array> {
  const { begin, end, fileSize } = request
  assert(
    Number.isInteger(begin) && begin >= 0 && begin <= end && end <= fileSize,
    `range ${begin}-${end} of ${fileSize}`,
  )
  const reader = new RangeReader(http, request, signal)
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const bytes = await reader.read()
        if (bytes === null) controller.close()
        else controller.enqueue(bytes)
      },
      cancel: () => reader.close(),
    },
    { highWaterMark: 0 },
  )
}

class RangeReader {
  readonly #http: HubHttp
  readonly #request: RangeRequest
  readonly #signal: AbortSignal | undefined
  #at: number
  /** Cuts since the last progress worth the name. */
  #cuts = 0
  #progress = 0
  #connection: Connection | null = null

  constructor(http: HubHttp, request: RangeRequest, signal: AbortSignal | undefined) {
    this.#http = http
    this.#request = request
    this.#signal = signal
    this.#at = request.begin
  }

  /** The next bytes, null after the last. */
  async read(): Promise<Uint8Array | null> {
    while (this.#at < this.#request.end) {
      this.#connection ??= await this.#open()
      let bytes: Uint8Array | null
      try {
        bytes = await this.#connection.read()
        if (bytes === null) throw new Error('the connection ended early')
      } catch (error) {
        await this.#recover(error)
        continue
      }
      if (bytes.length === 0) continue
      this.#http.bytesFetched += bytes.length
      if (bytes.length > this.#request.end - this.#at) {
        await this.close()
        throw badRange(this.#request.context, 'sent more bytes than it announced')
      }
      this.#at += bytes.length
      this.#progress += bytes.length
      if (this.#progress >= MIN_PROGRESS_BYTES) this.#cuts = 0
      return bytes
    }
    await this.close()
    return null
  }

  async close(): Promise<void> {
    const connection = this.#connection
    this.#connection = null
    await connection?.close()
  }

  async #recover(error: unknown): Promise<void> {
    await this.close()
    if (this.#signal?.aborted === true) throw cancelledError(this.#signal)
    const { context, begin, end } = this.#request
    const { retry } = this.#http
    this.#cuts += 1
    this.#progress = 0
    if (this.#cuts >= retry.tries) throw cutError(context, this.#at - begin, end - begin, error)
    const notice = { reason: 'the connection broke', waitMs: backOffMs(retry, this.#cuts), attempt: this.#cuts }
    await waitToRetry(retry, notice, this.#signal)
  }

  async #open(): Promise<Connection> {
    const { url, context, end } = this.#request
    const aborter = new AbortController()
    const abort = (): void => aborter.abort(this.#signal?.reason)
    if (this.#signal?.aborted === true) throw cancelledError(this.#signal)
    this.#signal?.addEventListener('abort', abort, { once: true })
    const release = (): void => this.#signal?.removeEventListener('abort', abort)
    try {
      const response = await this.#http.send(url, context, {
        // One simple range and nothing else: pages may send it without a preflight, which storage hosts refuse.
        headers: { Range: `bytes=${this.#at}-${end - 1}` },
        cache: 'no-store',
        signal: aborter.signal,
      })
      try {
        await this.#check(response)
      } catch (error) {
        aborter.abort()
        throw error
      }
      assert(response.body !== null, 'a 206 has a body')
      return new Connection(response.body.getReader(), aborter, release, this.#http.retry.stallMs)
    } catch (error) {
      release()
      throw error
    }
  }

  async #check(response: Response): Promise<void> {
    const { context, end, fileSize } = this.#request
    if (response.status === 200) {
      throw badRange(context, 'answered 200 with something else than that part (rule 13)')
    }
    if (!response.ok) throw refusalError(await readRefusal(response), context)
    if (response.status !== 206) throw badRange(context, `answered ${response.status} in place of 206 (rule 13)`)

    const header = response.headers.get('Content-Range')
    const match = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/.exec(header?.trim() ?? '')
    if (match === null) throw badRange(context, `answered without saying which part it sent (rule 13)`)
    const [, first, last, total] = match
    if (Number(first) !== this.#at || Number(last) !== end - 1) {
      throw badRange(context, `sent bytes ${first}-${last} in place of ${this.#at}-${end - 1} (rule 13)`)
    }
    if (total !== '*' && Number(total) !== fileSize) {
      throw changedError(context, `it has ${total} bytes, the listing said ${fileSize}`)
    }
    const encoding = response.headers.get('Content-Encoding')
    if (encoding !== null && encoding !== 'identity')
      throw badRange(context, `sent it in ${encoding} encoding (rule 13)`)
    const length = response.headers.get('Content-Length')
    if (length !== null && Number(length) !== end - this.#at) {
      throw badRange(context, `announced ${length} bytes in place of ${end - this.#at} (rule 13)`)
    }
    this.#checkVersion(response)
  }

  /** A pinned commit never changes; a hub or mirror that serves something else under it is found out here. */
  #checkVersion(response: Response): void {
    const { context, etags } = this.#request
    const commit = response.headers.get('X-Repo-Commit')
    if (commit !== null && commit !== context.revision) {
      throw changedError(context, `it answered for commit ${commit.slice(0, 40)}`)
    }
    const etag = response.headers.get('ETag')
    if (etag === null || etag.startsWith('W/')) return
    // Tags of two hosts (hub, storage) need not be alike.
    const key = `${response.url === '' ? '' : new URL(response.url).origin} ${context.file}`
    const known = etags.get(key)
    if (known === undefined) etags.set(key, etag)
    else if (known !== etag) throw changedError(context, 'its content tag is another one than before')
  }
}

/** One response body with a limit on silence. */
class Connection {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #aborter: AbortController
  readonly #release: () => void
  readonly #stallMs: number

  constructor(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    aborter: AbortController,
    release: () => void,
    stallMs: number,
  ) {
    this.#reader = reader
    this.#aborter = aborter
    this.#release = release
    this.#stallMs = stallMs
  }

  async read(): Promise<Uint8Array | null> {
    const timer = setTimeout(() => this.#aborter.abort(new Error('no byte came')), this.#stallMs)
    try {
      const { done, value } = await this.#reader.read()
      return done ? null : value
    } finally {
      clearTimeout(timer)
    }
  }

  async close(): Promise<void> {
    this.#release()
    try {
      await this.#reader.cancel()
    } catch {
      // Cancelling a stream that has already failed rejects with that failure, which its reader has been given.
    }
    this.#aborter.abort()
  }
}
