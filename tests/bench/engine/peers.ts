/** What of onnxruntime-web is used here. Its packages are not the project's (`package.json` in this folder), nor are their types. */
import type { LlamaConfig } from '../../../swarm/model/config.ts'

interface OrtTensor {
  readonly data: Float32Array
  dispose(): void
}
interface OrtSession {
  run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>
  release(): Promise<void>
}
export interface Ort {
  env: { wasm: { numThreads: number; wasmPaths: string }; webgpu: { device: GPUDevice | Promise<GPUDevice> } }
  InferenceSession: {
    create(
      model: Uint8Array,
      options: { executionProviders: string[]; preferredOutputLocation?: Record<string, string> },
    ): Promise<OrtSession>
  }
  Tensor: {
    new (type: string, data: Float32Array | Int32Array, dims: number[]): OrtTensor
    fromGpuBuffer(buffer: GPUBuffer, options: { dataType: string; dims: number[] }): OrtTensor
  }
}

const DIST = '/tests/bench/engine/node_modules/onnxruntime-web/dist/'

/** Two modules, each with the build that its backend is shipped with. */
export async function loadOrt(provider: 'webgpu' | 'wasm', threads: number): Promise<Ort> {
  const ort = (await import(/* @vite-ignore */ `${DIST}ort.${provider}.min.mjs`)) as Ort
  ort.env.wasm.numThreads = threads
  ort.env.wasm.wasmPaths = new URL(DIST, location.origin).href
  return ort
}

/** A block in onnxruntime. Keys and values of earlier tokens stay on the GPU, where there is one. */
export class OrtBlock {
  readonly #ort: Ort
  readonly #session: OrtSession
  readonly #config: LlamaConfig
  readonly #device: GPUDevice | null

  private constructor(ort: Ort, session: OrtSession, config: LlamaConfig, device: GPUDevice | null) {
    this.#ort = ort
    this.#session = session
    this.#config = config
    this.#device = device
  }

  static async create(
    ort: Ort,
    provider: 'webgpu' | 'wasm',
    model: Uint8Array,
    config: LlamaConfig,
  ): Promise<OrtBlock> {
    const kept = { y: 'cpu', present_key: 'gpu-buffer', present_value: 'gpu-buffer' }
    const session = await ort.InferenceSession.create(model, {
      executionProviders: [provider],
      ...(provider === 'webgpu' ? { preferredOutputLocation: kept } : {}),
    })
    return new OrtBlock(ort, session, config, provider === 'webgpu' ? await ort.env.webgpu.device : null)
  }

  /** Earlier tokens' keys and values `[kvHeads, length, headDim]` each, to be given to `run` as often as wanted. */
  past(keys: Float32Array, values: Float32Array, length: number): OrtTensor[] {
    const dims = [1, this.#config.numKeyValueHeads, length, this.#config.headDim]
    return [keys, values].map((data) => {
      if (this.#device === null || length === 0) return new this.#ort.Tensor('float32', data, dims)
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC
      const buffer = this.#device.createBuffer({ size: data.byteLength, usage })
      this.#device.queue.writeBuffer(buffer, 0, data as Float32Array<ArrayBuffer>)
      return this.#ort.Tensor.fromGpuBuffer(buffer, { dataType: 'float32', dims })
    })
  }

  /** Hidden states after the block, of `x` `[rows, hiddenSize]` behind `length` earlier tokens. */
  async run(x: Float32Array, [key, value]: OrtTensor[], length: number): Promise<Float32Array> {
    const { Tensor } = this.#ort
    const rows = x.length / this.#config.hiddenSize
    const outputs = await this.#session.run({
      x: new Tensor('float32', x, [1, rows, this.#config.hiddenSize]),
      past_key: key as OrtTensor,
      past_value: value as OrtTensor,
      seqlens_k: new Tensor('int32', Int32Array.of(length + rows - 1), [1]),
      total: new Tensor('int32', Int32Array.of(length + rows), [1]),
    })
    const y = outputs['y']!.data
    outputs['present_key']!.dispose()
    outputs['present_value']!.dispose()
    return y
  }

  release(): Promise<void> {
    return this.#session.release()
  }
}
