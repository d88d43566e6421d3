/** A home: a router and one machine behind it. A phone is one as well, behind its carrier's router. */
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findChromium } from '../browser.ts'
import type { NamespaceLab } from '../namespaces/lab.ts'
import type { Namespace } from '../namespaces/namespace.ts'
import { makeTempDir, removeTempDir, type StartedProcess } from '../processes.ts'
import type { Exchange } from './exchange.ts'
import { Router } from './router.ts'

/** Two homes have the same addresses inside, as homes do: whoever takes them for the way to each other is wrong. */
const HOME_INSIDE = { router: '192.168.1.1', machine: '192.168.1.10' }
/** Of carriers' routers (RFC 6598). */
const CARRIER_INSIDE = { router: '100.64.0.1', machine: '100.64.0.10' }

export class Home {
  readonly name: string
  readonly router: Router
  readonly machine: Namespace
  readonly dataDir: string

  constructor(lab: NamespaceLab, exchange: Exchange, name: string, address: string, kind: 'home' | 'phone') {
    this.name = name
    this.dataDir = makeTempDir(name)
    this.router = new Router(lab, exchange, name, address)
    this.machine = lab.add(name)
    this.router.connect(lab, this.machine, kind === 'home' ? HOME_INSIDE : CARRIER_INSIDE)
  }

  tabswarm(...args: readonly string[]): StartedProcess {
    return this.machine.tabswarm(args, { dataDir: this.dataDir })
  }

  /** A command that starts a browser on this machine. */
  browserWrapper(): string {
    const file = join(this.dataDir, 'chromium-here')
    writeFileSync(file, `#!/bin/sh\nexec ip netns exec '${this.machine.name}' '${findChromium()}' "$@"\n`)
    chmodSync(file, 0o755)
    return file
  }

  removeData(): void {
    removeTempDir(this.dataDir)
  }
}
