/**
 * A Node server that acts as the Hugging Face hub does, over local folders: API, `resolve` with redirects (small files to a
 * path of its own, large ones to signed URLs on a storage host, which is a second port and so another origin), headers that
 * a page may see only where the real one exposes them, plain and Xet answers, ranges. Faults are switched on per test.
 * Records every request; a token at any origin but the hub's is a leak.
 */
import { createReadStream } from 'node:fs'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { StandInFile } from './hub-stand-in-repos.ts'
import { fileIn, listFolder, sha256Of, StandInRepo } from './hub-stand-in-repos.ts'

export interface HubStandInOptions {
  /** Repository name → folder. */
  models: Record<string, string>
  /** How large files are stored: 'xet' adds its headers and answers its JSON to those who ask for it. */
  storage?: 'plain' | 'xet'
  /** Repositories that ask for a licence to be accepted; only these tokens have. */
  gated?: Record<string, { tokens: string[] }>
  /** Repositories that exist only for these tokens. */
  private?: Record<string, { tokens: string[] }>
  /** Tokens that are known at all; any is by default. */
  knownTokens?: string[]
  /** Listing entries a page; 1000 as the real one. */
  pageSize?: number
  /** Port of the hub; a free one by default. */
  port?: number
}

export type Fault =
  | { kind: 'status'; status: number; headers?: Record<string, string>; json?: unknown; text?: string }
  /** Ends the connection after so many bytes of the body; with `arriveMs` those have arrived before, as on a slow line. */
  | { kind: 'cut'; afterBytes: number; arriveMs?: number }
  /** 200 and the whole file in place of 206. */
  | { kind: 'whole' }
  /** Answers with another range than was asked for, as if it were that one's neighbour. */
  | { kind: 'shifted' }
  /** 206 without `Content-Range`. */
  | { kind: 'no-content-range' }
  /** Keeps quiet after the headers. */
  | { kind: 'stall'; afterBytes: number }
  /** Closes the connection without an answer. */
  | { kind: 'drop' }
  /** Bytes a second. */
  | { kind: 'slow'; bytesPerSecond: number }
  /** Changes a header of the answer. */
  | { kind: 'header'; name: string; value: string }

export interface FaultRule {
  /** The hub's API, its `resolve` URLs (small files' content included), or the storage host. */
  at: 'api' | 'resolve' | 'storage'
  path?: RegExp
  fault: Fault
  /** How often it strikes; for ever by default. */
  times?: number
}

export interface RecordedRequest {
  origin: 'hub' | 'storage' | 'refresh'
  method: string
  path: string
  /** The file asked for, where one is. */
  file: string | null
  range: string | null
  authorization: string | null
  status: number
  /** Bytes of the body that were written. */
  bytes: number
}

export interface HubStandIn {
  /** Origin of the hub. */
  url: string
  storageUrl: string
  /** Where a server-named Xet refresh URL points: an origin that must never see a token. */
  refreshUrl: string
  requests: RecordedRequest[]
  faults: FaultRule[]
  repo(name: string): StandInRepo
  /** Requests that carried a token to another origin than the hub's. */
  tokenLeaks(): RecordedRequest[]
  /** Body bytes served of files whose name matches. */
  bytesOf(file: RegExp): number
  close(): Promise<void>
}

interface TreeEntry {
  type: 'file'
  path: string
  size: number
  oid: string
  lfs?: { oid: string; size: number; pointerSize: number }
  xetHash?: string
}

/** What huggingface.co exposes to pages. */
const EXPOSED =
  'X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,Accept-Ranges,Content-Range,X-Linked-Size,X-Linked-ETag,X-Xet-Hash'

/** Where the bytes written to a response are counted. */
const recordOf = new WeakMap<ServerResponse, RecordedRequest>()

export async function startHubStandIn(options: HubStandInOptions): Promise<HubStandIn> {
  const standIn = new StandIn(options)
  await standIn.start()
  return standIn
}

