/** Two machines on one network, and servers of the test that both can reach. */
import { join } from 'node:path'
import { makeTempDir, removeTempDir } from '../processes.ts'
import { startTcpForward, type TcpForward } from '../tcp-forward.ts'
import { NamespaceLab } from './lab.ts'
import type { Namespace } from './namespace.ts'

export class TwoMachines {
  readonly #folder = makeTempDir('machines')
  readonly #lab = new NamespaceLab()
  readonly #forwards: TcpForward[] = []
  readonly machines: readonly [Namespace, Namespace]

  /** With these addresses, on one /24. */
  constructor(addresses: readonly [string, string]) {
    this.machines = [this.#lab.add('0'), this.#lab.add('1')]
    const [a, b] = this.machines
    this.#lab.cable({ namespace: a, device: 'cable' }, { namespace: b, device: 'cable' })
    for (const [index, machine] of this.machines.entries()) {
      machine.ip('addr', 'add', `${addresses[index]}/24`, 'dev', 'cable')
      // Everything else is that way too: multicast needs a route.
      machine.ip('route', 'add', 'default', 'dev', 'cable')
    }
  }

  /** Makes a server of the test, on loopback here, reachable under the same address on both machines. */
  async share(url: string): Promise<void> {
    const port = Number(new URL(url).port)
    const path = join(this.#folder, `${port}.sock`)
    this.#forwards.push(await startTcpForward({ path, toPort: port }))
    for (const machine of this.machines) await machine.pipe([`127.0.0.1:${port}=${path}`])
  }

  /** Ends every process on the machines, and the machines. */
  async stop(): Promise<void> {
    try {
      await this.#lab.stop()
      await Promise.all(this.#forwards.splice(0).map((forward) => forward.stop()))
    } finally {
      removeTempDir(this.#folder)
    }
  }
}
