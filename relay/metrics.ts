/**
 * The relay's figures for Prometheus. No address, peer id, prompt or text of a peer is in any of them: the only labels are
 * names of limits and of the models that this relay itself offers.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

export interface MetricSources {
  connections: () => number
  pending: () => number
  reservations: () => number
  circuits: () => number
  records: () => number
  directoryPeers: () => number
  links: () => number
  egressBytesToday: () => number
  /** How well each offered model is held. */
  models: () => Promise<ModelCoverage[]>
}

export interface ModelCoverage {
  model: string
  /** Fresh records of peers that serve or load it. */
  peers: number
  /** Peers that serve the block with the fewest of them: 0 means that it cannot answer. */
  leastHolders: number
}

export class RelayMetrics {
  readonly #registry = new Registry()
  readonly #refusals: Counter<'reason'>
  readonly #sent: Counter
  readonly #joins: Histogram
  readonly #failedLinks: Counter
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
    this.#joins = new Histogram({
      name: 'tabswarm_relay_join_seconds',
      help: 'Peers that joined, by the time their handshake took.',
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    })
    this.#failedLinks = new Counter({
      name: 'tabswarm_relay_failed_link_dials_total',
      help: 'Dials to other relays that failed.',
      registers,
    })
    const perModel: [name: string, help: string, read: (of: ModelCoverage) => number][] = [
      ['model_peers', 'Fresh records of an offered model.', ({ peers }) => peers],
      [
        'model_least_holders',
        'Peers that serve the block of an offered model that the fewest serve; 0: it cannot answer.',
        ({ leastHolders }) => leastHolders,
      ],
    ]
    for (const [name, help, read] of perModel) {
      const gauge: Gauge<'model'> = new Gauge({
        name: `tabswarm_relay_${name}`,
        help,
        labelNames: ['model'],
        registers,
        collect: async () => {
          for (const of of await sources.models()) gauge.set({ model: of.model }, read(of))
        },
      })
    }
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

  joined(seconds: number): void {
    this.#joins.observe(seconds)
  }

  linkFailed(): void {
    this.#failedLinks.inc()
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
