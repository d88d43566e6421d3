/** Reads a byte stream into buffers of given sizes: streams arrive in pieces of any size, tensors do not. */
import { assert } from '../../swarm/errors.ts'

export class ByteReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  #rest: Uint8Array = new Uint8Array(0)

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader()
  }

  /** Fills `target`. The stream is known to hold enough (`hub/range.ts` delivers exactly what was asked for, or fails). */
  async fill(target: Uint8Array, onBytes?: (count: number) => void): Promise<void> {
    let at = 0
    while (at < target.length) {
      if (this.#rest.length === 0) {
        const { done, value } = await this.#reader.read()
        assert(!done, 'a range ends when all of it was delivered')
        this.#rest = value
        onBytes?.(value.length)
      }
      const part = this.#rest.subarray(0, target.length - at)
      target.set(part, at)
      at += part.length
      this.#rest = this.#rest.subarray(part.length)
    }
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel()
  }
}

export async function readFully(stream: ReadableStream<Uint8Array>, target: Uint8Array): Promise<void> {
  const reader = new ByteReader(stream)
  try {
    await reader.fill(target)
  } finally {
    await reader.cancel()
  }
}
