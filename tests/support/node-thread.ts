/** Threads of the WebAssembly backend in Node: what `web/wasm/thread.ts` is in a tab. */
import { Worker } from 'node:worker_threads'
import type { ThreadPort } from '../../web/wasm/threads.ts'

const SCRIPT = `
const { parentPort } = require('node:worker_threads')
parentPort.on('message', async ({ module, memory, job, index, scratch }) => {
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } })
  parentPort.postMessage(null)
  exports.serve(job, index, scratch)
  parentPort.close()
})
`

export interface NodeThread extends ThreadPort {
  readonly worker: Worker
}

export function startNodeThread(script = SCRIPT): NodeThread {
  const worker = new Worker(script, { eval: true })
  return {
    worker,
    post: (message) => worker.postMessage(message),
    onReady: (listener) => void worker.on('message', listener),
    onError: (listener) => {
      worker.on('error', (error) => listener(String(error)))
      worker.on('exit', () => listener('it ended'))
    },
    terminate: () => void worker.terminate(),
  }
}
