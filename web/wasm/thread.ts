/** A thread of the WebAssembly backend, in a Worker of its own: sleeps in the module until there is a part of a job for it. */
import { instantiate, type SharedExports } from './exports.ts'
import type { ThreadStart } from './threads.ts'

/** The part of a dedicated worker's scope that is used; the page's DOM library types `self` as a window. */
interface ThreadScope {
  postMessage(message: null): void
  addEventListener(type: 'message', listener: (event: MessageEvent<ThreadStart>) => void): void
  close(): void
}
const scope = globalThis as unknown as ThreadScope

scope.addEventListener('message', (event) => void serve(event.data))

async function serve({ module, memory, job, index, scratch }: ThreadStart): Promise<void> {
  const exports = await instantiate<SharedExports>(module, memory)
  scope.postMessage(null)
  exports.serve(job, index, scratch)
  scope.close()
}
