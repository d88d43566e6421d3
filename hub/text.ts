/** Reads a small file as a whole, with a limit on its size; a connection that breaks starts it again. */
import { SwarmError } from '../swarm/errors.ts'
import type { HubRequestContext } from './errors.ts'
import { changedError, cutError, readRefusal, refusalError } from './errors.ts'
import type { HubHttp } from './http.ts'
import { backOffMs, cancelledError, waitToRetry } from './retry.ts'

/** Null when the model has no such file. @throws SwarmError BAD_CONFIG, HUB_*, CANCELLED */
export async function readText(
  http: HubHttp,
  url: string,
  context: HubRequestContext & { file: string },
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<string | null> {
  for (let attempt = 1; ; attempt += 1) {
    const response = await http.send(url, context, { signal })
    if (response.status !== 200) {
      const refusal = await readRefusal(response)
      const absent = refusal.status === 404 && (refusal.code === null || refusal.code === 'EntryNotFound')
      if (absent) return null
      throw refusalError(refusal, context)
    }
    const commit = response.headers.get('X-Repo-Commit')
    if (commit !== null && commit !== context.revision) {
      await response.body?.cancel()
      throw changedError(context, `it answered for commit ${commit.slice(0, 40)}`)
    }
    const body = await readBody(http, response, context.file, maxBytes)
    if ('bytes' in body) return decodeText(context.file, body.bytes)
    if (signal?.aborted === true) throw cancelledError(signal)
    if (attempt >= http.retry.tries) throw cutError(context, body.got, body.expected, body.cause)
    const notice = { reason: 'the connection broke', waitMs: backOffMs(http.retry, attempt), attempt }
    await waitToRetry(http.retry, notice, signal)
  }
}

type Body = { bytes: Uint8Array } | { got: number; expected: number; cause: unknown }

async function readBody(http: HubHttp, response: Response, file: string, maxBytes: number): Promise<Body> {
  const announced = response.headers.get('Content-Encoding') === null ? response.headers.get('Content-Length') : null
  const expected = announced === null ? maxBytes : Number(announced)
  const parts: Uint8Array[] = []
  let got = 0
  const reader = response.body?.getReader()
  for (;;) {
    let bytes: Uint8Array | undefined
    try {
      bytes = (await reader?.read())?.value
    } catch (cause) {
      return { got, expected, cause }
    }
    if (bytes === undefined) break
    got += bytes.length
    http.bytesFetched += bytes.length
    if (got > maxBytes) {
      await reader?.cancel()
      throw new SwarmError('BAD_CONFIG', `${file} is longer than ${maxBytes} bytes`, {
        action: 'Choose another model: this one is not one that can be trusted.',
        details: { file, maxBytes },
      })
    }
    parts.push(bytes)
  }
  if (announced !== null && got !== expected) return { got, expected, cause: undefined }
  return { bytes: join(parts, got) }
}

function join(parts: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** @throws SwarmError BAD_CONFIG */
export function decodeText(file: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new SwarmError('BAD_CONFIG', `${file} is not UTF-8 text`, {
      cause,
      action: 'Choose another model or revision, or ask its publisher to correct the file.',
    })
  }
}

/** @throws SwarmError BAD_TOKENIZER or BAD_CONFIG, by the file's name */
export function parseJsonFile(file: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new SwarmError(file.startsWith('tokenizer') ? 'BAD_TOKENIZER' : 'BAD_CONFIG', `${file} is not JSON`, {
      cause: error,
      action: 'Choose another model or revision, or ask its publisher to correct the file.',
    })
  }
}
