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

const NOTHING_HERE = 'There is nothing at this address.'
/** No style and no script: it has to hold under any policy, and nobody stays on it. */
const NOTHING_HERE_PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Tabswarm</title>
<h1>Tabswarm</h1>
<p>${NOTHING_HERE} Check the link for a mistake, or <a href="/">go to the page</a>.</p>
<p lang="ko">이 주소에는 아무것도 없습니다. 링크가 맞는지 확인하거나 <a href="/">첫 페이지로 가세요</a>.</p>
</html>
`

/** 404: a person who followed a mistaken link gets a page that leads on, a program one line. */
export function sendNothingHere(req: IncomingMessage, res: ServerResponse): void {
  const isPerson = (req.headers.accept ?? '').includes('text/html')
  if (isPerson) sendBytes(res, 404, 'text/html; charset=utf-8', NOTHING_HERE_PAGE)
  else sendText(res, 404, NOTHING_HERE)
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