class StandIn implements HubStandIn {
  url = ''
  storageUrl = ''
  refreshUrl = ''
  readonly requests: RecordedRequest[] = []
  readonly faults: FaultRule[] = []
  readonly #options: HubStandInOptions
  readonly #repos: Map<string, StandInRepo>
  readonly #servers: Server[] = []

  constructor(options: HubStandInOptions) {
    this.#options = options
    this.#repos = new Map(Object.entries(options.models).map(([name, folder]) => [name, new StandInRepo(folder)]))
  }

  async start(): Promise<void> {
    this.url = await this.#listen(
      'hub',
      (request, response, record) => this.#hub(request, response, record),
      this.#options.port,
    )
    this.storageUrl = await this.#listen('storage', (request, response, record) =>
      this.#storage(request, response, record),
    )
    this.refreshUrl = await this.#listen('refresh', async (_request, response) => {
      send(response, 200, {}, JSON.stringify({ accessToken: 'x', exp: 0, casUrl: this.refreshUrl }))
    })
  }

  repo(name: string): StandInRepo {
    const repo = this.#repos.get(name)
    if (repo === undefined) throw new Error(`the stand-in has no ${name}`)
    return repo
  }

  tokenLeaks(): RecordedRequest[] {
    return this.requests.filter((request) => request.origin !== 'hub' && request.authorization !== null)
  }

  bytesOf(file: RegExp): number {
    return this.requests
      .filter((request) => request.file !== null && file.test(request.file))
      .reduce((sum, request) => sum + request.bytes, 0)
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#servers.map(async (server) => {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      }),
    )
  }

  async #listen(
    origin: RecordedRequest['origin'],
    handle: (request: IncomingMessage, response: ServerResponse, record: RecordedRequest) => Promise<void>,
    port = 0,
  ): Promise<string> {
    const server = createServer((request, response) => {
      const record: RecordedRequest = {
        origin,
        method: request.method ?? 'GET',
        path: request.url ?? '/',
        file: null,
        range: request.headers.range ?? null,
        authorization: request.headers.authorization ?? null,
        status: 0,
        bytes: 0,
      }
      this.requests.push(record)
      recordOf.set(response, record)
      response.on('close', () => {
        record.status = response.statusCode
      })
      handle(request, response, record).catch((error: unknown) => {
        response.destroy(error instanceof Error ? error : new Error(String(error)))
      })
    })
    this.#servers.push(server)
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', resolve)
    })
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  // --- the hub

  async #hub(request: IncomingMessage, response: ServerResponse, record: RecordedRequest): Promise<void> {
    response.setHeader('Access-Control-Allow-Origin', '*')
    response.setHeader('Access-Control-Expose-Headers', EXPOSED)
    response.setHeader('Vary', 'Origin')
    if (request.method === 'OPTIONS') {
      return send(response, 204, {
        'Access-Control-Allow-Methods': 'GET, HEAD, POST, OPTIONS',
        'Access-Control-Allow-Headers': request.headers['access-control-request-headers'] ?? '',
      })
    }
    const url = new URL(request.url ?? '/', this.url)
    const path = decodeURIComponent(url.pathname)
    const api =
      /^\/api\/models\/(.+?)\/(revision|tree|paths-info)\/(.+)$/.exec(path) ?? /^\/api\/models\/(.+)$/.exec(path)
    const cached = /^\/api\/resolve-cache\/models\/(.+)\/([0-9a-f]{40})\/([^/]+)$/.exec(path)
    const file = cached ?? /^\/(.+)\/resolve\/([^/]+)\/(.+)$/.exec(path)
    const matched = cached ?? api ?? file
    if (matched === null) return refuse(response, 404, null, 'Sorry, we could not find the page you are looking for.')
    const at = api !== null && cached === null ? 'api' : 'resolve'
    if (at === 'resolve') record.file = file?.[3] ?? null

    const fault = this.#fault(at, path)
    if (fault?.kind === 'drop') return void request.socket.destroy()
    if (fault?.kind === 'status') return sendFault(response, fault)
    if (fault?.kind === 'header') response.setHeader(fault.name, fault.value)
    const [, name = '', second = 'revision', third = 'main'] = matched
    const repo = this.#admit(request, response, name)
    if (repo === null) return
    if (at === 'api') return await this.#api(request, response, repo, { name, call: second, rest: third, url })
    const resolved = repo.resolve(second)
    if (resolved === null) return refuse(response, 404, 'RevisionNotFound', `Invalid rev id: ${second}`)
    const found = fileIn(resolved.folder, third)
    response.setHeader('X-Repo-Commit', resolved.commit)
    if (found === null) return refuse(response, 404, 'EntryNotFound', 'Entry not found')
    if (found.large) return await this.#redirectToStorage(request, response, name, resolved.commit, found)
    const etag = `"${resolved.commit.slice(0, 8)}-${found.size}"`
    if (cached === null) {
      const location = `/api/resolve-cache/models/${name}/${resolved.commit}/${encodeURIComponent(found.path)}`
      return send(response, 307, { Location: location, ETag: etag }, `Temporary Redirect. Redirecting to ${location}`)
    }
    await sendFile(request, response, found, { ETag: etag, 'Content-Type': 'text/plain; charset=utf-8' }, fault)
  }

  /** Checks token and gate as the real hub does; answers and returns null when the repository may not be seen. */
  #admit(request: IncomingMessage, response: ServerResponse, name: string): StandInRepo | null {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? null
    const { knownTokens, gated, private: hidden } = this.#options
    if (token !== null && knownTokens !== undefined && !knownTokens.includes(token)) {
      refuse(response, 401, null, 'Invalid credentials in Authorization header')
      return null
    }
    const repo = this.#repos.get(name)
    const visible = hidden?.[name]?.tokens.includes(token ?? '') ?? true
    if (repo === undefined || !visible) {
      // Whoever is not signed in learns nothing of what exists.
      if (token === null) refuse(response, 401, 'RepoNotFound', 'Invalid username or password.')
      else refuse(response, 404, 'RepoNotFound', 'Repository not found')
      return null
    }
    const gate = gated?.[name]
    if (gate === undefined || gate.tokens.includes(token ?? '')) return repo
    // The API of a gated model is public; its files are not.
    if ((request.url ?? '').startsWith('/api/models/')) return repo
    const page = `${this.url}/${name}`
    if (token === null) {
      const text = `Access to model ${name} is restricted. You must have access to it and be authenticated to access it. Please log in.`
      refuse(response, 401, 'GatedRepo', text)
    } else {
      const text = `Access to model ${name} is restricted and you are not in the authorized list. Visit ${page} to ask for access.`
      refuse(response, 403, 'GatedRepo', text)
    }
    return null
  }

  async #api(
    request: IncomingMessage,
    response: ServerResponse,
    repo: StandInRepo,
    call: { name: string; call: string; rest: string; url: URL },
  ): Promise<void> {
    const revision = call.rest.split('/')[0] ?? 'main'
    const resolved = repo.resolve(revision)
    if (resolved === null) return refuse(response, 404, 'RevisionNotFound', `Invalid rev id: ${revision}`)
    const json = { 'Content-Type': 'application/json; charset=utf-8' }
    if (call.call === 'revision') {
      const siblings = listFolder(resolved.folder).map((file) => ({ rfilename: file.path }))
      const gated = this.#options.gated?.[call.name] === undefined ? false : 'manual'
      const info = {
        _id: '0',
        id: call.name,
        modelId: call.name,
        sha: resolved.commit,
        private: false,
        gated,
        siblings,
      }
      return send(response, 200, json, JSON.stringify({ ...info, lastModified: new Date(0).toISOString() }))
    }
    const entries = await Promise.all(listFolder(resolved.folder).map((file) => this.#entry(file)))
    if (call.call === 'paths-info') {
      const asked = (JSON.parse(await readBody(request)) as { paths?: string[] }).paths ?? []
      return send(response, 200, json, JSON.stringify(entries.filter((entry) => asked.includes(entry.path))))
    }
    const pageSize = this.#options.pageSize ?? 1000
    const from = Number(call.url.searchParams.get('cursor') ?? 0)
    const next = new URL(call.url)
    next.searchParams.set('cursor', String(from + pageSize))
    const link: Record<string, string> = from + pageSize < entries.length ? { Link: `<${next.href}>; rel="next"` } : {}
    send(response, 200, { ...json, ...link }, JSON.stringify(entries.slice(from, from + pageSize)))
  }

  async #entry(file: StandInFile): Promise<TreeEntry> {
    const hash = await sha256Of(file)
    const entry: TreeEntry = { type: 'file', path: file.path, size: file.size, oid: hash.slice(0, 40) }
    if (!file.large) return entry
    const xet = this.#options.storage === 'xet' ? { xetHash: hash } : {}
    return { ...entry, ...xet, lfs: { oid: hash, size: file.size, pointerSize: 135 } }
  }

  async #redirectToStorage(
    request: IncomingMessage,
    response: ServerResponse,
    name: string,
    commit: string,
    file: StandInFile,
  ): Promise<void> {
    const hash = await sha256Of(file)
    const headers: Record<string, string> = {
      'X-Linked-Size': String(file.size),
      'X-Linked-ETag': `"${hash}"`,
      'Accept-Ranges': 'bytes',
    }
    if (this.#options.storage === 'xet') {
      const auth = `${this.refreshUrl}/api/models/${name}/xet-read-token/${commit}`
      const cas = `${this.refreshUrl}/v1/reconstructions/${hash}`
      headers['X-Xet-Hash'] = hash
      headers.Link = `<${auth}>; rel="xet-auth", <${cas}>; rel="xet-reconstruction-info"`
      if ((request.headers.accept ?? '').includes('application/vnd.xet-fileinfo+json')) {
        const type = { 'Content-Type': 'application/vnd.xet-fileinfo+json' }
        return send(
          response,
          200,
          { ...headers, ...type },
          JSON.stringify({ hash, refreshUrl: auth, reconstructionUrl: cas }),
        )
      }
    }
    const location = `${this.storageUrl}/${name}/${commit}/${encodeURIComponent(file.path)}?Signature=${hash.slice(0, 16)}`
    send(response, 302, { ...headers, Location: location }, `Found. Redirecting to ${location}`)
  }

  // --- the storage host

  async #storage(request: IncomingMessage, response: ServerResponse, record: RecordedRequest): Promise<void> {
    // Signed for GET alone: a preflight is refused, as the real storage hosts do.
    if (request.method === 'OPTIONS') return send(response, 403, {})
    response.setHeader('Access-Control-Allow-Origin', '*')
    response.setHeader('Access-Control-Expose-Headers', 'ETag,Accept-Ranges,Content-Range,Content-Length')
    const url = new URL(request.url ?? '/', this.storageUrl)
    const path = decodeURIComponent(url.pathname)
    const [, name = '', commit = '', filePath = ''] = /^\/(.+)\/([0-9a-f]{40})\/([^/]+)$/.exec(path) ?? []
    record.file = filePath
    const fault = this.#fault('storage', path)
    if (fault?.kind === 'drop') return void request.socket.destroy()
    if (fault?.kind === 'status') return sendFault(response, fault)
    const folder = this.#repos.get(name)?.resolve(commit)?.folder
    const file = folder === undefined ? null : fileIn(folder, filePath)
    if (file === null || url.searchParams.get('Signature') === null)
      return send(response, 403, {}, '<Error>AccessDenied</Error>')
    // Storage takes a signed URL or a header, never both.
    if (request.headers.authorization !== undefined) {
      return send(response, 400, {}, '<Error>Only one auth mechanism allowed</Error>')
    }
    const headers = { ETag: `"${await sha256Of(file)}"`, 'Content-Type': 'application/octet-stream' }
    await sendFile(request, response, file, headers, fault)
  }

  #fault(at: FaultRule['at'], path: string): Fault | null {
    const index = this.faults.findIndex((rule) => rule.at === at && (rule.path?.test(path) ?? true))
    const rule = this.faults[index]
    if (rule === undefined) return null
    if (rule.times !== undefined) {
      rule.times -= 1
      if (rule.times <= 0) this.faults.splice(index, 1)
    }
    return rule.fault
  }
}

