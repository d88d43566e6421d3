/** The WebAssembly backend as the Worker's handler wants it. A chunk of its own, which few tabs load. */
import type { BackendReason } from '../../swarm/backend.ts'
import { describeError } from '../../swarm/errors.ts'
import { startWorker } from '../compose/trusted-worker.ts'
import { measureThroughput } from '../engine/measure.ts'
import { compileKernels } from '../wasm/kernels.ts'
import { createWasmSpanRunner } from '../wasm/span-runner.ts'
import { countComputingTabs, threadCount } from '../wasm/thread-count.ts'
// oxlint-disable-next-line import/default -- Vite makes the default export: the built worker's address
import threadUrl from '../wasm/thread.ts?worker&url'
import type { ThreadPort } from '../wasm/threads.ts'
import { WasmWeights } from '../wasm/weights.ts'
import type { WorkerGpu } from './worker-handler.ts'

/** `wanted`: threads that somebody asked for. @throws SwarmError NO_ADAPTER where the browser has no WebAssembly SIMD */
export async function openWasmCompute(reason: BackendReason, wanted: number | null): Promise<WorkerGpu<WasmWeights>> {
  const count = await threadsHere(wanted)
  const module = await compileKernels(count > 1)
  let lose: (why: string) => void = () => undefined
  return {
    adapter: {
      description: `WebAssembly SIMD, ${count} ${count === 1 ? 'thread' : 'threads'}`,
      backend: 'wasm',
      reason,
    },
    // A processor is not lost, and a Worker that dies is noticed by the page; but one of the threads may die alone.
    lost: new Promise<string>((resolve) => {
      lose = resolve
    }),
    createWeights: (config, span, format) => new WasmWeights(config, span, format, count > 1),
    createRunner: (_config, weights, cacheTokens, onWarning) =>
      createWasmSpanRunner(module, weights, {
        cacheTokens,
        threads: { count, start: startThread },
        onLost: lose,
        onAlone: (why) => onWarning(`One thread computes in place of ${count}: ${why}.`),
      }),
    measure: measureThroughput,
  }
}

/** Other tabs of this browser are counted; whoever opens several at once says how many each has (`threads`). */
async function threadsHere(wanted: number | null): Promise<number> {
  const machine = { isIsolated: crossOriginIsolated, cores: navigator.hardwareConcurrency, wanted }
  try {
    return threadCount({ ...machine, tabs: await countComputingTabs(navigator.locks) })
  } catch (error) {
    console.warn(`The tabs that compute here could not be counted (${describeError(error)}): one thread is used.`)
    return threadCount({ ...machine, tabs: machine.cores })
  }
}

function startThread(): ThreadPort {
  const worker = startWorker(threadUrl, 'thread')
  return {
    post: (message) => worker.postMessage(message),
    onReady: (listener) => worker.addEventListener('message', listener),
    onError: (listener) => {
      worker.addEventListener('error', (event) => listener(event.message || 'its script could not be loaded'))
      worker.addEventListener('messageerror', () => listener('what it was sent could not be read'))
    },
    terminate: () => worker.terminate(),
  }
}
