/**
 * Streams one file with `Range`, `ETag` and conditional requests. The file is opened before the head is written, so a
 * file that has gone is a 404 and never a crash or a cut answer; a file that changed since its hash was taken is refused.
 */
import { open } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { parseRange } from './range.ts'

export interface FileAnswer {
  path: string
  type: string
  /** With quotes. */
  etag: string
  /** What the file must still be like. */
  size: number
  mtimeMs: number
}

/** sent: an answer was given. changed: nothing was written yet, the file is not what `answer` says. */
export type SendResult = 'sent' | 'changed'

export async function sendFile(req: IncomingMessage, res: ServerResponse, answer: FileAnswer): Promise<SendResult> {
  const handle = await open(answer.path, 'r').catch(() => null)
  if (handle === null) return 'changed'
  try {
    const now = await handle.stat()
    if (!now.isFile() || now.size !== answer.size || now.mtimeMs !== answer.mtimeMs) return 'changed'
    res.setHeader('etag', answer.etag)
    res.setHeader('accept-ranges', 'bytes')
    if (isNotModified(req, answer.etag)) {
      res.statusCode = 304
      res.end()
      return 'sent'
    }
    const range = parseRange(isRangeAsked(req, answer.etag) ? req.headers.range : undefined, answer.size)
    res.statusCode = range.status
    if (range.status === 416) {
      res.setHeader('content-range', `bytes */${answer.size}`)
      res.end()
      return 'sent'
    }
    const begin = range.status === 206 ? range.begin : 0
    const end = range.status === 206 ? range.end : answer.size
    if (range.status === 206) res.setHeader('content-range', `bytes ${begin}-${end - 1}/${answer.size}`)
    res.setHeader('content-type', answer.type)
    res.setHeader('content-length', end - begin)
    if (req.method === 'HEAD' || end === begin) {
      res.end()
      return 'sent'
    }
    const stream = handle.createReadStream({ start: begin, end: end - 1, highWaterMark: 256 * 1024, autoClose: false })
    try {
      await pipeline(stream, res)
    } catch {
      // The reader went away, or the disk failed in the middle: the answer is cut, which its length shows.
      res.destroy()
    }
    return 'sent'
  } finally {
    await handle.close()
  }
}

export function isNotModified(req: IncomingMessage, etag: string): boolean {
  const header = req.headers['if-none-match']
  if (header === undefined) return false
  return header.split(',').some((part) => part.trim().replace(/^W\//u, '') === etag || part.trim() === '*')
}

/** Only GET has ranges. `If-Range`: a range of another version of the file would be glued to the wrong bytes. */
function isRangeAsked(req: IncomingMessage, etag: string): boolean {
  const header = req.headers['if-range']
  return req.method === 'GET' && (header === undefined || header === etag)
}
