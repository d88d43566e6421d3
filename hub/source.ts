/**
 * A model on a Hugging Face hub or a mirror with the same URLs, pinned to one commit, the same in tabs and in Node. Listings
 * and the commit come from `@huggingface/hub`; bytes are read by our own range reader from the plain `resolve` URLs (a
 * page cannot see a redirect's headers, and a Xet-stored file is served there too), because the library takes a 200 for a
 * slice and lets the server name the address that the token is sent to.
 */
import { listFiles, modelInfo } from '@huggingface/hub'
import { SwarmError } from '../swarm/errors.ts'
import { MAX_JSON_FILE_BYTES } from '../swarm/limits.ts'
import type { HubRequestContext } from './errors.ts'
import { changedError, hostOf } from './errors.ts'
import { HubHttp } from './http.ts'
import { readRange } from './range.ts'
import { DEFAULT_RETRY, retrySentence } from './retry.ts'
import type { RetryPolicy } from './retry.ts'
import { parseJsonFile, readText } from './text.ts'
import { fileUrl, normalizeHubUrl, originOf, requireRepo, requireRevision } from './urls.ts'

export interface OpenModelOptions {
  /** `org/name` or `name`. */
  repo: string
  /** Branch, tag or commit; `main` by default. */
  revision?: string
  /** Base of the hub's URL layout: `https://huggingface.co`, a mirror's `http://host:port/hub`, in a page also `/hub`. */
  hubUrl: string
  token?: string
  /** The hub the token belongs to; by default `hubUrl`. With another origin than `hubUrl`'s the token is not sent at all. */
  tokenHubUrl?: string
  fetch?: typeof fetch
  /** Cancels the opening; reading has signals of its own. */
  signal?: AbortSignal
  retry?: Partial<RetryPolicy>
  /** Told in one sentence before each wait for a hub that failed or asked for a pause. */
  onWait?: (sentence: string) => void
}

export interface ModelFile {
  path: string
  size: number
  /** sha-256 of the content where the hub keeps it (large files), else the git object id; informative. */
  hash?: string
}

export interface ModelSource {
  readonly repo: string
  /** The commit that everything is read from. */
  readonly revision: string
  readonly hubUrl: string
  /** Bytes of bodies received so far. */
  readonly bytesFetched: number
  /** Parsed JSON of a file of at most MAX_JSON_FILE_BYTES; null when the model has no such file. @throws SwarmError BAD_CONFIG, HUB_* */
  json(file: string, signal?: AbortSignal): Promise<unknown>
  /** Text of a file; null when the model has no such file. @throws SwarmError BAD_CONFIG (too long, not UTF-8), HUB_* */
  text(file: string, maxBytes: number, signal?: AbortSignal): Promise<string | null>
  /** Files at the top of the repository. Asked once and kept. */
  files(signal?: AbortSignal): Promise<ModelFile[]>
  /** Exactly the bytes `[begin, end)`, or the stream fails. @throws SwarmError HUB_* */
  range(file: string, begin: number, end: number, signal?: AbortSignal): Promise<ReadableStream<Uint8Array>>
}

/**
 * Resolves the revision to a commit; everything read later comes from that commit.
 * @throws SwarmError HUB_UNREACHABLE, HUB_NOT_FOUND, HUB_GATED, HUB_UNAUTHORIZED, HUB_RATE_LIMITED, HUB_ERROR, UNKNOWN_MODEL, BAD_OPTION
 */
export async function openModel(options: OpenModelOptions): Promise<ModelSource> {
  const repo = requireRepo(options.repo)
  const revision = requireRevision(options.revision ?? 'main')
  const hubUrl = normalizeHubUrl(options.hubUrl)
  const { onWait } = options
  const retry: RetryPolicy = { ...DEFAULT_RETRY, ...options.retry }
  if (onWait !== undefined) retry.onRetry = (notice) => onWait(retrySentence(hostOf(hubUrl), notice, retry.tries))
  const http = new HubHttp({
    token: cleanToken(options.token),
    tokenOrigin: originOf(normalizeHubUrl(options.tokenHubUrl ?? hubUrl)),
    fetch: options.fetch ?? ((input, init) => fetch(input, init)),
    retry,
  })
  const context = { hubUrl, repo, revision, signedIn: http.sendsTokenTo(hubUrl), pinned: false }
  const commit = await resolveCommit(http, context, options.signal)
  return new HubModel(http, { ...context, revision: commit, pinned: true })
}

async function resolveCommit(
  http: HubHttp,
  context: HubRequestContext,
  signal: AbortSignal | undefined,
): Promise<string> {
  const info = await readApi(context, () =>
    modelInfo({
      name: context.repo,
      revision: context.revision,
      hubUrl: context.hubUrl,
      additionalFields: ['sha'],
      fetch: http.asFetch(context, signal),
    }),
  )
  if (typeof info.sha !== 'string' || !/^[0-9a-f]{40,64}$/.test(info.sha)) {
    throw notAHub(context, `it names no commit for ${context.repo}`)
  }
  return info.sha
}

