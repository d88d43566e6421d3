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
  balanceQuality?: number
  meanBalanceCheckPeriod?: number
  weights?: 'auto' | 'f32' | 'f16'
  backend?: 'auto' | 'webgpu' | 'software'
  /** Gigabytes (1e9 bytes) that weights, KV cache and activations may take. */
  memoryGb?: number
  /** Block-steps a second that the tab pretends to be limited to. */
  simulateSpeed?: number
  initialPeers?: string[]
}

/** A browser asks each of them for every connection. */
export const MAX_ICE_SERVERS = 4

/** `stun:host:port`. TURN would carry sessions through somebody that nobody chose: it is not taken. */
export function isStun(url: unknown): url is string {
  return typeof url === 'string' && url.length <= 300 && /^stuns?:(\[[0-9a-f:.]+\]|[^\s/[\]:]+)(:\d{1,5})?$/iu.test(url)
}
