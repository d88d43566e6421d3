/** One browser for the donor tabs of this process: found or installed, started on the slot's profile, closed with the rest. */
import type { BackendChoice } from '../../swarm/backend.ts'
import { SwarmError } from '../../swarm/errors.ts'
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
  /** Public keys of relays with certificates of their own. */
  acceptedKeys?: readonly string[]
  lifecycle: Lifecycle
  output: Output
}

/** @throws SwarmError BAD_OPTION, NO_BROWSER, NO_ADAPTER */
export async function openBrowser(options: BrowserSessionOptions): Promise<LaunchedBrowser> {
  const { lifecycle, output } = options
  if (options.headed) checkDisplay()
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
    backend: options.backend as BackendChoice,
    headed: options.headed,
    acceptedKeys: options.acceptedKeys ?? [],
    signal: lifecycle.signal,
    progress,
  })
  lifecycle.onClose('browser', () => launched.context.close())
  lifecycle.signal.throwIfAborted()
  output.progress(adapterLine(launched))
  return launched
}

function adapterLine({ adapter, adapterName }: LaunchedBrowser): string {
  switch (adapter) {
    case 'real':
      return `Adapter: ${adapterName}, GPU.`
    case 'software':
      return `Adapter: ${adapterName}, software adapter (no GPU is used: it works, slowly).`
    case 'none':
      return 'Adapter: none, the tabs compute with WebAssembly on the processor.'
  }
}

/** Without a display Chromium just ends, and says nothing that a person could use. @throws SwarmError BAD_OPTION */
export function checkDisplay(env: NodeJS.ProcessEnv = process.env, platform: NodeJS.Platform = process.platform): void {
  const isSet = (name: string): boolean => (env[name] ?? '') !== ''
  if (platform !== 'linux' || isSet('DISPLAY') || isSet('WAYLAND_DISPLAY')) return
  throw new SwarmError('BAD_OPTION', '--headed shows a window, and there is no display here (DISPLAY is not set)', {
    action: 'Leave out --headed, or start from a desktop session.',
  })
}