class HubModel implements ModelSource {
  readonly repo: string
  readonly revision: string
  readonly hubUrl: string
  readonly #http: HubHttp
  readonly #context: HubRequestContext
  readonly #etags = new Map<string, string>()
  #files: Promise<ModelFile[]> | null = null

  constructor(http: HubHttp, context: HubRequestContext) {
    this.#http = http
    this.#context = context
    this.repo = context.repo
    this.revision = context.revision
    this.hubUrl = context.hubUrl
  }

  get bytesFetched(): number {
    return this.#http.bytesFetched
  }

  async json(file: string, signal?: AbortSignal): Promise<unknown> {
    const text = await this.text(file, MAX_JSON_FILE_BYTES, signal)
    return text === null ? null : parseJsonFile(file, text)
  }

  async text(file: string, maxBytes: number, signal?: AbortSignal): Promise<string | null> {
    const context = { ...this.#context, file }
    return await readText(this.#http, fileUrl(this.hubUrl, this.repo, this.revision, file), context, maxBytes, signal)
  }

  async files(signal?: AbortSignal): Promise<ModelFile[]> {
    const listing = (this.#files ??= this.#list(signal))
    try {
      return await listing
    } catch (error) {
      // Asked again next time: a failed listing says nothing about the model.
      if (this.#files === listing) this.#files = null
      // Somebody else's listing that was shared, and that they gave up.
      const isTheirs = error instanceof SwarmError && error.code === 'CANCELLED' && signal?.aborted !== true
      if (isTheirs) return await this.files(signal)
      throw error
    }
  }

  async range(file: string, begin: number, end: number, signal?: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const context = { ...this.#context, file }
    const entry = (await this.files(signal)).find((candidate) => candidate.path === file)
    if (entry === undefined) {
      throw new SwarmError(
        'HUB_NOT_FOUND',
        `${hostOf(this.hubUrl)} has no ${file} in ${this.repo} at ${this.revision}.`,
        {
          action: 'Choose another model or revision: this one is incomplete.',
          details: { repo: this.repo, file },
        },
      )
    }
    if (end > entry.size) throw changedError(context, `it has ${entry.size} bytes, byte ${end - 1} was expected`)
    const url = fileUrl(this.hubUrl, this.repo, this.revision, file)
    return readRange(this.#http, { url, context, begin, end, fileSize: entry.size, etags: this.#etags }, signal)
  }

  async #list(signal: AbortSignal | undefined): Promise<ModelFile[]> {
    const { repo, revision, hubUrl } = this
    const fetchListing = this.#http.asFetch(this.#context, signal)
    return await readApi(this.#context, async () => {
      const files: ModelFile[] = []
      for await (const entry of listFiles({
        repo: { type: 'model', name: repo },
        revision,
        hubUrl,
        fetch: fetchListing,
      })) {
        if (entry.type !== 'file') continue
        if (typeof entry.path !== 'string' || !Number.isSafeInteger(entry.size) || entry.size < 0) {
          throw notAHub(this.#context, 'its listing is not one of files and sizes')
        }
        const hash = entry.lfs?.oid ?? entry.oid
        files.push({ path: entry.path, size: entry.size, ...(hash === undefined ? {} : { hash }) })
        if (files.length > MAX_FILES) throw notAHub(this.#context, `it lists more than ${MAX_FILES} files`)
      }
      return files
    })
  }
}

/** The shard limit and room for everything beside them. */
const MAX_FILES = 20_000

/** Runs a call of the library; what it throws that is not ours (malformed JSON, a missing field) means: not a hub. */
async function readApi<T>(context: HubRequestContext, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if (error instanceof SwarmError) throw error
    throw notAHub(context, 'its answer is not the one that a hub gives', error)
  }
}

function notAHub(context: HubRequestContext, what: string, cause?: unknown): SwarmError {
  return new SwarmError('HUB_ERROR', `${hostOf(context.hubUrl)} does not answer as a Hugging Face hub does: ${what}.`, {
    action: 'Check the hub URL.',
    details: { host: hostOf(context.hubUrl), repo: context.repo },
    ...(cause === undefined ? {} : { cause }),
  })
}

/** Pasted tokens come with blanks and line ends, which a header may not hold. */
function cleanToken(token: string | undefined): string | undefined {
  const trimmed = token?.trim()
  if (trimmed === undefined || trimmed === '') return undefined
  if (/^[\u0021-\u007e]{1,500}$/.test(trimmed)) return trimmed
  throw new SwarmError('HUB_UNAUTHORIZED', 'the access token has characters in it that no token has', {
    action: 'Copy the token again from your settings on the hub.',
  })
}
