/**
 * The router between a home and the exchange: address translation in one of three kinds, counters of what really went
 * through it, a line that can be cut, another public address, a narrower line.
 */
import type { NamespaceLab } from '../namespaces/lab.ts'
import type { Namespace } from '../namespaces/namespace.ts'
import { OUTSIDE, publicAddress, type Exchange, type Line } from './exchange.ts'

/**
 * `home`: a port stays the same whoever is talked to, as in nearly every home: two such meet through STUN.
 * `random-ports`: another port for each conversation, as some carriers do: what STUN said is of no use to others.
 * `no-udp`: only TCP passes, as in some offices.
 */
export type RouterKind = 'home' | 'random-ports' | 'no-udp'

const INSIDE = 'inside'
/** The last bytes of what a line may be behind before packets are dropped. */
const SHAPED_LATENCY = '100ms'
const SHAPED_BURST = '32kb'

export class Router {
  readonly namespace: Namespace
  readonly line: Line
  #address: string
  #kind: RouterKind = 'home'

  constructor(lab: NamespaceLab, exchange: Exchange, name: string, address: string) {
    this.namespace = lab.add(`${name}-router`)
    this.#address = address
    this.line = exchange.connect(this.namespace, address)
    this.namespace.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward')
    this.become('home')
  }

  /** Its public address. */
  get address(): string {
    return this.#address
  }

  get kind(): RouterKind {
    return this.#kind
  }

  /** Puts a machine behind it. */
  connect(lab: NamespaceLab, machine: Namespace, inside: { router: string; machine: string }): void {
    lab.cable({ namespace: this.namespace, device: INSIDE }, { namespace: machine, device: 'lan' })
    this.namespace.ip('addr', 'add', `${inside.router}/24`, 'dev', INSIDE)
    machine.ip('addr', 'add', `${inside.machine}/24`, 'dev', 'lan')
    machine.ip('route', 'add', 'default', 'via', inside.router)
  }

  /** Conversations under way keep their translation: whoever is to notice has to begin anew. Counters start again. */
  become(kind: RouterKind): void {
    this.#kind = kind
    this.#iptables('-F')
    this.#iptables('-t', 'nat', '-F')
    const random = kind === 'random-ports' ? ['--random'] : []
    this.#iptables('-t', 'nat', '-A', 'POSTROUTING', '-o', OUTSIDE, '-j', 'MASQUERADE', ...random)
    // Without this an early packet of the other side is delivered to the router itself and takes the port that the
    // home's own packet was about to get.
    this.#iptables('-A', 'INPUT', '-i', OUTSIDE, '-p', 'udp', '-j', 'DROP')
    if (kind === 'no-udp') this.#iptables('-A', 'FORWARD', '-p', 'udp', '-j', 'DROP')
  }

  /** From now on UDP that passes inwards from these addresses is counted, each for itself. */
  count(addresses: readonly string[]): void {
    for (const address of addresses) {
      this.#forget(address)
      // Behind the drop of `no-udp`, which leaves nothing to count: there the relay's bytes are the evidence.
      this.#iptables('-A', 'FORWARD', '-i', OUTSIDE, '-p', 'udp', '-s', address)
    }
  }

  #forget(address: string): void {
    const rules = this.namespace.run('iptables-save', '-t', 'filter')
    if (!rules.includes(`-s ${address}/32`)) return
    this.#iptables('-D', 'FORWARD', '-i', OUTSIDE, '-p', 'udp', '-s', address)
  }

  /** Bytes of UDP that came in from that public address since `count`. */
  udpBytesFrom(address: string): number {
    const rules = this.namespace.run('iptables-save', '-c', '-t', 'filter')
    const rule = rules.split('\n').find((line) => line.includes('-A FORWARD') && line.includes(`-s ${address}/32`))
    const bytes = /^\[\d+:(\d+)\]/.exec(rule ?? '')?.[1]
    if (bytes === undefined) throw new Error(`UDP from ${address} is not counted:\n${rules}`)
    return Number(bytes)
  }

  /** As when a provider gives another one: every translation under way ends with the old. */
  changeAddress(address: string): void {
    this.namespace.ip('addr', 'del', publicAddress(this.#address), 'dev', OUTSIDE)
    this.namespace.ip('addr', 'add', publicAddress(address), 'dev', OUTSIDE)
    this.#address = address
  }

  /** Both directions, such as `10mbit`; null takes the limit away. */
  shape(rate: string | null): void {
    for (const device of [OUTSIDE, INSIDE]) {
      if (rate === null) this.#tc('qdisc', 'del', 'dev', device, 'root')
      else
        this.#tc(
          'qdisc',
          'add',
          'dev',
          device,
          'root',
          'tbf',
          'rate',
          rate,
          'burst',
          SHAPED_BURST,
          'latency',
          SHAPED_LATENCY,
        )
    }
  }

  /** How often the shaped line made a packet wait, both directions. */
  shapedWaits(): number {
    const shown = this.#tc('-s', 'qdisc', 'show')
    return Array.from(shown.matchAll(/overlimits (\d+)/g)).reduce((sum, match) => sum + Number(match[1]), 0)
  }

  #iptables(...args: readonly string[]): void {
    // Several commands at once wait for each other.
    this.namespace.run('iptables', '-w', ...args)
  }

  #tc(...args: readonly string[]): string {
    return this.namespace.run('tc', ...args)
  }
}
