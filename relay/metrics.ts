/**
 * The relay's figures for Prometheus. No address, peer id, prompt or text of a peer is in any of them: the only labels are
 * names of limits, roles and states, and the models that this relay itself offers with their blocks. `deploy/` has a
 * dashboard and alert rules over them; a test holds their names against a running relay.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { PeerRole } from '../net/directory-messages.ts'
import { PROTOCOL_VERSION } from '../swarm/protocol.ts'

export interface MetricSources {
  connections: () => number
  pending: () => number
  isReady: () => boolean
  reservations: () => number
  maxReservations: number
  circuits: () => number
  /** Of them, those that have carried more than signalling. */
  circuitsCarrying: () => number
  records: () => number
  peers: (role: PeerRole) => number
  links: () => number
  egressBytesToday: () => number
  egressBytesPerDay: number
  /** Null without a certificate of its own. */
  certificateDaysLeft: () => number | null
  /** How well each offered model is held. */
  models: () => Promise<ModelCoverage[]>
}

export interface ModelCoverage {
  model: string
  /** Fresh records of peers that serve or load it. */
  peers: number
  /** Peers that serve each block: a block with 0 means that the model cannot answer. */
  holders: readonly number[]
}

type LabelledValues = readonly ({ value: number } & Record<string, string | number>)[]
/** Values of one figure, each with its labels. */
type Reading = () => LabelledValues | Promise<LabelledValues>

const ROLES: readonly PeerRole[] = ['donor', 'client', 'relay']

export class RelayMetrics {
  readonly #registry = new Registry()
  readonly #refusals: Counter<'reason'>
  readonly #sent: Counter
  readonly #relayed: Counter
  readonly #hellos: Counter<'version'>
  readonly #failedJoins: Counter
  readonly #joins: Histogram
  readonly #failedLinks: Counter
  readonly #stun: Counter<'result'>
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
    this.#relayed = new Counter({
      name: 'tabswarm_relay_relayed_bytes_total',
      help: 'Bytes carried between peers, both ways.',
      registers,
    })
    this.#hellos = new Counter({
      name: 'tabswarm_relay_hellos_total',
      help: 'Peers that said hello, by their version of the protocol: this relay’s own or another.',
      labelNames: ['version'],
      registers,
    })
    this.#failedJoins = new Counter({
      name: 'tabswarm_relay_failed_joins_total',
      help: 'Connections that ended before their handshake did.',
      registers,
    })
    this.#joins = new Histogram({
      name: 'tabswarm_relay_join_seconds',
      help: 'Peers that joined, by the time their handshake took.',
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    })
    this.#stun = new Counter({
      name: 'tabswarm_relay_stun_requests_total',
      help: 'Packets at the STUN port: answered, invalid, or more than a second’s share (flood).',
      labelNames: ['result'],
      registers,
    })
    this.#failedLinks = new Counter({
      name: 'tabswarm_relay_failed_link_dials_total',
      help: 'Dials to other relays that failed.',
      registers,
    })
    const labelled: [name: string, help: string, labels: string[], read: Reading][] = [
      [
        'peers',
        'Open directory streams by what the peer is.',
        ['role'],
        () => ROLES.map((role) => ({ role, value: sources.peers(role) })),
      ],
      [
        'reservations',
        'Places for peers that are reached through this relay.',
        ['state'],
        () => [
          { state: 'held', value: sources.reservations() },
          { state: 'free', value: Math.max(0, sources.maxReservations - sources.reservations()) },
        ],
      ],
      [
        'circuits',
        'Connections carried by this relay: carrying those that took more than signalling.',
        ['state'],
        () => [
          { state: 'quiet', value: Math.max(0, sources.circuits() - sources.circuitsCarrying()) },
          { state: 'carrying', value: sources.circuitsCarrying() },
        ],
      ],
      [
        'model_peers',
        'Fresh records of an offered model.',
        ['model'],
        async () => (await sources.models()).map(({ model, peers }) => ({ model, value: peers })),
      ],
      [
        'model_least_holders',
        'Peers that serve the block of an offered model that the fewest serve; 0: it cannot answer.',
        ['model'],
        async () => (await sources.models()).map(({ model, holders }) => ({ model, value: Math.min(...holders) })),
      ],
      [
        'block_holders',
        'Peers that serve a block of an offered model.',
        ['model', 'block'],
        async () =>
          (await sources.models()).flatMap(({ model, holders }) =>
            holders.map((value, block) => ({ model, block: String(block), value })),
          ),
      ],
    ]
    for (const [name, help, labels, read] of labelled) this.#addLabelled(name, help, labels, registers, read)
    const gauges: [name: string, help: string, read: () => number][] = [
      ['ready', '1 while peers can join.', () => Number(sources.isReady())],
      ['connections', 'Open connections.', sources.connections],
      ['pending_connections', 'Connections whose handshake is under way.', sources.pending],
      ['records', 'Fresh records in the directory.', sources.records],
      ['links', 'Relays this one is linked with.', sources.links],
      ['egress_bytes_today', 'Bytes sent to peers since midnight UTC.', sources.egressBytesToday],
      ['egress_budget_bytes', 'Bytes that may be sent a day.', () => sources.egressBytesPerDay],
      [
        'certificate_days_left',
        'Days until the certificate ends; +Inf where a proxy does https, or nobody.',
        () => sources.certificateDaysLeft() ?? Number.POSITIVE_INFINITY,
      ],
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

  relayed(bytes: number): void {
    this.#relayed.inc(bytes)
  }

  /** `version` is the other side's text, so anything but our own is counted as one. */
  hello(version: string): void {
    this.#hellos.inc({ version: version === PROTOCOL_VERSION ? version : 'other' })
  }

  joinFailed(): void {
    this.#failedJoins.inc()
  }

  sent(bytes: number): void {
    this.#sent.inc(bytes)
  }

  joined(seconds: number): void {
    this.#joins.observe(seconds)
  }

  stun(result: 'answered' | 'invalid' | 'flood'): void {
    this.#stun.inc({ result })
  }

  linkFailed(): void {
    this.#failedLinks.inc()
  }

  stop(): void {
    this.#delay.disable()
    this.#registry.clear()
  }

  #addLabelled(name: string, help: string, labelNames: string[], registers: Registry[], read: Reading): void {
    const gauge: Gauge = new Gauge({
      name: `tabswarm_relay_${name}`,
      help,
      labelNames,
      registers,
      collect: async () => {
        for (const { value, ...labels } of await read()) gauge.set(labels, value)
      },
    })
  }

  #readDelay(): number {
    const seconds = this.#delay.percentile(99) / 1e9
    this.#delay.reset()
    return Number.isFinite(seconds) ? seconds : 0
  }
}
