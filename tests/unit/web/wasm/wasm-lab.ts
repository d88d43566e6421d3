/** What a kernel test needs: a memory, inputs, outputs poisoned with NaN and followed by a guard, and comparisons with the reference. */
import { expect } from 'vitest'
import type { WeightFormat } from '../../../../swarm/model/config.ts'
import { paddedWidth } from '../../../../swarm/model/span-bytes.ts'
import { storeRows } from '../../../../web/engine/quantize.ts'
import { compileKernels, createKernels, type Kernels } from '../../../../web/wasm/kernels.ts'
import { WasmMemory } from '../../../../web/wasm/memory.ts'

const GUARD = 67
/** A NaN that no arithmetic makes. */
const POISON_BITS = 0x7fc5a5a5

export interface Layout {
  width: number
  stride: number
  /** What lies between rows; poison where nothing may be written. */
  between?: number
}

export class WasmLab {
  readonly kernels: Kernels
  readonly format: WeightFormat
  readonly #memory: WasmMemory
  #seed = 1

  private constructor(kernels: Kernels, format: WeightFormat, memory: WasmMemory) {
    this.kernels = kernels
    this.format = format
    this.#memory = memory
  }

  static async open(format: WeightFormat): Promise<WasmLab> {
    const memory = new WasmMemory()
    return new WasmLab(await createKernels(await compileKernels(), memory.memory, format), format, memory)
  }

  /** Numbers in [-1, 1), the same in every run; exact in f16. */
  random(length: number): Float32Array {
    return Float32Array.from({ length }, () => {
      this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0
      return ((this.#seed >>> 21) - 1024) / 1024
    })
  }

  upload(values: Float32Array | Uint32Array | Uint16Array | Uint8Array): number {
    const at = this.#memory.take('input', values.byteLength)
    this.#memory.bytesAt(at, values.byteLength).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    return at
  }

  /** Rows padded with zeros to whole groups of four. */
  rows(values: Float32Array, width: number): number {
    return this.upload(padRows(values, width))
  }

  /** A matrix in the lab's format: where its weights are, and its scales. */
  matrix(values: Float32Array, width: number): [weights: number, scales: number] {
    const { weights, scales } = storeRows(values, width, this.format, 'matrix')
    return [this.upload(weights), this.upload(scales)]
  }

  /** Words that a kernel should write, poisoned, with a guard in front and behind. */
  output(length: number): number {
    const at = this.upload(new Uint32Array(length + 2 * GUARD).fill(POISON_BITS))
    return at + GUARD * 4
  }

  write(at: number, values: Float32Array): void {
    this.#memory.floats(at, values.length).set(values)
  }

  read(at: number, length: number): Float32Array {
    return this.#memory.floats(at, length).slice()
  }

  readWords(at: number, length: number): Uint32Array {
    return this.#memory.words(at, length).slice()
  }

  /** The rows of an output, what lies between them, and its guards. */
  expectRows(label: string, at: number, expected: ArrayLike<number>, layout: Layout, relative = 1e-5, absolute = 2e-5) {
    const { width, stride, between } = layout
    const rows = expected.length / width
    const found = this.read(at, rows * stride)
    const words = this.readWords(at, rows * stride)
    const wrong: string[] = []
    for (let i = 0; i < rows * stride; i += 1) {
      const [t, column] = [Math.floor(i / stride), i % stride]
      if (column < width) {
        const wanted = expected[t * width + column]!
        // Not `>`: NaN is wrong.
        if (!(Math.abs(found[i]! - wanted) <= absolute + relative * Math.abs(wanted))) {
          wrong.push(`[${t}, ${column}]: ${found[i]}, expected ${wanted}`)
        }
      } else if (between === undefined ? words[i] !== POISON_BITS : found[i] !== between) {
        wrong.push(`[${t}, ${column}] between rows: ${found[i]}`)
      }
    }
    this.expectGuards(label, at, rows * stride)
    expect(wrong.slice(0, 10), label).toEqual([])
  }

  expectGuards(label: string, at: number, length: number): void {
    const around = [...this.readWords(at - GUARD * 4, GUARD), ...this.readWords(at + length * 4, GUARD)]
    expect(around.filter((word) => word !== POISON_BITS).length, `${label}: wrote outside`).toBe(0)
  }
}

export function padRows(values: Float32Array, width: number): Float32Array {
  const stride = paddedWidth(width)
  const rows = values.length / width
  const out = new Float32Array(rows * stride)
  for (let t = 0; t < rows; t += 1) out.set(values.subarray(t * width, (t + 1) * width), t * stride)
  return out
}
