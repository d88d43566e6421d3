/** The session's text sandbox over a Worker of this page. */
import type { TextAnswerMessage, TextSandbox } from '../../session/model/text-sandbox.ts'
import { createWorkerSandbox } from '../../session/model/worker-sandbox.ts'
// oxlint-disable-next-line import/default -- Vite makes the default export: the built worker's address
import workerUrl from './text-worker.ts?worker&url'
import { startWorker } from './trusted-worker.ts'

export function createBrowserTextSandbox(): TextSandbox {
  return createWorkerSandbox(() => {
    const worker = startWorker(workerUrl, 'text')
    return {
      post: (message) => worker.postMessage(message),
      onMessage: (listener) =>
        worker.addEventListener('message', (event: MessageEvent<TextAnswerMessage>) => listener(event.data)),
      onError: (listener) => worker.addEventListener('error', listener),
      terminate: () => worker.terminate(),
    }
  })
}
