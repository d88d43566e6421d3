/** Reads a relay's `/config.json`: where the swarm's relays are and which models are on offer. The answer is untrusted. */
import * as v from 'valibot'
import { checkConfigVersion, isStun, MAX_ICE_SERVERS, type AppConfig } from '../../swarm/app-config.ts'
import { peerIdOfAddress } from '../../net/multiaddr.ts'
import { SwarmError } from '../../swarm/errors.ts'

/** The file is a few hundred bytes from a machine nearby; a dead relay must not hold up the next one. */
const TIMEOUT_MS = 3_000
/** While no relay has answered there is nothing to go on with: one on a busy machine may need longer. */
const PATIENCE_MS = 15_000
const MAX_CONFIG_CHARS = 1_000_000

const shortText = v.pipe(v.string(), v.maxLength(2_000))
const schema = v.object({
  version: shortText,
  relays: v.pipe(v.array(shortText), v.maxLength(100)),
  models: v.pipe(
    v.array(
      v.object({
        repo: shortText,
        revision: shortText,
        hubUrl: shortText,
        blocks: v.pipe(v.number(), v.integer(), v.minValue(1)),
        sizeBytes: v.pipe(v.number(), v.minValue(0)),
        description: v.optional(shortText),
      }),
    ),
    v.maxLength(1_000),
  ),
  hubUrl: shortText,
  iceServers: v.pipe(v.array(v.object({ urls: v.custom<string>(isStun) })), v.maxLength(MAX_ICE_SERVERS)),
  // For developers only: what is not understood in it is left out.
  developer: v.fallback(v.optional(v.object({ directory: v.literal('off') })), undefined),
})

export type RelayConfig = Pick<AppConfig, 'version' | 'relays' | 'models' | 'hubUrl' | 'iceServers' | 'developer'>

export interface RelayEntry {
  /** Where the config was read; relative hub addresses in it belong to this origin. */
  origin: string
  config: RelayConfig
}

/**
 * null when nothing (or something else) answers there.
 * @throws SwarmError NO_RELAY for a certificate that is not trusted, WRONG_VERSION for a relay of another version
 */
export async function readRelayConfig(
  origin: string,
  signal: AbortSignal,
  timeoutMs = TIMEOUT_MS,
): Promise<RelayEntry | null> {
  // A timer of our own: Node's fetch may neither settle nor keep the process alive when a connection is accepted and cut
  // at once (a forwarded port whose server is dead), and AbortSignal.timeout does not keep it alive either. Seen: the
  // whole command ended without a word.
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs)
  try {
    const response = await fetch(`${origin}/config.json`, { signal: AbortSignal.any([signal, late.signal]) })
    if (!response.ok) return null
    const text = await response.text()
    if (text.length > MAX_CONFIG_CHARS) return null
    const value: unknown = JSON.parse(text)
    checkConfigVersion(value, `the relay at ${origin}`)
    const parsed = v.safeParse(schema, value)
    if (!parsed.success) return null
    const models = parsed.output.models.map(({ description, ...model }) =>
      description === undefined ? model : { ...model, description },
    )
    const { developer, ...config } = parsed.output
    return { origin, config: { ...config, models, ...(developer === undefined ? {} : { developer }) } }
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof SwarmError) throw error
    if (error instanceof SyntaxError) return null
    const reason = whyUntrusted(error)
    if (reason !== null) throw untrusted(origin, reason)
    // Refused, timed out, cut: this relay is dead, and the caller has others.
    return null
  } finally {
    clearTimeout(timer)
  }
}

/** What TLS says of a certificate, or null when the failure is another. */
function whyUntrusted(error: unknown): string | null {
  const cause = error instanceof Error ? error.cause : undefined
  const code = cause instanceof Error ? (cause as NodeJS.ErrnoException).code : undefined
  if (code === undefined || !(cause instanceof Error)) return null
  return /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)/.test(code) ? cause.message : null
}

function untrusted(origin: string, reason: string): SwarmError {
  return new SwarmError('NO_RELAY', `The certificate of ${origin} is not trusted: ${reason}`, {
    action:
      'If it is the operator’s own, give the file of its authority with --ca FILE; else use the name it was made for.',
    details: { origin },
  })
}

/** The http origin of a relay's multiaddr, null when it cannot be one. */
export function httpOriginOf(address: string): string | null {
  const match = /^\/(ip4|ip6|dns|dns4|dns6)\/([^/]+)\/tcp\/(\d+)(\/tls\/ws|\/wss|\/ws)?(\/p2p\/|$)/.exec(address)
  if (match === null) return null
  const [, kind, host, port, suffix] = match
  const scheme = suffix === '/tls/ws' || suffix === '/wss' ? 'https' : 'http'
  return `${scheme}://${kind === 'ip6' ? `[${host}]` : host}:${port}`
}

/**
 * The configs of the given relays that answer, in the order given. The first is waited for with patience; when it is
 * there, the others get a moment more.
 */
export async function readRelayConfigs(
  addresses: readonly string[],
  signal: AbortSignal,
  { patienceMs = PATIENCE_MS, othersMs = TIMEOUT_MS } = {},
): Promise<RelayEntry[]> {
  const origins = new Set(addresses.map(httpOriginOf).filter((origin) => origin !== null))
  const enough = new AbortController()
  const refused: SwarmError[] = []
  let timer: NodeJS.Timeout | undefined
  const read = async (origin: string): Promise<RelayEntry | null> => {
    try {
      const entry = await readRelayConfig(origin, AbortSignal.any([signal, enough.signal]), patienceMs)
      if (entry !== null) timer ??= setTimeout(() => enough.abort(), othersMs)
      return entry
    } catch (error) {
      signal.throwIfAborted()
      // Else it is the abort because others have answered.
      if (error instanceof SwarmError) refused.push(error)
      return null
    }
  }
  try {
    const entries = (await Promise.all([...origins].map(read))).filter((entry) => entry !== null)
    // A dead relay may come back; one that is not trusted or of another version will not get better by waiting.
    if (entries.length === 0 && refused[0] !== undefined) throw refused[0]
    return entries
  } finally {
    clearTimeout(timer)
  }
}

/** Given addresses first, then what their configs name; one entry a peer and address. */
export function mergeRelays(given: readonly string[], entries: readonly RelayEntry[]): string[] {
  const named = entries.flatMap((entry) => entry.config.relays).filter((address) => peerIdOfAddress(address) !== null)
  return [...new Set([...given, ...named])]
}

/** Of all relays, so that one that is down is not the only one asked. */
export function iceServersOf(configs: readonly Pick<AppConfig, 'iceServers'>[]): { urls: string }[] {
  const urls = new Set(configs.flatMap(({ iceServers }) => iceServers.map((server) => server.urls)))
  return [...urls].slice(0, MAX_ICE_SERVERS).map((url) => ({ urls: url }))
}
