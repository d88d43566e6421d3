import type { AutotuneMode, BackendChoice } from './backend.ts'
import type { RuleName } from './planner/rule-names.ts'
import { SwarmError } from './errors.ts'
import type { KvFormat, WeightChoice } from './model/config.ts'
import { isSameMajor, PROTOCOL_VERSION } from './protocol.ts'

/** Under this name the command line opens its headless tabs; a page that is read so has no person in front of it. */
export const TAB_HOST = 'tabswarm.localhost'

/** `/config.json`: what a relay (or a headless donor's own page server) tells the page and the command line. */
export interface AppConfig {
  /** PROTOCOL_VERSION of the server. */
  version: string
  /** Relays of the swarm: `/ip4|ip6|dns4/…/tcp/…/(ws|tls/ws)/p2p/…`. */
  relays: string[]
  /** Models on offer; others may be named by hand. The first is the default. */
  models: ModelOffer[]
  /** Where models that are not on offer are read: origin of a Hugging Face hub. */
  hubUrl: string
  /** `iceServers` for WebRTC, STUN only, four at most; empty on one machine. */
  iceServers: { urls: string }[]
  /** Defaults for a donor tab of this page, as given to `start` or `donate`. */
  donor: DonorDefaults
  /** Faults to simulate or parts to switch off, for tests and benchmarks: absent in normal use. */
  developer?: { directory?: 'off' }
}

export interface ModelOffer {
  /** `org/name` or `name`. */
  repo: string
  /** Commit, branch or tag. */
  revision: string
  /** Base of the hub's URL layout; a path such as `/hub` is relative to the page's own origin. */
  hubUrl: string
  blocks: number
  /** Bytes of all shards. */
  sizeBytes: number
  description?: string
}

/** Flags of `donate` under their names in camelCase; absent: the product's default. See `donor-settings.ts`. */
export interface DonorDefaults {
  model?: string
  revision?: string
  numBlocks?: number
  totalBlocks?: number
  splits?: string
  stage?: number
  useLoadBalancing?: boolean
  rule?: RuleName
  balanceQuality?: number
  meanBalanceCheckPeriod?: number
  weights?: WeightChoice
  kv?: KvFormat
  backend?: BackendChoice
  autotune?: AutotuneMode
  threads?: number
  /** Gigabytes (1e9 bytes) that weights, KV cache and activations may take. */
  memoryGb?: number
  /** Block-steps a second that the tab pretends to be limited to. */
  simulateSpeed?: number
  initialPeers?: string[]
}

/**
 * Before anything else in it is looked at: a later build may have given it another shape.
 * @param from where it was read
 * @throws SwarmError WRONG_VERSION when it is of a build that does not understand this one
 */
export function checkConfigVersion(config: unknown, from: string): void {
  const version = typeof config === 'object' && config !== null && 'version' in config ? config.version : undefined
  if (typeof version !== 'string' || isSameMajor(version, PROTOCOL_VERSION)) return
  throw new SwarmError(
    'WRONG_VERSION',
    `${from} speaks version ${version.slice(0, 20)} of the protocol, and this side speaks ${PROTOCOL_VERSION}`,
    { action: 'Update the older of the two; a page is updated by reloading it.' },
  )
}

/** A browser asks each of them for every connection. */
export const MAX_ICE_SERVERS = 4

/** `stun:host:port`. TURN would carry sessions through somebody that nobody chose: it is not taken. */
export function isStun(url: unknown): url is string {
  return typeof url === 'string' && url.length <= 300 && /^stuns?:(\[[0-9a-f:.]+\]|[^\s/[\]:]+)(:\d{1,5})?$/iu.test(url)
}
