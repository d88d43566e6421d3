/** The WebAssembly backend as the Worker's handler wants it. A chunk of its own, which few tabs load. */
import type { BackendReason } from '../../swarm/backend.ts'
import { describeError, SwarmError } from '../../swarm/errors.ts'
import { startWorker } from '../compose/trusted-worker.ts'
import { measureThroughput } from '../engine/measure.ts'
import { compileKernels } from '../wasm/kernels.ts'
import { WasmMemory } from '../wasm/memory.ts'
import { createWasmSpanRunner } from '../wasm/span-runner.ts'
import { countComputingTabs, joinComputingTabs, threadCount } from '../wasm/thread-count.ts'
// oxlint-disable-next-line import/default -- Vite makes the default export: the built worker's address
import threadUrl from '../wasm/thread.ts?worker&url'
import type { ThreadPort } from '../wasm/threads.ts'
import { WasmWeights } from '../wasm/weights.ts'
import type { WorkerGpu } from './worker-handler.ts'

/** `wanted`: threads that somebody asked for. @throws SwarmError NO_ADAPTER where the browser has no WebAssembly SIMD */
export async function openWasmCompute(reason: BackendReason, wanted: number | null): Promise<WorkerGpu<WasmWeights>> {
  const { count, limit } = await threadsHere(wanted)
  const module = await compileKernels(count > 1)
  let lose: (why: string) => void = () => undefined
  return {
    adapter: {
      description: `WebAssembly SIMD, ${count === 1 ? '1 thread' : `up to ${count} threads`}`,
      backend: 'wasm',
      reason,
    },
    // A processor is not lost, and a Worker that dies is noticed by the page; but one of the threads may die alone.
    lost: new Promise<string>((resolve) => {
      lose = resolve
    }),
    createWeights: (config, span, format) => new WasmWeights(config, span, format, count > 1),
    createRunner: (_config, weights, { cacheTokens }, { warn: onWarning }) =>
      createWasmSpanRunner(module, weights, {
        cacheTokens,
        threads: { count, limit, start: startThread },
        onLost: lose,
        onAlone: (why) => onWarning(`One thread computes in place of ${count}: ${why}.`),
      }),
    measure: measureThroughput,
  }
}

/** Looks again so often: a tab that opens beside this one gets its share of the processors, one that closes gives it back. */
const COUNT_EVERY_MS = 10_000

/**
 * As many as may start, and how many may compute just now. Other tabs of this browser are counted; whoever opens several in several
 * browsers says how many threads each has (`threads`).
 */
async function threadsHere(wanted: number | null): Promise<{ count: number; limit: () => number }> {
  const machine = { isIsolated: crossOriginIsolated && canShareMemory(), cores: navigator.hardwareConcurrency, wanted }
  let limit = threadCount({ ...machine, tabs: machine.cores })
  try {
    await joinComputingTabs(navigator.locks)
    const look = async (): Promise<void> => {
      limit = threadCount({ ...machine, tabs: await countComputingTabs(navigator.locks) })
    }
    await look()
    setInterval(() => void look().catch(warn), COUNT_EVERY_MS)
  } catch (error) {
    warn(error)
  }
  return { count: threadCount({ ...machine, tabs: 1 }), limit: () => limit }
}

function warn(error: unknown): void {
  console.warn(`The tabs that compute here could not be counted (${describeError(error)}).`)
}

/** A shared memory's address space is set aside whole, which some devices do not have. */
function canShareMemory(): boolean {
  try {
    return new WasmMemory(true).isShared
  } catch (error) {
    if (error instanceof SwarmError && error.code === 'OUT_OF_MEMORY') return false
    throw error
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
