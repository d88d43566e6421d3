/** A `TextSandbox` on a worker thread of Node, which can be ended while a hostile pattern runs. */
import { Worker } from 'node:worker_threads'
import type { TextSandbox } from '../../session/model/text-sandbox.ts'
import { createWorkerSandbox, type TextWorkerPort } from '../../session/model/worker-sandbox.ts'

/** Memory that a tokenizer of 64 MB of JSON needs, several times over; a runaway template ends here. */
const MAX_HEAP_MB = 1024

/** `workerFile`: the built text-worker.js. */
export function createNodeTextSandbox(workerFile: string): TextSandbox {
  return createWorkerSandbox(() => startWorker(workerFile))
}

function startWorker(workerFile: string): TextWorkerPort {
  const worker = new Worker(workerFile, {
    // Code of ours on files of others: it gets nothing it does not need.
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    stdin: false,
  })
  // An idle sandbox must not keep a finished command alive.
  worker.unref()
  return {
    post: (message) => worker.postMessage(message),
    onMessage: (listener) => void worker.on('message', listener),
    onError: (listener) => void worker.on('error', listener),
    terminate: () => void worker.terminate(),
  }
}
