/**
 * Starts a browser on a slot's profile: the first installed one that really starts, on a real adapter where there is
 * one, else on none for WebAssembly, or on the software adapter where WebGPU is asked for. Opens no page but the one that asks for the adapter.
 */
import { chromium, type BrowserContext } from 'playwright'
import type { BackendChoice } from '../../swarm/backend.ts'
import { describeError, SwarmError } from '../../swarm/errors.ts'
import { withoutHubToken } from '../tabs/hub-token.ts'
import { chromiumArgs, isRoot, mayHaveGpu, TAB_ORIGIN, type Adapter } from './flags.ts'
import type { FoundBrowser } from './find.ts'

export interface LaunchOptions {
  browsers: readonly FoundBrowser[]
  profileDir: string
  /** Loopback port that serves the page. */
  port: number
  backend: BackendChoice
  headed: boolean
  acceptedKeys: readonly string[]
  signal: AbortSignal
  progress: (text: string) => void
}

export interface LaunchedBrowser {
  context: BrowserContext
  adapter: Adapter
  /** As the browser names the adapter; empty without one. */
  adapterName: string
}

/** @throws SwarmError NO_BROWSER, NO_ADAPTER */
export async function launchBrowser(options: LaunchOptions): Promise<LaunchedBrowser> {
  if (isRoot()) options.progress('Running as root: the browser’s sandbox is off, because Chromium refuses it for root.')
  for (const adapter of adaptersFor(options.backend, mayHaveGpu())) {
    const context = await launchFirst(options, adapter)
    if (adapter === 'none') return { context, adapter, adapterName: '' }
    const name = await askAdapter(context, adapter)
    if (name !== null) return { context, adapter, adapterName: name }
    await context.close()
  }
  throw new SwarmError('NO_ADAPTER', 'The browser offers no WebGPU adapter, not even the software one', {
    action:
      'Leave out --backend to compute with WebAssembly, or use a current Chrome or Chromium (113 or newer), for example with --chromium PATH.',
  })
}

/** What to try, one after another. */
export function adaptersFor(backend: BackendChoice, mayHaveRealOne: boolean): readonly Adapter[] {
  const real: readonly Adapter[] = mayHaveRealOne ? ['real'] : []
  switch (backend) {
    case 'auto':
      return [...real, 'none']
    case 'webgpu':
      return [...real, 'software']
    case 'software':
      return ['software']
    case 'wasm':
      return ['none']
    default:
      return backend satisfies never
  }
}

/** Tries each browser found: a snap stub or one that lacks libraries does not start. */
async function launchFirst(options: LaunchOptions, adapter: Adapter): Promise<BrowserContext> {
  let last: unknown = null
  for (const browser of options.browsers) {
    try {
      return await chromium.launchPersistentContext(options.profileDir, {
        executablePath: browser.path,
        // The page gets the token from us, in memory; the browser's own processes need none.
        env: withoutHubToken(),
        headless: !options.headed,
        chromiumSandbox: !isRoot(),
        // Signals are handled by the command, which closes the tabs politely first.
        handleSIGINT: false,
        handleSIGTERM: false,
        handleSIGHUP: false,
        args: chromiumArgs({
          adapter,
          port: options.port,
          sandbox: !isRoot(),
          acceptedKeys: options.acceptedKeys,
        }),
      })
    } catch (error) {
      options.signal.throwIfAborted()
      last = error
      options.progress(`${browser.path} did not start: ${firstLine(describeError(error))}`)
    }
  }
  throw new SwarmError('NO_BROWSER', `No browser started (tried ${options.browsers.map((b) => b.path).join(', ')})`, {
    action: 'Install Chrome or Chromium, or name one with --chromium PATH.',
    cause: last,
  })
}

/** The adapter's name, or null when there is none of the wanted kind. */
async function askAdapter(context: BrowserContext, wanted: Adapter): Promise<string | null> {
  const page = context.pages()[0] ?? (await context.newPage())
  // Any address of our origin: WebGPU exists only in a secure context.
  await page.goto(`${TAB_ORIGIN}/config.json`)
  const found = await page.evaluate(async () => {
    const adapter = (await navigator.gpu?.requestAdapter()) ?? null
    if (adapter === null) return null
    const { vendor, architecture, description, isFallbackAdapter } = adapter.info
    const name = description === '' ? `${vendor} ${architecture}` : description
    return {
      name: name.trim(),
      software: isFallbackAdapter || /swiftshader|llvmpipe/i.test(`${vendor}${architecture}${name}`),
    }
  })
  if (found === null) return null
  if (wanted === 'real' && found.software) return null
  return found.name === '' ? 'unnamed adapter' : found.name
}

function firstLine(message: string): string {
  return message.split('\n')[0] ?? message
}
