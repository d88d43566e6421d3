/** Two homes and a phone, each behind its own router, and the operator's machine; all meet at the exchange. */
import { NamespaceLab } from '../namespaces/lab.ts'
import type { StartedProcess } from '../processes.ts'
import { READY } from '../swarm.ts'
import { Exchange } from './exchange.ts'
import { Home } from './home.ts'
import { RelayHost } from './relay-host.ts'

export class World {
  readonly #lab = new NamespaceLab()
  readonly relayHost: RelayHost
  readonly homes: readonly [Home, Home]
  readonly phone: Home

  constructor() {
    const exchange = new Exchange(this.#lab)
    this.relayHost = new RelayHost(this.#lab, exchange)
    const home = (name: string, address: string): Home => new Home(this.#lab, exchange, name, address, 'home')
    this.homes = [home('home-a', '203.0.113.11'), home('home-b', '203.0.113.12')]
    this.phone = new Home(this.#lab, exchange, 'phone', '203.0.113.13', 'phone')
    this.countAgain()
  }

  /** Counters of UDP between all of them begin anew: after a router became another kind. */
  countAgain(): void {
    for (const each of this.#everyone) {
      const others = this.#everyone.filter((other) => other !== each)
      each.router.count(others.map((other) => other.router.address))
    }
  }

  /** A donor of half the embedded model in each home, one after the other. */
  async startDonors(address: string, more: readonly string[] = []): Promise<StartedProcess[]> {
    const flags = `--dht_initial_peers ${address} --model tinytales --num_blocks 4 --backend software`.split(' ')
    const donors: StartedProcess[] = []
    for (const home of this.homes) {
      const donor = home.tabswarm('donate', ...flags, ...more)
      donors.push(donor)
      await donor.waitForLine(READY, 90_000)
    }
    return donors
  }

  /** Asks greedily from the phone; does not wait. */
  ask(address: string, ...args: readonly string[]): StartedProcess {
    const flags = `--dht_initial_peers ${address} --model tinytales --temperature 0 --json`.split(' ')
    return this.phone.tabswarm('prompt', ...flags, ...args)
  }

  /** Ends every process and removes every machine. */
  async stop(): Promise<void> {
    try {
      await this.#lab.stop()
    } finally {
      for (const each of [...this.#everyone, this.relayHost]) each.removeData()
    }
  }

  get #everyone(): readonly Home[] {
    return [...this.homes, this.phone]
  }
}
