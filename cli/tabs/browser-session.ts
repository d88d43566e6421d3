/** One browser for the donor tabs of this process: found or installed, started on the slot's profile, closed with the rest. */
import { ensureBrowsers } from '../browser/install.ts'
import { launchBrowser, type LaunchedBrowser } from '../browser/launch.ts'
import { ownTempDir, type Lifecycle } from '../lifecycle.ts'
import type { Output } from '../output/console.ts'
import type { Slot } from '../profile/slots.ts'

export interface BrowserSessionOptions {
  chromium: string | undefined
  installBrowser: string
  backend: string
  headed: boolean
  slot: Slot
  /** Loopback port of the page. */
  port: number
  lifecycle: Lifecycle
  output: Output
}

/** @throws SwarmError NO_BROWSER, NO_ADAPTER */
export async function openBrowser(options: BrowserSessionOptions): Promise<LaunchedBrowser> {
  const { lifecycle, output } = options
  const progress = (text: string): void => output.progress(text)
  const browsers = await ensureBrowsers({
    named: options.chromium,
    install: options.installBrowser === 'never' ? 'never' : 'auto',
    signal: lifecycle.signal,
    progress,
  })
  ownTempDir()
  output.progress(`Starting ${browsers[0]?.path ?? 'the browser'} …`)
  const launched = await launchBrowser({
    browsers,
    profileDir: options.slot.profileDir,
    port: options.port,
    backend: options.backend as 'auto' | 'webgpu' | 'software',
    headed: options.headed,
    signal: lifecycle.signal,
    progress,
  })
  lifecycle.onClose('browser', () => launched.context.close())
  lifecycle.signal.throwIfAborted()
  const kind = launched.adapter === 'real' ? 'GPU' : 'software adapter (no GPU is used: it works, slowly)'
  output.progress(`Adapter: ${launched.adapterName}, ${kind}.`)
  return launched
}
