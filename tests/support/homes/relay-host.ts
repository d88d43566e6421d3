/** The operator's machine: a public address of its own, a relay on it. */
import { join } from 'node:path'
import type { NamespaceLab } from '../namespaces/lab.ts'
import type { Namespace } from '../namespaces/namespace.ts'
import { firstAddress } from '../original-guide.ts'
import { makeTempDir, removeTempDir } from '../processes.ts'
import type { Exchange, Line } from './exchange.ts'

const PORT = 8080

export class RelayHost {
  readonly address = '203.0.113.10'
  readonly machine: Namespace
  readonly line: Line
  readonly #dataDir = makeTempDir('relay')

  constructor(lab: NamespaceLab, exchange: Exchange) {
    this.machine = lab.add('relay')
    this.line = exchange.connect(this.machine, this.address)
  }

  /** Its address to paste. */
  async startRelay(...args: readonly string[]): Promise<string> {
    const own = ['--port', String(PORT), '--public-ip', this.address, '--data-dir', join(this.#dataDir, 'relay')]
    const relay = this.machine.tabswarm(['relay', ...own, ...args], { dataDir: this.#dataDir })
    return firstAddress(await relay.waitForLine(/DHT visible multiaddrs/, 60_000))
  }

  /** One of its metrics, summed over labels. */
  metric(name: string): number {
    const read = `fetch('http://127.0.0.1:${PORT}/metrics').then((answer) => answer.text()).then(console.log)`
    const lines = this.machine.run(process.execPath, '-e', read).split('\n')
    const values = lines.filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    if (values.length === 0) throw new Error(`the relay has no metric ${name}`)
    return values.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  }

  removeData(): void {
    removeTempDir(this.#dataDir)
  }
}
