/** Opens the page of chats (`page.ts`) in a browser, beside the tabs that answer, and reads what it has seen. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright'
import { build } from 'vite'
import { patchWebrtcDial } from '../../../net/build/patch-webrtc-dial.ts'
import { makeTempDir, removeTempDir } from '../processes.ts'
import type { ChatsHandle, ChatsRequest, ChatsSeen, SeenToken } from './page.ts'

/** The page's script, built once for a test file. */
export async function buildChatsPage(): Promise<string> {
  const outDir = makeTempDir('chats')
  try {
    await build({
      configFile: false,
      root: import.meta.dirname,
      logLevel: 'error',
      plugins: [patchWebrtcDial()],
      build: {
        outDir,
        target: 'es2023',
        minify: false,
        lib: {
          entry: join(import.meta.dirname, 'page.ts'),
          formats: ['iife'],
          name: 'chatsPage',
          fileName: () => 'chats.js',
        },
      },
    })
    return readFileSync(join(outDir, 'chats.js'), 'utf8')
  } finally {
    removeTempDir(outDir)
  }
}

export class Chats {
  readonly #page: Page
  readonly #request: ChatsRequest
  readonly #said: readonly string[]

  private constructor(page: Page, request: ChatsRequest, said: readonly string[]) {
    this.#page = page
    this.#request = request
    this.#said = said
  }

  static async open(browser: Browser, script: string, request: ChatsRequest): Promise<Chats> {
    const server = createServer((incoming, response) => {
      const isScript = incoming.url?.endsWith('.js') === true
      response.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html')
      response.end(isScript ? script : '<!doctype html><script src="/chats.js"></script>')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const page = await (await browser.newContext()).newPage()
    const said: string[] = []
    page.on('console', (message) => said.push(message.text()))
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
    // All that it needs is there.
    server.closeAllConnections()
    server.close()
    await page
      .evaluate((asked) => chats.open(asked), request)
      .catch((error: unknown) => {
        throw new Error('the page of chats did not open', { cause: error })
      })
    return new Chats(page, request, said)
  }

  /**
   * One chat after another, each when those before it have spoken: a machine that computes for all tabs has no time for
   * everybody's dials at once. @throws Error when one does not speak in `limitMs`
   */
  async begin(limitMs: number): Promise<void> {
    for (let chat = 0; chat < this.#request.count; chat += 1) {
      await this.#page.evaluate(([asked, number]) => chats.begin(asked, number), [this.#request, chat] as const)
      const deadline = performance.now() + limitMs
      for (let seen = await this.seen(); !seen.tokens.some((token) => token.chat === chat); seen = await this.seen()) {
        if (performance.now() > deadline || seen.failures.length > 0) {
          throw new Error(
            `chat ${chat} does not speak: ${[...seen.failures, ...seen.waits, ...this.#said.slice(-20)].join('; ')}`,
          )
        }
        await new Promise((resolve) => setTimeout(resolve, 250))
      }
    }
  }

  async seen(): Promise<ChatsSeen> {
    return await this.#page.evaluate(() => chats.seen())
  }
}

/** Tokens that came in `[from, to)`, milliseconds since 1970. */
export function tokensBetween({ tokens }: ChatsSeen, from: number, to: number): SeenToken[] {
  return tokens.filter(({ at }) => at >= from && at < to)
}

/** Answers that say something else than the longest of them says there: greedy, they are all one text. */
export function strays({ answers }: ChatsSeen): number[][] {
  const longest = answers.reduce((a, b) => (b.length > a.length ? b : a), [])
  return answers.filter((ids) => ids.some((id, index) => id !== longest[index]))
}

/** In the page. */
declare const chats: ChatsHandle
