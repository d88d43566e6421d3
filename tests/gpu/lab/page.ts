/** Starts the lab's Worker and gives the test `callLab`: a method of the lab by name, arguments and result as plain data. */
import type { LabReply } from './worker.ts'

const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' })
const pending = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
let lastId = 0

worker.addEventListener('message', ({ data }: MessageEvent<LabReply>) => {
  const call = pending.get(data.id)
  pending.delete(data.id)
  if (data.error === undefined) call?.resolve(data.result)
  else call?.reject(new Error(data.error))
})
worker.addEventListener('error', (event) => {
  for (const call of pending.values()) call.reject(new Error(`the lab's worker failed: ${event.message}`))
})

Object.assign(globalThis, {
  callLab: (method: string, args: unknown[]): Promise<unknown> => {
    lastId += 1
    const id = lastId
    return new Promise((resolve, reject) => {
      pending.set(id, { resolve, reject })
      worker.postMessage({ id, method, args })
    })
  },
})
