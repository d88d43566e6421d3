/**
 * The relay's flags as plain data: spellings, type, default, help and check. The command line turns them into its own
 * option table, help and `--print-config`; `config.ts` turns the values into a `RelayConfig`.
 */
import { DEFAULT_RELAY_LIMITS as DEFAULTS } from './limits.ts'

export interface RelayOption<T> {
  kind: 'text' | 'integer' | 'number' | 'boolean' | 'list'
  help: string
  default: T
  placeholder?: string
  /** Further spellings in kebab case; every spelling is also taken with underscores. */
  aliases?: readonly string[]
  /** Environment variables; by default TABSWARM_<NAME>. */
  env?: readonly string[]
  choices?: readonly string[]
  /** Reason why a value is refused, or null. */
  check?: (value: NonNullable<T>) => string | null
  /** Accepted for the sake of the original's command lines, and means nothing here: the sentence that says why. */
  ignored?: string
  group?: string
}

type Value<T> = T extends RelayOption<infer V> ? V : never
/** Values by option name, as the command line has parsed them. */
export type RelayOptionValues = { [Name in keyof typeof relayOptions]: Value<(typeof relayOptions)[Name]> }

const RPC_PORTS = 'means nothing here: one port serves page, WebSocket and DHT, and tabs need none'
const LIMITS = 'Limits'

export const relayOptions = {
  port: integer('Port of the page, the WebSocket and everything else; 0 takes a free one.', 8080, {
    aliases: ['dht-port'],
    check: isPort,
  }),
  host: text('Address to listen on; 127.0.0.1 keeps the relay on this machine.', '0.0.0.0'),
  publicIp: list('Public address, when it differs from what this machine sees; several with commas, IPv6 too.'),
  publicPort: optionalInteger('Public port, when it differs from --port.', {
    aliases: ['public-dht-port'],
    check: (port) => (port === 0 ? 'must be between 1 and 65535' : isPort(port)),
  }),
  publicHost: list('Names under which the page may be opened, such as swarm.example.org.'),
  tlsCert: optionalText('Certificate (PEM, with its chain) for https; read again when the file changes.'),
  tlsKey: optionalText('Its key (PEM).'),
  behindProxy: flag('A proxy in front does https: plain http here, and --public-host names are announced as https.'),
  rpcPort: optionalInteger('Accepted for old command lines.', { ignored: RPC_PORTS }),
  publicRpcPort: optionalInteger('Accepted for old command lines.', { ignored: RPC_PORTS }),
  dhtInitialPeers: text('Addresses of other relays of the same swarm, separated by commas.', '', {
    placeholder: 'MULTIADDR,…',
  }),
  dataDir: optionalText('Folder for the identity and what may be kept between runs.'),
  keyFile: optionalText('File of the identity; by default relay-key in the data folder.'),
  modelsDir: list('Folder with models as <name>/ or <org>/<name>/; may be given several times.'),
  hubUrl: text('Hub that other models are read from.', 'https://huggingface.co', {
    env: ['TABSWARM_HUB_URL', 'HF_ENDPOINT'],
    check: isHttpUrl,
  }),
  hubCdn: list('Origins that this hub redirects downloads to, when they are not its own.'),
  directory: text('The relay’s own directory and its fan-out; off leaves the DHT alone.', 'on', {
    choices: ['on', 'off'],
  }),
  logFormat: text('Log as text or as JSON lines.', 'text', { choices: ['text', 'json'] }),
  metrics: text('Who may read /metrics.', 'loopback', { choices: ['loopback', 'public', 'off'] }),
  restartAfter: integer('Seconds after which a relay that is stopped tells everyone it is back; 0 does not say.', 10, {
    placeholder: 'SECONDS',
    check: (seconds) => (seconds >= 0 && seconds <= 3_600 ? null : 'must be between 0 and 3600'),
  }),
  ca: optionalText('Certificate (PEM) of an authority to trust as well, for relays with certificates of their own.', {
    placeholder: 'FILE',
  }),
  stun: text(
    'STUN for tabs behind routers: on this relay’s UDP port (on), none (off), or another server’s URL.',
    'on',
    {
      placeholder: 'off|URL',
      check: (value) =>
        /^(on|off|stuns?:[^\s/]+)$/u.test(value) ? null : 'must be on, off, or like stun:stun.example:3478',
    },
  ),
  trustProxy: list(
    'Addresses or networks of proxies whose X-Forwarded-For names the real visitor; with --behind-proxy this machine’s.',
  ),
  maxConnections: limit('Connections at once.', DEFAULTS.maxConnections),
  maxConnectionsPerAddress: limit('The same, from one address.', DEFAULTS.maxConnectionsPerAddress),
  maxPendingConnections: limit('Connections whose handshake is under way.', DEFAULTS.maxPendingConnections),
  maxPendingConnectionsPerAddress: limit('The same, from one address.', DEFAULTS.maxPendingConnectionsPerAddress),
  maxJoinsPerSecond: limit('New connections a second from one address.', DEFAULTS.maxJoinsPerSecond),
  maxReservations: limit('Tabs that can be reached through this relay.', DEFAULTS.maxReservations),
  maxReservationsPerAddress: limit('The same, from one address.', DEFAULTS.maxReservationsPerAddress),
  reservationTtl: limit('Seconds a reservation lasts unless renewed.', DEFAULTS.reservationTtlMs / 1_000),
  circuitDuration: limit(
    'Seconds a connection through the relay may last.',
    DEFAULTS.circuitDurationMs / 1_000,
    2_000_000,
  ),
  circuitBytes: limit('Bytes a connection through the relay may carry, both ways.', DEFAULTS.circuitBytes),
  maxCircuitsPerPeer: limit('Connections through the relay of one peer.', DEFAULTS.maxCircuitsPerPeer),
  maxCircuits: limit('Connections through the relay in all.', DEFAULTS.maxCircuits),
  egressBytesPerDay: limit(
    'Bytes sent a day; beyond it new connections through the relay carry signalling only.',
    DEFAULTS.egressBytesPerDay,
  ),
  signallingDuration: limit('Seconds such a connection may last.', DEFAULTS.signallingDurationMs / 1_000, 86_400),
  signallingBytes: limit('Bytes it may carry.', DEFAULTS.signallingBytes),
  maxRecords: limit('Records in the directory.', DEFAULTS.maxRecords),
  maxRecordsPerAddress: limit('The same, from one address.', DEFAULTS.maxRecordsPerAddress),
  maxRecordBytes: limit('Bytes of one record.', DEFAULTS.maxRecordBytes, DEFAULTS.maxRecordBytes),
  recordTtl: limit(
    'Seconds a record is listed unless published again.',
    DEFAULTS.recordTtlMs / 1_000,
    DEFAULTS.recordTtlMs / 1_000,
  ),
  maxHttpBody: limit('Bytes of the body of an HTTP request.', DEFAULTS.http.maxBodyBytes),
  httpHeaderTimeout: limit(
    'Seconds in which the head of an HTTP request must be there.',
    DEFAULTS.http.headerTimeoutMs / 1_000,
    3_600,
  ),
  httpIdleTimeout: limit(
    'Seconds an HTTP connection without a request is kept.',
    DEFAULTS.http.idleTimeoutMs / 1_000,
    3_600,
  ),
} as const

