/**
 * The memory of one span: weights, activations and KV caches one after another, taken once and given back all together by
 * forgetting it. A WebAssembly memory has at most 4 GiB and never shrinks.
 */
import { SwarmError } from '../../swarm/errors.ts'
import { MODULE_BYTES } from './kernels.ts'
import { MOST_WASM_BYTES, WASM_PAGE_BYTES } from './limits.ts'

/** Buffers start at cache lines, and vectors that are read past a row's end find memory there. */
const ALIGNMENT = 64
const SLACK = 16

export class WasmMemory {
  readonly memory: WebAssembly.Memory
  /** Whether threads may share it. */
  readonly isShared: boolean
  #end = MODULE_BYTES

  /** @throws SwarmError OUT_OF_MEMORY where a memory that is shared finds no address space: it is set aside whole. */
  constructor(isShared = false) {
    this.isShared = isShared
    try {
      this.memory = isShared
        ? new WebAssembly.Memory({ initial: 1, maximum: MOST_WASM_BYTES / WASM_PAGE_BYTES, shared: true })
        : new WebAssembly.Memory({ initial: 1 })
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      throw new SwarmError('OUT_OF_MEMORY', `no room for a WebAssembly memory: ${error.message}`, {
        action: 'Close other tabs and programs.',
        cause: error,
      })
    }
  }

  /** Bytes taken so far, those of the module and of rounding included. */
  get bytes(): number {
    return this.#end
  }

  /** Zeroed bytes, the offset of the first. Views made before are not valid any more. @throws SwarmError OUT_OF_MEMORY; `what` names them */
  take(what: string, bytes: number): number {
    const start = Math.ceil(this.#end / ALIGNMENT) * ALIGNMENT
    const end = start + bytes + SLACK
    const pages = Math.ceil((end - this.memory.buffer.byteLength) / WASM_PAGE_BYTES)
    try {
      if (end > MOST_WASM_BYTES) throw new RangeError('a WebAssembly memory ends at 4 GiB')
      if (pages > 0) this.memory.grow(pages)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      throw new SwarmError('OUT_OF_MEMORY', `${what} take ${bytes} bytes after ${start}: ${error.message}`, {
        action: 'Serve fewer blocks, or close other tabs and programs.',
        cause: error,
      })
    }
    this.#end = end
    return start
  }

  /** Room for `count` f32 or u32. */
  takeWords(what: string, count: number): number {
    return this.take(what, count * 4)
  }

  /** Valid until the next `take`. */
  floats(at: number, count: number): Float32Array {
    return new Float32Array(this.memory.buffer, at, count)
  }

  words(at: number, count: number): Uint32Array {
    return new Uint32Array(this.memory.buffer, at, count)
  }

  bytesAt(at: number, count: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, at, count)
  }
}
