/** A Worker for each row, so that what a row took is gone before the next: `runRow` of the page. */
interface Reply {
  result?: unknown
  error?: string
}

Object.assign(globalThis, {
  runRow: (id: string): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' })
      const end = (settle: () => void): void => {
        worker.terminate()
        settle()
      }
      worker.addEventListener('message', ({ data }: MessageEvent<Reply>) =>
        end(() => (data.error === undefined ? resolve(data.result) : reject(new Error(data.error)))),
      )
      worker.addEventListener('error', (event) => end(() => reject(new Error(`the worker failed: ${event.message}`))))
      worker.postMessage(id)
    }),
})
