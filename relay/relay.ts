/**
 * The relay put together: one public port for the page, its configuration, the model mirror, health, metrics and the
 * WebSocket of the swarm. It introduces tabs, carries their signalling and signed records; it never sees a prompt.
 */
import '../net/compat.ts'
import { isIPv6 } from 'node:net'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { DirectoryStore } from '../net/directory-store.ts'
import { peerIdOfAddress } from '../net/multiaddr.ts'
import { privateKeyFromSeed, verifySignature } from '../net/record-crypto.ts'
import type { AppConfig, ModelOffer } from '../swarm/app-config.ts'
import { describeError } from '../swarm/errors.ts'
import { coverageOf } from '../swarm/planner/coverage.ts'
import { viewOf } from '../swarm/planner/view.ts'
import { PROTOCOL_VERSION } from '../swarm/protocol.ts'
import { listenMultiaddr, pageUrlOf, relayAddresses, visibleAddressesLine } from './addresses.ts'
import type { RelayConfig } from './config.ts'
import { DirectoryService } from './directory-service.ts'
import { Egress } from './egress.ts'
import { TrustedProxies } from './forwarded.ts'
import { isLoopbackHost } from './http/host.ts'
import { loadOrCreateSeed } from './key-file.ts'
import type { RelayLog } from './log.ts'
import { RelayMetrics, type ModelCoverage } from './metrics.ts'
import { Mirror } from './mirror/mirror.ts'
import { startPageServer } from './page-server.ts'
import { Refusals } from './refusals.ts'
import { RelayLinks } from './relay-links.ts'
import { Admission } from './swarm/admission.ts'
import { StunServer, stunUrls } from './stun/server.ts'
import { createRelayNode, type RelayNode } from './swarm/node.ts'
import { WatchedCertificate } from './tls/watched-certificate.ts'

export interface Relay {
  port: number
  peerId: string
  /** Multiaddrs to hand out, the best one first. */
  addresses: string[]
  /** Where the page is on this machine. */
  pageUrl: string
  /** Where others open it. */
  publicPageUrl: string
  appConfig(): Promise<AppConfig>
  /**
   * Frees the port within two seconds. `announce` (the default) tells the tabs first, and then waits for downloads under
   * way, at most ten seconds. Safe to call twice.
   */
  stop(options?: { announce?: boolean }): Promise<void>
}

/** What a stop waits for downloads under way. */
const DRAIN_LIMIT_MS = 10_000
/** A stop that announces itself is done after this in any case. */
export const STOP_LIMIT_MS = DRAIN_LIMIT_MS + 3_000

const BUDGET_SPENT = {
  limit: 'egress-bytes-per-day',
  text: 'This relay has sent what it may send a day: until midnight UTC it introduces peers, and carries nothing more than that. Peers that connect directly notice nothing; others need another relay.',
}

