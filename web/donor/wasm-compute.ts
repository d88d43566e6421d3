/** The WebAssembly backend as the Worker's handler wants it. A chunk of its own, which few tabs load. */
import type { BackendReason } from '../../swarm/backend.ts'
import { measureThroughput } from '../engine/measure.ts'
import { compileKernels } from '../wasm/kernels.ts'
import { createWasmSpanRunner } from '../wasm/span-runner.ts'
import { WasmWeights } from '../wasm/weights.ts'
import type { WorkerGpu } from './worker-handler.ts'

/** @throws SwarmError NO_ADAPTER where the browser has no WebAssembly SIMD */
export async function openWasmCompute(reason: BackendReason): Promise<WorkerGpu<WasmWeights>> {
  const module = await compileKernels()
  return {
    adapter: { description: 'WebAssembly SIMD, 1 thread', backend: 'wasm', reason },
    // A processor is not lost; a Worker that dies is noticed by the page.
    lost: new Promise<string>(() => undefined),
    createWeights: (config, span, format) => new WasmWeights(config, span, format),
    createRunner: (_config, weights, cacheTokens) => createWasmSpanRunner(module, weights, { cacheTokens }),
    measure: measureThroughput,
  }
}
