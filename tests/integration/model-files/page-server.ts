/** Serves an empty page and a bundled worker on loopback, under the headers that the product's page has. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

export interface WorkerPage {
  url: string
  close(): Promise<void>
}

/** `entry`: the worker's file, absolute. */
export async function serveWorkerPage(
  entry = fileURLToPath(new URL('worker.ts', import.meta.url)),
): Promise<WorkerPage> {
  const script = await bundle(entry)
  const server = createServer((request, response) => {
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin')
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp')
    const isScript = request.url === '/worker.js'
    response.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html')
    response.end(isScript ? script : '<!doctype html><link rel="icon" href="data:,"><title>model files</title>')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function bundle(file: string): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      target: 'es2023',
      lib: { entry: file, formats: ['es'], fileName: 'worker' },
    },
  })
  const output = Array.isArray(built) ? built[0] : built
  if (output === undefined || !('output' in output)) throw new Error('vite built nothing')
  const chunks = output.output.filter((item) => item.type === 'chunk')
  const entry = chunks.find((chunk) => chunk.isEntry)
  if (entry === undefined || chunks.length !== 1) throw new Error(`one chunk expected, ${chunks.length} built`)
  return entry.code
}
