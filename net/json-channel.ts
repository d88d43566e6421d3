/** JSON objects over a length-prefixed channel: the directory and the records exchange. What does not parse is refused. */
import type { Stream } from '@libp2p/interface'
import { SwarmError } from '../swarm/errors.ts'
import { MAX_DIRECTORY_MESSAGE_BYTES } from '../swarm/limits.ts'
import { LpChannel } from './lp-channel.ts'

export class JsonChannel {
  readonly #channel: LpChannel

  constructor(stream: Stream) {
    this.#channel = new LpChannel(stream, {
      maxMessageBytes: MAX_DIRECTORY_MESSAGE_BYTES,
      maxQueuedBytes: 4 * MAX_DIRECTORY_MESSAGE_BYTES,
    })
  }

  send(message: object): Promise<void> {
    return this.#channel.send(new TextEncoder().encode(JSON.stringify(message)))
  }

  /**
   * Next object, or null when the other side closed. Its fields are untrusted.
   * @throws SwarmError BAD_FRAME for what is no JSON object; the stream's own error when it broke
   */
  async receive(signal?: AbortSignal): Promise<Record<string, unknown> | null> {
    const bytes = await this.#channel.receive(signal)
    return bytes === null ? null : parseObject(bytes)
  }

  close(): Promise<void> {
    return this.#channel.close()
  }

  abort(error: Error): void {
    this.#channel.abort(error)
  }
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // falls through to the one refusal below
  }
  throw new SwarmError('BAD_FRAME', `a message of ${bytes.byteLength} bytes is not a JSON object`)
}

/** Bytes as base64 and back, the same in tabs and Node. Null for text that is not base64. */
export function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}

export function fromBase64(text: string): Uint8Array | null {
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0))
  } catch {
    return null
  }
}
