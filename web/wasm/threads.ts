/**
 * The threads of one span, and kernels that use them: the counterpart of `wasm/threads.ts`. Each thread is a Worker that sleeps in
 * the module until a job needs it; the Worker that coordinates takes the first part of each job and sleeps until the others are done.
 * What is too small to be worth waking anybody stays with it. Bits do not depend on any of this.
 */
import { SwarmError } from '../../swarm/errors.ts'
import type { LlamaConfig, WeightFormat } from '../../swarm/model/config.ts'
import { ATTENTION_SPLIT, ENGINE_MAX_ROWS, paddedWidth } from '../../swarm/model/span-bytes.ts'
import { spanTensors, tensorElements } from '../../swarm/model/tensors.ts'
import type { Span } from '../../swarm/span.ts'
import { instantiate, type SharedExports } from './exports.ts'
import { kernelsOf, type Kernels } from './kernels.ts'
import { UNPACKED_ROWS } from './limits.ts'
import type { WasmMemory } from './memory.ts'

/** What a thread needs to begin; it answers `null` once it is about to sleep. */
export interface ThreadStart {
  module: WebAssembly.Module
  memory: WebAssembly.Memory
  job: number
  index: number
  scratch: number
}

/** A started thread: a Worker in a tab, another kind in tests. */
export interface ThreadPort {
  post(message: ThreadStart): void
  onReady(listener: () => void): void
  /** It could not start, or died. */
  onError(listener: (reason: string) => void): void
  terminate(): void
}

export interface ThreadOptions {
  /** Threads that compute, this one included. */
  count: number
  start: () => ThreadPort
  /** How many may compute just now, where that changes; asked for each job. */
  limit?: () => number
  /** ms without an answer after which a thread is taken for dead. */
  patienceMs?: number
  /** Multiplications that make it worth waking one more. */
  worth?: number
}

/** In the order of `wasm/threads.ts`. */
const JOB_KINDS: Record<WeightFormat | 'attention', number> = { f32: 1, f16: 2, int8: 3, int4: 4, attention: 5 }
/** Words of a job before its numbers: left, kind, parts. */
const HEAD_WORDS = 3
const WORDS_AT = 128
const BYTES_A_THREAD = 64
/** Waking a thread takes some 30 µs, in which one does about so many multiplications and additions. */
export const WORTH_A_THREAD = 2 ** 18
/** A job is some milliseconds, on a machine that does much else some seconds. */
const PATIENCE_MS = 60_000
/** A Worker's script comes from the page's own server. */
const START_MS = 30_000

export class WasmThreads {
  /** Those of one thread, with the work shared out where it is worth it. */
  readonly kernels: Kernels
  /** Resolves with the reason when a thread has died; never rejects, and never after `stop`. */
  readonly lost: Promise<string>
  readonly #memory: WasmMemory
  readonly #exports: SharedExports
  readonly #ports: readonly ThreadPort[]
  readonly #job: number
  readonly #patienceNs: bigint
  readonly #worthOne: number
  readonly #limit: () => number
  #failure: SwarmError | null = null
  #isStopped = false
  #lose: (reason: string) => void = () => undefined

