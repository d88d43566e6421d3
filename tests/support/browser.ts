/**
 * A Chromium for tests: found as the product finds it, on the software adapter, so that a missing browser or adapter is
 * a failure and never a skip. Each launch is the caller's to close.
 */
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright'
import { findBrowsers } from '../../cli/browser/find.ts'
import { chromiumArgs, isRoot, TAB_ORIGIN } from '../../cli/browser/flags.ts'

export { TAB_ORIGIN }

/** @throws Error when this machine has no Chromium */
export function findChromium(): string {
  const found = findBrowsers({ named: process.env['TABSWARM_CHROMIUM'] })[0]
  if (found === undefined) throw new Error('tests need Chrome or Chromium: run npm test, which installs one')
  return found.path
}

export interface LaunchOptions {
  /** Loopback port to map `http://tabswarm.localhost` to; without it pages use real addresses. */
  port?: number
  args?: string[]
  /** A command that starts the browser found here, with its arguments: in another network, for example. */
  wrapper?: string
}

/** Headless Chromium with WebGPU on the software adapter. */
export async function launchChromium(options: LaunchOptions = {}): Promise<Browser> {
  return chromium.launch({
    executablePath: options.wrapper ?? findChromium(),
    headless: true,
    chromiumSandbox: !isRoot(),
    args: [
      ...chromiumArgs({ adapter: 'software', port: options.port ?? null, sandbox: !isRoot() }),
      ...(options.args ?? []),
    ],
  })
}

/** The same with a profile folder, whose OPFS outlives the browser. */
export async function launchChromiumProfile(userDataDir: string, options: LaunchOptions = {}): Promise<BrowserContext> {
  return chromium.launchPersistentContext(userDataDir, {
    executablePath: findChromium(),
    headless: true,
    chromiumSandbox: !isRoot(),
    args: [
      ...chromiumArgs({ adapter: 'software', port: options.port ?? null, sandbox: !isRoot() }),
      ...(options.args ?? []),
    ],
  })
}

/** Collects uncaught page errors and console errors: a test that ends with one should fail. */
export function watchErrors(page: Page): string[] {
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(`pageerror: ${error.message}`))
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(`console: ${message.text()}`)
  })
  return errors
}
