/**
 * A Chromium that hides, throttles and freezes its tabs as it does for a person: started without a driver, whose pages always
 * call themselves visible and ignore `freeze`, and spoken to by the DevTools protocol alone. All its processes are one group,
 * so that a sleeping laptop is SIGSTOP to the group.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chromiumArgs, isRoot } from '../../../cli/browser/flags.ts'
import { findChromium } from '../browser.ts'
import { cleanEnv, makeTempDir, removeTempDir, startProcess, type StartedProcess } from '../processes.ts'
import { Devtools } from './devtools.ts'
import { CdpTab } from './tab.ts'

export class CdpChromium {
  readonly #process: StartedProcess
  readonly #profile: string
  readonly #devtools: Devtools
  #isAsleep = false

  private constructor(process: StartedProcess, profile: string, devtools: Devtools) {
    this.#process = process
    this.#profile = profile
    this.#devtools = devtools
  }

  /** @throws Error with what the browser said when it does not start */
  static async start(args: readonly string[] = []): Promise<CdpChromium> {
    const profile = makeTempDir('chromium')
    // chrome://discards is closed otherwise.
    writeFileSync(join(profile, 'Local State'), JSON.stringify({ internal_only_uis_enabled: true }))
    const started = startProcess(
      findChromium(),
      [
        '--headless=new',
        '--remote-debugging-port=0',
        `--user-data-dir=${profile}`,
        '--no-first-run',
        '--no-default-browser-check',
        '--disable-dev-shm-usage',
        '--lang=en-US',
        ...chromiumArgs({ adapter: 'software', port: null, sandbox: !isRoot() }),
        ...args,
        'about:blank',
      ],
      { env: cleanEnv(), cwd: profile, asGroup: true },
    )
    const line = await started.waitForLine(/^DevTools listening on ws:/, 60_000)
    return new CdpChromium(started, profile, await Devtools.connect(line.replace('DevTools listening on ', '')))
  }

  /** A new tab in the one window, in front: every other one is hidden from then on. */
  async open(url: string): Promise<CdpTab> {
    return CdpTab.open(this.#devtools, url)
  }

  /**
   * The browser takes the tab's memory, as when it runs short; nothing is told to the page. Returns what a click on the tab
   * does: it is loaded anew.
   */
  async discard(tab: CdpTab): Promise<() => Promise<CdpTab>> {
    const url = await tab.evaluate<string>('location.href')
    const discards = await this.open('chrome://discards')
    const rows = `[...document.querySelector('discards-main').shadowRoot.querySelector('discards-tab').shadowRoot.querySelectorAll('tbody tr')]`
    const row = `${rows}.find((row) => row.querySelector('.tab-url-cell')?.textContent === ${JSON.stringify(url)})`
    await discards.until(`${row} !== undefined`)
    // A page that somebody inspects is not discarded.
    await tab.detach()
    await discards.evaluate(
      `[...${row}.querySelectorAll('.actions-cell div')].find((link) => link.textContent.includes('Urgent Discard')).click()`,
    )
    return async () => {
      const { targetInfos } = await this.#devtools.send('Target.getTargets')
      const found = (targetInfos as { targetId: string; url: string }[]).find((target) => target.url === url)
      if (found === undefined) throw new Error(`no tab shows ${url}`)
      // Shown first: what has no process answers nobody.
      await this.#devtools.send('Target.activateTarget', { targetId: found.targetId })
      return await CdpTab.attach(this.#devtools, found.targetId)
    }
  }

  /** The laptop sleeps: no process of the browser runs, its connections stay as they are. */
  sleep(): void {
    this.#isAsleep = true
    this.#process.signal('SIGSTOP')
  }

  wake(): void {
    this.#isAsleep = false
    this.#process.signal('SIGCONT')
  }

  async stop(): Promise<void> {
    if (this.#isAsleep) this.wake()
    await this.#devtools.send('Browser.close').catch(() => undefined)
    this.#devtools.close()
    await this.#process.exited(10_000).catch(() => undefined)
    await this.#process.stop()
    removeTempDir(this.#profile)
  }
}