type Extra<T> = Partial<Omit<RelayOption<T>, 'kind' | 'help' | 'default'>>

function text(help: string, value: string, extra: Extra<string> = {}): RelayOption<string> {
  return { ...extra, kind: 'text', help, default: value }
}

function optionalText(help: string, extra: Extra<string | undefined> = {}): RelayOption<string | undefined> {
  return { ...extra, kind: 'text', help, default: undefined }
}

function integer(help: string, value: number, extra: Extra<number> = {}): RelayOption<number> {
  return { ...extra, kind: 'integer', help, default: value }
}

function optionalInteger(help: string, extra: Extra<number | undefined> = {}): RelayOption<number | undefined> {
  return { ...extra, kind: 'integer', help, default: undefined }
}

function flag(help: string, extra: Extra<boolean> = {}): RelayOption<boolean> {
  return { ...extra, kind: 'boolean', help, default: false }
}

function list(help: string, extra: Extra<readonly string[]> = {}): RelayOption<readonly string[]> {
  return { ...extra, kind: 'list', help, default: [] }
}

function limit(help: string, value: number, most: number = Number.MAX_SAFE_INTEGER): RelayOption<number> {
  const check = (given: number) => (given >= 1 && given <= most ? null : `must be between 1 and ${most}`)
  return { kind: 'integer', help, default: value, check, group: LIMITS }
}

function isPort(port: number): string | null {
  return Number.isInteger(port) && port >= 0 && port <= 65_535 ? null : 'must be between 0 and 65535'
}

function isHttpUrl(url: string): string | null {
  return /^https?:\/\//u.test(url) && URL.canParse(url) ? null : 'must be an http or https address'
}