  private constructor(
    memory: WasmMemory,
    exports: SharedExports,
    format: WeightFormat,
    parts: { ports: readonly ThreadPort[]; job: number; patienceMs: number; worth: number; limit: () => number },
  ) {
    this.#memory = memory
    this.#exports = exports
    this.#ports = parts.ports
    this.#job = parts.job
    this.#worthOne = parts.worth
    this.#limit = parts.limit
    this.#patienceNs = BigInt(parts.patienceMs) * 1_000_000n
    this.lost = new Promise((resolve) => {
      this.#lose = resolve
    })
    this.kernels = this.#shared(kernelsOf(exports, format), JOB_KINDS[format])
    for (const port of this.#ports) port.onError((reason) => this.#fail(reason))
  }

  /**
   * The memory must be shared, and `module` of that kind. Takes each thread's own room from the memory.
   * @throws SwarmError OUT_OF_MEMORY, GPU_LOST (a thread does not start)
   */
  static async start(
    module: WebAssembly.Module,
    memory: WasmMemory,
    model: { config: LlamaConfig; format: WeightFormat },
    options: ThreadOptions,
  ): Promise<WasmThreads> {
    const { count, start, patienceMs = PATIENCE_MS, worth = WORTH_A_THREAD, limit = () => count } = options
    const exports = await instantiate<SharedExports>(module, memory.memory)
    const job = memory.take('the threads', WORDS_AT + count * BYTES_A_THREAD)
    const scratch = Array.from({ length: count - 1 }, () => memory.takeWords('a thread', scratchWords(model.config)))
    const ports: ThreadPort[] = []
    try {
      const starting = scratch.map((own, i) => {
        const port = start()
        ports.push(port)
        return started(port, { module, memory: memory.memory, job, index: i + 1, scratch: own })
      })
      await Promise.all(starting)
    } catch (error) {
      for (const port of ports) port.terminate()
      throw error
    }
    return new WasmThreads(memory, exports, model.format, { ports, job, patienceMs, worth, limit })
  }

  /** Ends the threads. Nothing may be computed afterwards. */
  stop(): void {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#exports.stop(this.#job, this.#ports.length + 1)
    // Those that sleep wake up and end by themselves; this ends one that does not.
    for (const port of this.#ports) port.terminate()
  }

  #shared(single: Kernels, matMulKind: number): Kernels {
    const matMul: Kernels['mat_mul'] = (w, scales, x, y, unpacked, firstRow, endRow, rowsOfX, groups, yStride) => {
      const parts = this.#worth((endRow - firstRow) * groups * 4 * rowsOfX)
      if (parts === 1 || firstRow !== 0) {
        single.mat_mul(w, scales, x, y, unpacked, firstRow, endRow, rowsOfX, groups, yStride)
      } else {
        this.#run(matMulKind, parts, unpacked, [w, scales, x, y, endRow, rowsOfX, groups, yStride])
      }
    }
    const attention: Kernels['attention'] = (q, k, v, out, scratch, firstUnit, endUnit, position, ...shape) => {
      const [heads, kvHeads, headDim] = shape
      const unit = ((2 * heads) / kvHeads) * headDim * (position + 1)
      const parts = Math.min(endUnit, this.#worth(unit * (endUnit - firstUnit)))
      if (parts === 1 || firstUnit !== 0) {
        single.attention(q, k, v, out, scratch, firstUnit, endUnit, position, ...shape)
      } else {
        this.#run(JOB_KINDS.attention, parts, scratch, [q, k, v, out, endUnit, position, ...shape])
      }
    }
    return { ...single, mat_mul: matMul, attention }
  }

  #worth(multiplications: number): number {
    const most = Math.min(this.#ports.length + 1, this.#limit())
    return Math.max(1, Math.min(most, Math.floor(multiplications / this.#worthOne)))
  }

  /** @throws SwarmError GPU_LOST */
  #run(kind: number, parts: number, scratch: number, numbers: readonly number[]): void {
    if (this.#failure !== null) throw this.#failure
    const words = this.#memory.words(this.#job, HEAD_WORDS + numbers.length)
    words[1] = kind
    words[2] = parts
    words.set(numbers, HEAD_WORDS)
    if (this.#exports.share(this.#job, scratch, this.#patienceNs) !== 0) return
    this.#fail(`it gave no answer for ${Number(this.#patienceNs / 1_000_000n) / 1000} s`)
    if (this.#failure !== null) throw this.#failure
  }

  #fail(reason: string): void {
    if (this.#isStopped || this.#failure !== null) return
    this.#failure = threadLost(reason)
    this.#lose(this.#failure.message)
  }
}

/** How many threads a span can use at all: a chunk of its largest matrix is the most that is shared out. */
export function usefulThreads(config: LlamaConfig, span: Span, worth = WORTH_A_THREAD): number {
  const largest = Math.max(
    ...spanTensors(config, span)
      .filter(({ kind }) => kind === 'matrix')
      .map(tensorElements),
  )
  return Math.max(1, Math.floor((largest * ENGINE_MAX_ROWS) / worth))
}

/** Room for unpacked weights, or for one attention unit. */
function scratchWords({ hiddenSize, intermediateSize, numAttentionHeads, headDim }: LlamaConfig): number {
  const widest = Math.max(...[hiddenSize, numAttentionHeads * headDim, intermediateSize].map(paddedWidth))
  return Math.max(UNPACKED_ROWS * widest, ATTENTION_SPLIT + 2 * paddedWidth(headDim))
}

function started(port: ThreadPort, message: ThreadStart): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(threadLost(`it did not start within ${START_MS / 1000} s`)), START_MS)
    port.onReady(() => {
      clearTimeout(timer)
      resolve()
    })
    port.onError((reason) => {
      clearTimeout(timer)
      reject(threadLost(reason))
    })
    port.post(message)
  })
}

function threadLost(reason: string): SwarmError {
  return new SwarmError('GPU_LOST', `a thread that computes for this tab is gone: ${reason}`, { retryable: true })
}
