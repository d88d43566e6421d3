/** The relay's figures for Prometheus. No address, peer id, prompt or model text is in any of them. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, Registry } from 'prom-client'

export interface MetricSources {
  connections: () => number
  pending: () => number
  reservations: () => number
  circuits: () => number
  records: () => number
  directoryPeers: () => number
  links: () => number
  egressBytesToday: () => number
}

export class RelayMetrics {
  readonly #registry = new Registry()
  readonly #refusals: Counter<'reason'>
  readonly #sent: Counter
  readonly #delay = monitorEventLoopDelay({ resolution: 20 })

  constructor(sources: MetricSources) {
    const registers = [this.#registry]
    this.#refusals = new Counter({
      name: 'tabswarm_relay_refusals_total',
      help: 'Refusals by limit.',
      labelNames: ['reason'],
      registers,
    })
    this.#sent = new Counter({ name: 'tabswarm_relay_sent_bytes_total', help: 'Bytes sent to peers.', registers })
    const gauges: [name: string, help: string, read: () => number][] = [
      ['connections', 'Open connections.', sources.connections],
      ['pending_connections', 'Connections whose handshake is under way.', sources.pending],
      ['reservations', 'Peers that can be reached through this relay.', sources.reservations],
      ['circuits', 'Connections carried by this relay.', sources.circuits],
      ['records', 'Fresh records in the directory.', sources.records],
      ['directory_peers', 'Open directory streams.', sources.directoryPeers],
      ['links', 'Relays this one is linked with.', sources.links],
      ['egress_bytes_today', 'Bytes sent to peers since midnight UTC.', sources.egressBytesToday],
      ['resident_bytes', 'Memory of the process.', () => process.memoryUsage.rss()],
      ['event_loop_delay_p99_seconds', 'Delay of the event loop since the last reading.', () => this.#readDelay()],
    ]
    for (const [name, help, read] of gauges) {
      const gauge: Gauge = new Gauge({
        name: `tabswarm_relay_${name}`,
        help,
        registers,
        collect: () => gauge.set(read()),
      })
    }
    this.#delay.enable()
  }

  get type(): string {
    return this.#registry.contentType
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }

  refused(reason: string): void {
    this.#refusals.inc({ reason })
  }

  sent(bytes: number): void {
    this.#sent.inc(bytes)
  }

  stop(): void {
    this.#delay.disable()
    this.#registry.clear()
  }

  #readDelay(): number {
    const seconds = this.#delay.percentile(99) / 1e9
    this.#delay.reset()
    return Number.isFinite(seconds) ? seconds : 0
  }
}