/** @throws SwarmError PORT_TAKEN, BAD_OPTION */
export async function startRelay(config: RelayConfig, log: RelayLog): Promise<Relay> {
  const seed = await loadOrCreateSeed(config.keyFile, log)
  const privateKey = await privateKeyFromSeed(seed)
  const peerId = peerIdFromPrivateKey(privateKey).toString()
  const mirror = new Mirror({ modelsDirs: config.modelsDirs, cacheFile: config.hashCacheFile, log })
  const admission = new Admission(config.limits)
  const egress: Egress = new Egress(config.limits.egressBytesPerDay, () => {
    refusals.note('-', BUDGET_SPENT.limit, BUDGET_SPENT.text)
    parts.directory?.tellAll(BUDGET_SPENT)
  })
  const parts: {
    node?: RelayNode
    directory?: DirectoryService
    links?: RelayLinks
    tls?: WatchedCertificate
    stunServer?: StunServer
    addresses: string[]
    /** URLs of STUN servers for tabs. */
    stun: readonly string[]
  } = {
    addresses: [],
    stun: [],
  }
  const store = new DirectoryStore({
    verify: verifySignature,
    now: Date.now,
    maxRecords: config.limits.maxRecords,
    maxTtlMs: config.limits.recordTtlMs,
  })
  const metrics = new RelayMetrics({
    connections: () => admission.connections,
    pending: () => admission.pending,
    isReady: () => parts.node?.libp2p.status === 'started',
    reservations: () => parts.node?.circuits.reservationCount ?? 0,
    maxReservations: config.limits.maxReservations,
    circuits: () => parts.node?.circuits.circuitCount ?? 0,
    circuitsCarrying: () => parts.node?.circuitBytes.carrying ?? 0,
    records: () => store.signedRecords().length,
    peers: (role) => parts.directory?.countPeers(role) ?? 0,
    links: () => parts.links?.count ?? 0,
    egressBytesToday: () => egress.today(),
    egressBytesPerDay: config.limits.egressBytesPerDay,
    certificateDaysLeft: () => parts.tls?.daysLeft() ?? null,
    models: async () => (await mirror.offers()).map((offer) => coverage(offer, store)),
  })
  const refusals = new Refusals(log, (reason) => metrics.refused(reason))
  const tls = config.tls === null ? null : new WatchedCertificate(config.tls, log)
  if (tls !== null) parts.tls = tls
  const proxies = new TrustedProxies(config.trustedProxies)
  const appConfig = async (): Promise<AppConfig> => appConfigOf(config, parts, await mirror.offers())
  const page = await startPageServer({
    port: config.port,
    host: config.host,
    webRoot: config.webRoot,
    appConfig,
    mirror,
    log,
    publicHosts: [...config.publicHosts, ...config.publicIps, ...(tls?.current.names ?? [])],
    ...(tls === null ? {} : { tls }),
    trustedProxies: proxies,
    hubCdnOrigins: config.hubCdnOrigins,
    ...(config.metrics === 'off'
      ? {}
      : { metrics: { text: () => metrics.text(), type: metrics.type, isPublic: config.metrics === 'public' } }),
    limits: config.limits.http,
    onRefused: (limit, text) => refusals.note('-', limit, text),
    notReady: () => {
      if (parts.node?.libp2p.status !== 'started') return 'the swarm side has not started'
      return tls?.problem() ?? null
    },
    onUpgrade: (req, socket, head) => {
      if (parts.node === undefined) socket.destroy()
      else parts.node.transport.accept(req, socket, head)
    },
  })
  parts.addresses = relayAddresses({
    host: config.host,
    port: page.port,
    peerId,
    publicIps: config.publicIps,
    secureHosts: secureHosts(config, tls),
    https: tls === null ? (config.behindProxy ? 'proxy' : 'none') : 'here',
    ...(config.publicPort === undefined ? {} : { publicPort: config.publicPort }),
  })

  /** Starts it where it is wanted; URLs for tabs. */
  const offerStun = async (): Promise<readonly string[]> => {
    if (config.stun === 'off') return []
    if (config.stun !== 'on') return [config.stun]
    // Behind a proxy the port is the proxy's, which carries no UDP: here it is the relay's own.
    const port = config.behindProxy ? page.port : (config.publicPort ?? page.port)
    const urls = stunUrls(parts.addresses, port)
    if (urls.length === 0) return []
    try {
      parts.stunServer = await StunServer.start({
        host: stunHost(config),
        port: page.port,
        onAnswered: () => metrics.stun('answered'),
        onDropped: (reason) => {
          metrics.stun(reason)
          if (reason === 'flood') refusals.note('-', 'stun', 'more STUN requests a second than are answered')
        },
      })
      return urls
    } catch (error) {
      log.warn(`STUN is off, because UDP port ${page.port} cannot be used; tabs behind routers will be relayed`, {
        reason: describeError(error),
      })
      return []
    }
  }

  let stopping: Promise<void> | null = null
  const stopAll = async (announce: boolean): Promise<void> => {
    await mirror.stop()
    await parts.directory?.stop(announce ? config.restartAfterMs : null)
    if (announce) await page.drain(DRAIN_LIMIT_MS)
    await parts.links?.stop()
    await parts.node?.libp2p.stop()
    await parts.stunServer?.stop()
    await page.stop()
    tls?.stop()
    refusals.stop()
    metrics.stop()
  }
  try {
    const listen = listenMultiaddr(config.host, page.port)
    const initialPeers = new Set(config.initialPeers)
    const isOn = config.directory === 'on'
    const node = await createRelayNode({
      privateKey,
      listen,
      announce: parts.addresses,
      limits: config.limits,
      sharedPort: {
        addresses: [listen],
        admission,
        trustedProxies: proxies,
        onRefused: ({ limit, text }) => refusals.note('-', limit, text),
        onSent: (bytes) => {
          egress.add(bytes)
          metrics.sent(bytes)
        },
        onJoined: (seconds) => metrics.joined(seconds),
        onJoinFailed: () => metrics.joinFailed(),
      },
      onRelayed: (bytes) => metrics.relayed(bytes),
      dht: {
        mode: 'server',
        verify: verifySignature,
        now: Date.now,
        lastSeq: (id) => store.lastSeq(id),
        // A record that came by the DHT is shown in the directory too.
        ...(isOn ? { onRecord: (signed) => void store.addVerified(signed) } : {}),
      },
      egressBytes: () => egress.today(),
      mayDial: (address) => initialPeers.has(address.toString()),
      onRefused: (peer, { limit, text }) => {
        refusals.note(peer.toString(), limit, text)
        parts.directory?.tellRefusal(peer.toString(), limit, text)
      },
    })
    parts.node = node
    parts.stun = await offerStun()
    const links = new RelayLinks({
      libp2p: node.libp2p,
      log,
      onRecord: (bytes, relayId) => (isOn ? mergeRecord(store, bytes, relayId, refusals) : Promise.resolve()),
      onGone: (id, relayId) => parts.directory?.onGoneReport(id, relayId),
      onDialFailed: () => metrics.linkFailed(),
    })
    parts.links = links
    parts.directory = await DirectoryService.start({
      libp2p: node.libp2p,
      isOn,
      store,
      limits: config.limits,
      log,
      refusals,
      notice: () => (egress.isSpent ? BUDGET_SPENT : null),
      onHello: (version) => metrics.hello(version),
      isLinked: (relayId) => links.isLinked(relayId),
      onRelayHello: (connection) => links.answer(connection),
    })
    // With the directory off too: the DHT needs relays that know each other.
    links.keep(config.initialPeers)
  } catch (error) {
    await stopAll(false)
    throw error
  }
  log.info('relay identity', { file: config.keyFile, peer: peerId })
  if (tls !== null) warnOfUncovered(parts.addresses, tls, log)
  log.print(visibleAddressesLine(parts.addresses))
  const [first] = await mirror.offers()
  if (first !== undefined) void mirror.warm(config.donor.model ?? first.repo)
  return {
    port: page.port,
    peerId,
    addresses: [...parts.addresses],
    pageUrl: page.url,
    publicPageUrl: pageUrlOf(parts.addresses[0] ?? ''),
    appConfig,
    stop: (options = {}) => (stopping ??= stopAll(options.announce ?? true)),
  }
}

