/**
 * Where all lines meet: a switch with the public network 203.0.113.0/24 on it, which exists nowhere else. It has no address
 * and no way out.
 */
import type { Namespace } from '../namespaces/namespace.ts'
import type { NamespaceLab } from '../namespaces/lab.ts'

const SWITCH = 'switch'
/** Of whoever is plugged in. */
export const OUTSIDE = 'outside'
const PUBLIC_BITS = 24

export class Exchange {
  readonly #lab: NamespaceLab
  readonly #namespace: Namespace
  #lines = 0

  constructor(lab: NamespaceLab) {
    this.#lab = lab
    this.#namespace = lab.add('exchange')
    this.#namespace.ip('link', 'add', SWITCH, 'type', 'bridge')
    this.#namespace.ip('link', 'set', SWITCH, 'up')
  }

  /** Connects a machine under a public address; its end is called `outside`. */
  connect(namespace: Namespace, address: string): Line {
    this.#lines += 1
    const device = `line${this.#lines}`
    this.#lab.cable({ namespace: this.#namespace, device }, { namespace, device: OUTSIDE })
    this.#namespace.ip('link', 'set', device, 'master', SWITCH)
    namespace.ip('addr', 'add', publicAddress(address), 'dev', OUTSIDE)
    return new Line(this.#namespace, device)
  }
}

/** One line to the exchange. It is cut there, so that the machine's own end is not the one that goes down. */
export class Line {
  readonly #exchange: Namespace
  readonly #device: string

  constructor(exchange: Namespace, device: string) {
    this.#exchange = exchange
    this.#device = device
  }

  cut(): void {
    this.#exchange.ip('link', 'set', this.#device, 'down')
  }

  mend(): void {
    this.#exchange.ip('link', 'set', this.#device, 'up')
  }
}

export function publicAddress(address: string): string {
  return `${address}/${PUBLIC_BITS}`
}
