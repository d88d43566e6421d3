/**
 * The lab from a test in Node: a Vite server of the repository on loopback, a real headless Chromium with WebGPU on the software
 * adapter, and calls into the lab's Worker. No adapter is a failure, never a skip.
 */
import type { Browser, Page } from 'playwright'
import { createServer } from 'vite'
import type { ViteDevServer } from 'vite'
import { launchChromium } from '../support/browser.ts'
import { REPOSITORY_ROOT } from '../reference/node-files.ts'
import type { Lab } from './lab/lab.ts'

export class OpenLab {
  readonly #server: ViteDevServer
  readonly #browser: Browser
  readonly #page: Page

  private constructor(server: ViteDevServer, browser: Browser, page: Page) {
    this.#server = server
    this.#browser = browser
    this.#page = page
  }

  /** `folders`: what besides the repository the lab may read, by absolute path (`/@fs` in the lab's paths). */
  static async start(folders: string[] = []): Promise<OpenLab> {
    const server = await createServer({
      configFile: false,
      root: REPOSITORY_ROOT,
      logLevel: 'error',
      // Not 'spa': a missing file must not be answered with a page.
      appType: 'mpa',
      optimizeDeps: { noDiscovery: true },
      server: { host: '127.0.0.1', port: 0, hmr: false, watch: null, fs: { allow: [REPOSITORY_ROOT, ...folders] } },
    })
    let browser: Browser | null = null
    try {
      await server.listen()
      const origin = server.resolvedUrls?.local[0]
      if (origin === undefined) throw new Error('the lab server has no address')
      browser = await launchChromium()
      const page = await browser.newPage()
      await page.goto(`${origin}tests/gpu/lab/index.html`)
      await page.waitForFunction(() => 'callLab' in globalThis)
      return new OpenLab(server, browser, page)
    } catch (error) {
      await browser?.close()
      await server.close()
      throw error
    }
  }

  call<Method extends keyof Lab>(method: Method, ...args: Parameters<Lab[Method]>): ReturnType<Lab[Method]> {
    return this.#page.evaluate(
      ([name, values]) => (globalThis as unknown as { callLab: CallLab }).callLab(name, values),
      [method, args] as [string, unknown[]],
    ) as ReturnType<Lab[Method]>
  }

  async close(): Promise<void> {
    await this.#browser.close()
    await this.#server.close()
  }
}

type CallLab = (method: string, args: unknown[]) => Promise<unknown>
