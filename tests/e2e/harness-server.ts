/** Serves the harness (and the page's sources) by Vite for one test file. */
import { createServer } from 'vite'
import { REPO_ROOT } from '../support/processes.ts'

export interface Harness {
  url(scene: string, options?: { language?: string; theme?: string }): string
  stop(): Promise<void>
}

export async function startHarness(): Promise<Harness> {
  const server = await createServer({
    configFile: false,
    root: REPO_ROOT,
    cacheDir: 'node_modules/.vite-harness',
    logLevel: 'error',
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    server: { host: '127.0.0.1', port: 0, hmr: false, watch: null },
    optimizeDeps: { include: ['preact', 'preact/hooks', 'preact/jsx-runtime', '@preact/signals', 'marked', 'idb'] },
  })
  await server.listen()
  const address = server.httpServer?.address()
  if (address === null || address === undefined || typeof address === 'string') throw new Error('no port')
  return {
    url(scene, { language = 'en', theme = 'light' } = {}) {
      const query = new URLSearchParams({ scene, language, theme })
      return `http://127.0.0.1:${address.port}/tests/e2e/harness/index.html?${query}`
    },
    stop: () => server.close(),
  }
}
