/**
 * A read-only mirror of local model folders under `/hub/`, in the URL layout and with the headers of a Hugging Face hub, so
 * that `@huggingface/hub` and this project's own reader work with it by `hubUrl`. Files are served at `main`, `HEAD` and
 * the folder's content commit. It reads nothing from the network and takes no uploads.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { extname } from 'node:path'
import type { ModelOffer } from '../../swarm/app-config.ts'
import { describeError } from '../../swarm/errors.ts'
import { hasMethod, readBody, sendJson } from '../http/respond.ts'
import { sendFile } from '../http/send-file.ts'
import type { RelayLog } from '../log.ts'
import { isLarge, modelInfo, pathsInfo, treeEntries } from './api.ts'
import { parseMirrorPath, type MirrorRequest } from './paths.ts'
import { Snapshots, type Snapshot, type SnapshotFile } from './snapshots.ts'

export interface MirrorOptions {
  modelsDirs: readonly string[]
  /** Where hashes are kept between runs; null: nowhere. */
  cacheFile: string | null
  log: RelayLog
}

/** Path of the mirror on the page's own origin. */
export const MIRROR_BASE = '/hub'
const EXPOSED = [
  'Accept-Ranges',
  'Content-Range',
  'ETag',
  'Link',
  'X-Error-Code',
  'X-Error-Message',
  'X-Linked-ETag',
  'X-Linked-Size',
  'X-Repo-Commit',
].join(', ')

export class Mirror {
  readonly #snapshots: Snapshots
  readonly #log: RelayLog

  constructor(options: MirrorOptions) {
    this.#snapshots = new Snapshots(options.modelsDirs, options.cacheFile, options.log)
    this.#log = options.log
  }

  offers(): Promise<ModelOffer[]> {
    return this.#snapshots.offers(MIRROR_BASE)
  }

  /** Hashes a model ahead of its first request; resolves when done, never rejects. */
  warm(repo: string): Promise<void> {
    return this.#snapshots.warm(repo)
  }

  /** Resolves when nothing is written any more. */
  stop(): Promise<void> {
    return this.#snapshots.stop()
  }

  /** `path` is the part after `/hub`, still encoded, without the query. */
  async handle(
    req: IncomingMessage,
    res: ServerResponse,
    path: string,
    query: URLSearchParams,
    maxBodyBytes: number,
  ): Promise<void> {
    res.setHeader('access-control-allow-origin', '*')
    res.setHeader('access-control-expose-headers', EXPOSED)
    res.setHeader('cross-origin-resource-policy', 'cross-origin')
    if (req.method === 'OPTIONS') {
      res.setHeader('access-control-allow-methods', 'GET, HEAD, POST, OPTIONS')
      res.setHeader('access-control-allow-headers', 'authorization, content-type, range, if-none-match, if-range')
      res.setHeader('access-control-max-age', '600')
      res.statusCode = 204
      res.end()
      return
    }
    const request = parseMirrorPath(path)
    if (request === null) return refuse(res, 404, 'RepoNotFound', 'There is no such address on this mirror.')
    if (!hasMethod(req, res, request.kind === 'paths-info' ? ['POST'] : ['GET', 'HEAD'])) return
    let snapshot: Snapshot | null
    try {
      snapshot = await this.#snapshots.snapshot(request.repo)
    } catch (error) {
      this.#log.error('model folder cannot be read', { model: request.repo, reason: describeError(error) })
      return refuse(
        res,
        500,
        'InternalError',
        `The folder of ${request.repo} cannot be read; the relay's log says why.`,
      )
    }
    if (snapshot === null) return refuse(res, 404, 'RepoNotFound', `Model ${request.repo} is not on this mirror.`)
    if (!isRevision(request.revision, snapshot)) {
      const text = `Revision ${request.revision} of ${request.repo} is not on this mirror; it holds ${snapshot.commit}.`
      return refuse(res, 404, 'RevisionNotFound', text)
    }
    res.setHeader('x-repo-commit', snapshot.commit)
    res.setHeader('cache-control', 'no-cache')
    switch (request.kind) {
      case 'info':
        return sendJson(res, 200, modelInfo(snapshot, query.get('blobs') === 'true'))
      case 'tree':
        return this.#sendTree(res, snapshot, request, query)
      case 'paths-info':
        return this.#sendPathsInfo(req, res, snapshot, maxBodyBytes)
      case 'resolve':
        return this.#sendFile(req, res, snapshot, request.path)
    }
  }

