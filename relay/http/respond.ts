/** Small answers of the relay's HTTP side: text, JSON, empty. Everything else (files) is streamed by `send-file.ts`. */
import type { IncomingMessage, ServerResponse } from 'node:http'

export function sendText(res: ServerResponse, status: number, text: string): void {
  sendBytes(res, status, 'text/plain; charset=utf-8', `${text}\n`)
}

export function sendJson(res: ServerResponse, status: number, value: unknown): void {
  sendBytes(res, status, 'application/json; charset=utf-8', JSON.stringify(value))
}

export function sendBytes(res: ServerResponse, status: number, type: string, text: string): void {
  const bytes = Buffer.from(text)
  res.statusCode = status
  res.setHeader('content-type', type)
  res.setHeader('content-length', bytes.length)
  // For HEAD Node itself leaves the body out.
  res.end(bytes)
}

/** Answers 405 and returns false when the method is not among `methods`. */
export function hasMethod(req: IncomingMessage, res: ServerResponse, methods: readonly string[]): boolean {
  if (methods.includes(req.method ?? '')) return true
  res.setHeader('allow', methods.join(', '))
  sendText(res, 405, `This address answers ${methods.join(', ')} only.`)
  return false
}

/** The whole body as text, null when it is longer than `maxBytes`. */
export async function readBody(req: IncomingMessage, maxBytes: number): Promise<string | null> {
  const chunks: Buffer[] = []
  let length = 0
  // Not destroyed when we stop reading: its connection still carries the answer.
  for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > maxBytes) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