/** A relay behind a proxy listens on loopback, and is asked by STUN from outside all the same. */
function stunHost({ host, behindProxy }: RelayConfig): string {
  if (host === 'localhost') return behindProxy ? '0.0.0.0' : '127.0.0.1'
  return behindProxy && isLoopbackHost(isIPv6(host) ? `[${host}]` : host) ? (isIPv6(host) ? '::' : '0.0.0.0') : host
}

/** Names that are announced as https: those given, else those of the certificate. */
function secureHosts({ publicHosts, publicIps }: RelayConfig, tls: WatchedCertificate | null): readonly string[] {
  if (publicHosts.length > 0 || tls === null || publicIps.length > 0) return publicHosts
  return tls.current.names.filter((name) => !isLoopbackHost(name))
}

/** Browsers and clients would refuse the connection, and say little of why. */
function warnOfUncovered(addresses: readonly string[], tls: WatchedCertificate, log: RelayLog): void {
  for (const address of addresses) {
    const host = new URL(pageUrlOf(address)).hostname.replaceAll(/[[\]]/gu, '')
    if (tls.current.covers(host)) continue
    log.warn(
      `the certificate is not for ${host}, so browsers will refuse it there: announce its own names with --public-host, or get one for ${host}`,
    )
  }
}

async function mergeRecord(
  store: DirectoryStore,
  bytes: Uint8Array,
  relayId: string,
  refusals: Refusals,
): Promise<void> {
  try {
    await store.add(bytes)
  } catch (error) {
    refusals.note(relayId, 'record', describeError(error))
  }
}

function coverage({ repo, blocks }: ModelOffer, store: DirectoryStore): ModelCoverage {
  const records = store.signedRecords().flatMap(({ record }) => (record.model.repo === repo ? [record] : []))
  return { model: repo, peers: records.length, holders: coverageOf(viewOf(records, blocks)).holders }
}

/** What page and command line are told. The default model is the one given to the donor, else the first by name. */
function appConfigOf(
  config: RelayConfig,
  { addresses, stun }: { addresses: readonly string[]; stun: readonly string[] },
  local: readonly ModelOffer[],
): AppConfig {
  const known = new Set(local.map((offer) => offer.repo))
  const offers = [...local, ...config.offers.filter((offer) => !known.has(offer.repo))]
  const preferred = config.donor.model
  const own = peerIdOfAddress(addresses[0] ?? '')
  const others = config.initialPeers.filter((address) => peerIdOfAddress(address) !== own)
  return {
    version: PROTOCOL_VERSION,
    relays: [...addresses, ...others],
    models: [
      ...offers.filter((offer) => offer.repo === preferred),
      ...offers.filter((offer) => offer.repo !== preferred),
    ],
    hubUrl: config.hubUrl,
    iceServers: stun.map((urls) => ({ urls })),
    donor: config.donor,
    ...(config.directory === 'off' ? { developer: { directory: 'off' as const } } : {}),
  }
}