  #sendTree(res: ServerResponse, snapshot: Snapshot, request: MirrorRequest, query: URLSearchParams): void {
    const entries = treeEntries(snapshot, request.path, {
      recursive: query.get('recursive') === 'true',
      expand: query.get('expand') === 'true',
    })
    if (entries === null) return refuse(res, 404, 'EntryNotFound', `${request.path} is not in ${snapshot.repo}.`)
    sendJson(res, 200, entries)
  }

  async #sendPathsInfo(
    req: IncomingMessage,
    res: ServerResponse,
    snapshot: Snapshot,
    maxBodyBytes: number,
  ): Promise<void> {
    const body = await readBody(req, maxBodyBytes)
    if (body === null) return refuse(res, 413, 'BadRequest', `The body is longer than ${maxBodyBytes} bytes.`)
    const asked = parsePathsBody(body, String(req.headers['content-type'] ?? ''))
    if (asked === null) return refuse(res, 400, 'BadRequest', 'The body does not name a list of paths.')
    sendJson(res, 200, pathsInfo(snapshot, asked.paths, asked.expand))
  }

  async #sendFile(req: IncomingMessage, res: ServerResponse, snapshot: Snapshot, path: string): Promise<void> {
    const file = snapshot.files.find((candidate) => candidate.path === path)
    if (file === undefined) return refuse(res, 404, 'EntryNotFound', `${path} is not in ${snapshot.repo}.`)
    const etag = `"${isLarge(file) ? file.sha256 : file.gitBlob}"`
    if (isLarge(file)) {
      res.setHeader('x-linked-etag', etag)
      res.setHeader('x-linked-size', file.size)
    }
    const result = await sendFile(req, res, { ...file, path: file.absolute, type: typeOf(file), etag })
    if (result === 'sent') return
    this.#snapshots.forget(snapshot.repo)
    const text = `${path} has changed on disk since commit ${snapshot.commit}; ask for main again.`
    for (const name of ['x-linked-etag', 'x-linked-size']) res.removeHeader(name)
    refuse(res, 404, 'RevisionNotFound', text)
  }
}

function isRevision(revision: string, snapshot: Snapshot): boolean {
  return revision === 'main' || revision === 'HEAD' || revision === snapshot.commit
}

function typeOf(file: SnapshotFile): string {
  if (extname(file.path) === '.json') return 'application/json; charset=utf-8'
  return isLarge(file) ? 'application/octet-stream' : 'text/plain; charset=utf-8'
}

/** The hub takes JSON and forms. */
function parsePathsBody(body: string, type: string): { paths: string[]; expand: boolean } | null {
  if (type.includes('application/x-www-form-urlencoded')) {
    const form = new URLSearchParams(body)
    return { paths: form.getAll('paths'), expand: form.get('expand') === 'true' }
  }
  try {
    const value = JSON.parse(body) as { paths?: unknown; expand?: unknown } | null
    const paths = value?.paths
    if (!Array.isArray(paths) || !paths.every((path) => typeof path === 'string')) return null
    return { paths, expand: value?.expand === true }
  } catch {
    return null // Not JSON: the caller answers 400.
  }
}

function refuse(res: ServerResponse, status: number, code: string, text: string): void {
  res.setHeader('x-error-code', code)
  res.setHeader('x-error-message', text)
  sendJson(res, status, { error: text })
}
