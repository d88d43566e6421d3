/** The WebAssembly backend as the Worker's handler wants it. A chunk of its own, which few tabs load. */
import { SwarmError } from '../../swarm/errors.ts'
import { measureThroughput } from '../engine/measure.ts'
import { compileKernels } from '../wasm/kernels.ts'
import { isWasmFormat } from '../wasm/limits.ts'
import { createWasmSpanRunner } from '../wasm/span-runner.ts'
import { WasmWeights } from '../wasm/weights.ts'
import type { WorkerGpu } from './worker-handler.ts'

/** @throws SwarmError NO_ADAPTER where the browser has no WebAssembly SIMD */
export async function openWasmCompute(): Promise<WorkerGpu<WasmWeights>> {
  const module = await compileKernels()
  return {
    adapter: { description: 'WebAssembly SIMD, 1 thread', backend: 'wasm' },
    // A processor is not lost; a Worker that dies is noticed by the page.
    lost: new Promise<string>(() => undefined),
    createWeights: (config, span, format) => {
      if (isWasmFormat(format)) return new WasmWeights(config, span, format)
      throw new SwarmError('UNSUPPORTED_MODEL', `the WebAssembly backend does not compute with ${format} weights`, {
        action: 'Choose --weights f32 or f16, or leave it to auto.',
      })
    },
    createRunner: (_config, weights, cacheTokens) => createWasmSpanRunner(module, weights, { cacheTokens }),
    measure: measureThroughput,
  }
}
