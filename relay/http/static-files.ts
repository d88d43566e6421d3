/**
 * The built page from a folder. Files named by their content (`/assets/`) may be kept for ever, the rest is asked for
 * again each time. The folder is looked at on every request, because a newer build may replace it while we run.
 */
import { stat } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { extname, join, resolve, sep } from 'node:path'
import { gzipped, isCompressible } from './compressed.ts'
import { isNotModified, sendFile } from './send-file.ts'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.webmanifest': 'application/manifest+json',
  '.wasm': 'application/wasm',
  '.txt': 'text/plain; charset=utf-8',
}

/** Answers and returns true, or returns false when there is no such file. */
export async function serveStatic(
  req: IncomingMessage,
  res: ServerResponse,
  webRoot: string,
  pathname: string,
): Promise<boolean> {
  const path = filePath(webRoot, pathname)
  if (path === null) return false
  const info = await stat(path).catch(() => null)
  if (info === null || !info.isFile()) return false
  const isImmutable = pathname.startsWith('/assets/')
  res.setHeader('cache-control', isImmutable ? 'public, max-age=31536000, immutable' : 'no-cache')
  // A page is small and whole: a range of it is never needed.
  delete req.headers.range
  const extension = extname(path)
  const type = TYPES[extension] ?? 'application/octet-stream'
  const version = `${info.size.toString(36)}-${Math.round(info.mtimeMs).toString(36)}`
  res.setHeader('vary', 'accept-encoding')
  if (isCompressible(req, extension, info.size)) return await sendGzip(req, res, { path, type, version })
  const result = await sendFile(req, res, {
    path,
    type,
    etag: `"${version}"`,
    size: info.size,
    mtimeMs: info.mtimeMs,
  })
  return result === 'sent'
}

async function sendGzip(
  req: IncomingMessage,
  res: ServerResponse,
  file: { path: string; type: string; version: string },
): Promise<boolean> {
  const bytes = await gzipped(file.path, file.version).catch(() => null)
  // The file went away under us: there is none.
  if (bytes === null) return false
  const etag = `"${file.version}-gz"`
  res.setHeader('etag', etag)
  if (isNotModified(req, etag)) {
    res.statusCode = 304
    res.end()
    return true
  }
  res.setHeader('content-type', file.type)
  res.setHeader('content-encoding', 'gzip')
  res.setHeader('content-length', bytes.length)
  res.end(bytes)
  return true
}

function filePath(webRoot: string, pathname: string): string | null {
  let decoded: string
  try {
    decoded = decodeURIComponent(pathname)
  } catch {
    return null
  }
  if (decoded.includes('\0') || decoded.split(/[/\\]/u).some((part) => part.startsWith('.'))) return null
  const root = resolve(webRoot)
  const path = resolve(join(root, decoded === '/' ? 'index.html' : decoded))
  return path.startsWith(root + sep) ? path : null
}
