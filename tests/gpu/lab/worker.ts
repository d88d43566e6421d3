/** The lab in a dedicated Worker, where the product's engine runs as well. Files come from the dev server that serves this page. */
import { createLab } from './lab.ts'

const lab = createLab(async (path) => {
  const response = await fetch(`/${path}`)
  // The dev server answers a missing path with a page of its own; every file asked for here is data or JSON.
  if (!response.ok || response.headers.get('content-type')?.startsWith('text/html') === true) return null
  return new Uint8Array(await response.arrayBuffer())
})

export interface LabCall {
  id: number
  method: string
  args: unknown[]
}

export interface LabReply {
  id: number
  result?: unknown
  error?: string
}

globalThis.addEventListener('message', (event: MessageEvent<LabCall>) => {
  const { id, method, args } = event.data
  const call = (lab as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[method]
  void Promise.resolve(call?.(...args)).then(
    (result) => postMessage({ id, result } satisfies LabReply),
    (error: unknown) =>
      postMessage({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  )
})
