/** The donor's Worker: GPU or WebAssembly, weights and model files behind `WorkerHandler`. Nothing here but the wiring. */
import { openModel } from '../../hub/source.ts'
import type { BackendReason } from '../../swarm/backend.ts'
import type { SpanRunner } from '../../swarm/span-runner.ts'
import { measureThroughput } from '../engine/measure.ts'
import { createSpanRunner } from '../engine/span-runner.ts'
import { SpanWeights } from '../engine/weights.ts'
import { openGpu, type AdapterKind } from '../gpu/device.ts'
import type { KernelChoice } from '../gpu/kernels/kernel-choice.ts'
import { loadSpan } from '../weights/load-span.ts'
import { openWeightCache } from '../weights/opfs-cache.ts'
import type { WasmWeights } from '../wasm/weights.ts'
import { chooseCompute } from './choose-compute.ts'
import { DonorStore } from './donor-store.ts'
import { WorkerHandler, type FillOptions, type WorkerGpu } from './worker-handler.ts'
import type { EngineChoice, FromWorker, ToWorker } from './worker-messages.ts'

/** The part of a dedicated worker's scope that is used; the page's DOM library types `self` as a window. */
interface WorkerScope {
  postMessage(message: FromWorker, transfers: ArrayBuffer[]): void
  addEventListener(type: 'message', listener: (event: MessageEvent<ToWorker>) => void): void
}
const scope = globalThis as unknown as WorkerScope

type Weights = SpanWeights | WasmWeights

function openCompute({ backend, threads }: EngineChoice): Promise<WorkerGpu<Weights>> {
  return chooseCompute<WorkerGpu<Weights>>(backend, {
    // A runner is made of weights that the same object made: the handler mixes none, which types cannot say.
    gpu: async (adapter, reason) => (await openWorkerGpu(adapter, reason)) as WorkerGpu<Weights>,
    wasm: async (reason) => {
      const { openWasmCompute } = await import('./wasm-compute.ts')
      return (await openWasmCompute(reason, threads)) as WorkerGpu<Weights>
    },
  })
}

async function openWorkerGpu(adapter: AdapterKind, reason: BackendReason): Promise<WorkerGpu<SpanWeights>> {
  const gpu = await openGpu({ adapter })
  const choices = new WeakMap<SpanRunner, KernelChoice>()
  const store = new DonorStore().choices
  const chosen = new Map<string, KernelChoice>()
  return {
    adapter: { description: gpu.description, backend: gpu.software ? 'software' : 'webgpu', reason },
    lost: gpu.lost,
    createWeights: (config, span, format) => SpanWeights.create(gpu, config, span, format),
    createRunner: async (config, weights, { cacheTokens, kv, autotune }, { note, tuned }) => {
      const like = typeof autotune === 'object' ? choices.get(autotune.like) : undefined
      const isOn = autotune === 'on' || autotune === 'again'
      const tuning = isOn ? { store, chosen, again: autotune === 'again', onNote: note, onTuned: tuned } : null
      const choice = like === undefined ? {} : { choice: like }
      const runner = await createSpanRunner(gpu, config, weights, { cacheTokens, kv, tuning, ...choice })
      choices.set(runner, runner.choice)
      return runner
    },
    measure: measureThroughput,
  }
}

async function fill({ input, sink, onProgress, onWarning, onFetched, signal }: FillOptions): Promise<number> {
  const { repo, revision, hubUrl, token, config, span } = input
  const source = await openModel({
    repo,
    revision,
    hubUrl,
    signal,
    onWait: onWarning,
    ...(token === undefined ? {} : { token }),
  })
  const cache = await openWeightCache({ onWarning: (warning) => onWarning(warning.message) })
  let reported = 0
  const report = (): void => {
    onFetched(source.bytesFetched - reported)
    reported = source.bytesFetched
  }
  try {
    const result = await loadSpan({
      source,
      config,
      span,
      sink,
      cache,
      onWarning,
      signal,
      onProgress: (progress) => {
        report()
        onProgress(progress)
      },
    })
    return result.notFinite.length
  } finally {
    report()
  }
}

const handler = new WorkerHandler({ openGpu: openCompute, fill }, (message, transfers) => {
  scope.postMessage(message, transfers)
})
scope.addEventListener('message', (event) => void handler.handle(event.data))
