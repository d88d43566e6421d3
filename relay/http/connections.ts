/** What is under way on the connections of an HTTP server, and how those end that do not behave. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

/** The other side gets this long to read an answer while it still sends. */
const LINGER_MS = 1_000

/** Answers that are being given. */
export class UnderWay {
  readonly #answers = new Set<ServerResponse>()
  #onEnd: () => void = () => undefined

  add(res: ServerResponse): void {
    this.#answers.add(res)
    res.once('close', () => {
      this.#answers.delete(res)
      this.#onEnd()
    })
  }

  /** Resolves when none is left, or after `limitMs`. */
  async ended(limitMs: number): Promise<void> {
    if (this.#answers.size === 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limitMs)
      this.#onEnd = () => {
        if (this.#answers.size > 0) return
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/**
 * A body that was not asked for is not read to its end: Node would take it in for as long as it comes, only to throw it
 * away. The answer goes out, then the connection ends.
 */
export function endUnreadBody(req: IncomingMessage, res: ServerResponse): void {
  res.once('finish', () => {
    if (req.complete) return
    req.socket.end()
    setTimeout(() => req.socket.destroy(), LINGER_MS).unref()
  })
}

/** What could not be read as a request gets its status, so that a person who looks knows why. */
export function endBrokenRequest(socket: Duplex, code: string | undefined): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const status =
    code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? '408 Request Timeout'
      : code === 'HPE_HEADER_OVERFLOW'
        ? '431 Request Header Fields Too Large'
        : '400 Bad Request'
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
  setTimeout(() => socket.destroy(), LINGER_MS).unref()
}