async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  file: StandInFile,
  headers: Record<string, string>,
  fault: Fault | null,
): Promise<void> {
  const asked = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
  let [begin, end, status] = [0, file.size, 200]
  if (asked !== null && fault?.kind !== 'whole') {
    begin = Number(asked[1])
    end = Math.min(file.size, asked[2] === '' ? file.size : Number(asked[2]) + 1)
    status = 206
    if (begin >= end) return send(response, 416, { 'Content-Range': `bytes */${file.size}` })
  }
  if (fault?.kind === 'shifted') [begin, end] = [Math.max(0, begin - 1), end - 1]
  const all: Record<string, string> = { ...headers, 'Accept-Ranges': 'bytes', 'Content-Length': String(end - begin) }
  if (status === 206 && fault?.kind !== 'no-content-range')
    all['Content-Range'] = `bytes ${begin}-${end - 1}/${file.size}`
  if (fault?.kind === 'header') all[fault.name] = fault.value
  response.writeHead(status, all)
  if (request.method === 'HEAD') return void response.end()
  const limit = fault?.kind === 'cut' || fault?.kind === 'stall' ? begin + fault.afterBytes : end
  if (limit > begin) {
    const highWaterMark = fault?.kind === 'slow' ? Math.max(1, Math.floor(fault.bytesPerSecond / 20)) : 64 * 1024
    for await (const chunk of createReadStream(file.absolute, {
      start: begin,
      end: Math.min(limit, end) - 1,
      highWaterMark,
    })) {
      if (response.destroyed) return
      await write(response, chunk as Uint8Array)
      if (fault?.kind === 'slow') await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  if (fault?.kind === 'stall') return
  if (fault?.kind === 'cut' && limit < end) {
    if (fault.arriveMs !== undefined) await new Promise((resolve) => setTimeout(resolve, fault.arriveMs))
    return void response.destroy()
  }
  response.end()
}

async function write(response: ServerResponse, chunk: Uint8Array): Promise<void> {
  await new Promise<void>((resolve) => {
    count(response, chunk.length)
    response.write(chunk, () => resolve())
  })
}

function send(response: ServerResponse, status: number, headers: Record<string, string>, body = ''): void {
  const length = Buffer.byteLength(body)
  count(response, length)
  response.writeHead(status, { ...headers, 'Content-Length': length })
  response.end(body)
}

function count(response: ServerResponse, bytes: number): void {
  const record = recordOf.get(response)
  if (record !== undefined) record.bytes += bytes
}

function refuse(response: ServerResponse, status: number, code: string | null, message: string): void {
  const headers: Record<string, string> = {
    'Content-Type': 'application/json; charset=utf-8',
    'X-Error-Message': message,
  }
  if (code !== null) headers['X-Error-Code'] = code
  send(response, status, headers, JSON.stringify({ error: message }))
}

function sendFault(response: ServerResponse, fault: Fault & { kind: 'status' }): void {
  const json = fault.json === undefined ? null : JSON.stringify(fault.json)
  const type: Record<string, string> = json === null ? {} : { 'Content-Type': 'application/json; charset=utf-8' }
  send(response, fault.status, { ...type, ...fault.headers }, json ?? fault.text ?? '')
}

async function readBody(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text
}
