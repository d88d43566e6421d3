/**
 * What a relay is started with, and its checked making from option values. Nothing here reads the environment or the
 * command line; that is the command line's part.
 */
import { isIP } from 'node:net'
import { join, resolve } from 'node:path'
import { parseInitialPeers } from '../net/multiaddr.ts'
import type { DonorDefaults, ModelOffer } from '../swarm/app-config.ts'
import { SwarmError } from '../swarm/errors.ts'
import type { RelayLimits } from './limits.ts'
import { isAddressOrNetwork } from './forwarded.ts'
import type { TlsFiles } from './tls/certificate.ts'
import { relayOptions, type RelayOption, type RelayOptionValues } from './options.ts'

export interface RelayConfig {
  /** 0 takes a free one. */
  port: number
  host: string
  /** IP addresses or names that others reach this relay by, beside `publicHosts`. */
  publicIps: readonly string[]
  publicPort?: number
  publicHosts: readonly string[]
  tls: TlsFiles | null
  /** Somebody else's https in front of plain http here. */
  behindProxy: boolean
  /** Multiaddrs of other relays of the swarm. */
  initialPeers: readonly string[]
  keyFile: string
  /** Where hashes of model files are kept between runs; null: nowhere. */
  hashCacheFile: string | null
  modelsDirs: readonly string[]
  /** Models on offer that are read from a hub and not from a folder here. */
  offers: readonly ModelOffer[]
  /** Folder of the built page; null: no page. */
  webRoot: string | null
  hubUrl: string
  hubCdnOrigins: readonly string[]
  /** This relay's own, none, or the URL of another. */
  stun: string
  donor: DonorDefaults
  directory: 'on' | 'off'
  metrics: 'loopback' | 'public' | 'off'
  trustedProxies: readonly string[]
  /** What a stop tells everyone: after how long the relay is back; 0: it does not say. */
  restartAfterMs: number
  limits: Readonly<RelayLimits>
}

/** What the command line knows beside the flags. */
export interface RelayExtras {
  /** Used when --data-dir is not given. */
  dataDir: string
  webRoot: string | null
  donor?: DonorDefaults
  offers?: readonly ModelOffer[]
}

/** @throws SwarmError BAD_OPTION, BAD_MULTIADDR naming the flag and the reason */
export function makeRelayConfig(given: Partial<RelayOptionValues>, extras: RelayExtras): RelayConfig {
  const values = { ...defaultValues(), ...withoutUndefined(given) }
  for (const [name, option] of Object.entries(relayOptions)) {
    checkValue(name, option as RelayOption<OptionValue>, values[name as keyof RelayOptionValues])
  }
  const isSecure = values.behindProxy || values.tlsCert !== undefined
  if (values.publicPort !== undefined && values.publicIp.length === 0 && !(isSecure && values.publicHost.length > 0)) {
    throw bad('publicPort', 'is given without --public-ip, so nobody knows whose port it is')
  }
  const named = [...values.publicIp.map((ip) => ['publicIp', ip] as const), ['host', values.host] as const]
  for (const [name, address] of named) {
    if (isIP(address) === 0 && !isHostName(address)) {
      throw bad(name, `"${address}" is neither an IP address nor a host name`)
    }
  }
  for (const proxy of values.trustProxy) {
    if (!isAddressOrNetwork(proxy))
      throw bad('trustProxy', `"${proxy}" is neither an IP address nor a network like 10.0.0.0/8`)
  }
  for (const name of values.publicHost) {
    if (!isHostName(name)) throw bad('publicHost', `"${name}" is not a host name`)
  }
  if ((values.tlsCert === undefined) !== (values.tlsKey === undefined)) {
    throw bad(values.tlsCert === undefined ? 'tlsKey' : 'tlsCert', 'needs the other of --tls-cert and --tls-key too')
  }
  if (values.behindProxy && values.tlsCert !== undefined) {
    throw bad('behindProxy', 'and --tls-cert exclude each other: either the proxy does https, or this relay')
  }
  if (values.behindProxy && values.publicHost.length === 0 && values.publicIp.length === 0) {
    throw bad('behindProxy', 'needs --public-host NAME, the name that the proxy’s certificate is for')
  }
  const dataDir = resolve(values.dataDir ?? extras.dataDir)
  return {
    port: values.port,
    host: values.host,
    publicIps: values.publicIp,
    ...(values.publicPort === undefined ? {} : { publicPort: values.publicPort }),
    publicHosts: values.publicHost,
    tls:
      values.tlsCert === undefined || values.tlsKey === undefined
        ? null
        : { certFile: resolve(values.tlsCert), keyFile: resolve(values.tlsKey) },
    behindProxy: values.behindProxy,
    initialPeers: parseInitialPeers(values.dhtInitialPeers),
    keyFile: resolve(values.keyFile ?? join(dataDir, 'relay-key')),
    hashCacheFile: join(dataDir, 'model-hashes.json'),
    modelsDirs: values.modelsDir.map((dir) => resolve(dir)),
    offers: extras.offers ?? [],
    webRoot: extras.webRoot,
    hubUrl: values.hubUrl.replace(/\/+$/u, ''),
    hubCdnOrigins: values.hubCdn,
    stun: values.stun,
    donor: extras.donor ?? {},
    directory: values.directory === 'off' ? 'off' : 'on',
    metrics: values.metrics === 'public' || values.metrics === 'off' ? values.metrics : 'loopback',
    trustedProxies: values.trustProxy.length === 0 && values.behindProxy ? ['127.0.0.1', '::1'] : values.trustProxy,
    restartAfterMs: values.restartAfter * 1_000,
    limits: limitsOf(values),
  }
}

function limitsOf(values: RelayOptionValues): RelayLimits {
  return {
    maxConnections: values.maxConnections,
    maxConnectionsPerAddress: values.maxConnectionsPerAddress,
    maxPendingConnections: values.maxPendingConnections,
    maxPendingConnectionsPerAddress: values.maxPendingConnectionsPerAddress,
    maxJoinsPerSecond: values.maxJoinsPerSecond,
    maxReservations: values.maxReservations,
    maxReservationsPerAddress: values.maxReservationsPerAddress,
    reservationTtlMs: values.reservationTtl * 1_000,
    circuitDurationMs: values.circuitDuration * 1_000,
    circuitBytes: values.circuitBytes,
    maxCircuitsPerPeer: values.maxCircuitsPerPeer,
    maxCircuits: values.maxCircuits,
    egressBytesPerDay: values.egressBytesPerDay,
    signallingDurationMs: values.signallingDuration * 1_000,
    signallingBytes: values.signallingBytes,
    maxRecords: values.maxRecords,
    maxRecordsPerAddress: values.maxRecordsPerAddress,
    maxRecordBytes: values.maxRecordBytes,
    recordTtlMs: values.recordTtl * 1_000,
    http: {
      maxBodyBytes: values.maxHttpBody,
      headerTimeoutMs: values.httpHeaderTimeout * 1_000,
      idleTimeoutMs: values.httpIdleTimeout * 1_000,
    },
  }
}

function defaultValues(): RelayOptionValues {
  const entries = Object.entries(relayOptions).map(([name, option]) => [name, option.default])
  return Object.fromEntries(entries) as RelayOptionValues
}

function withoutUndefined(values: Partial<RelayOptionValues>): Partial<RelayOptionValues> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}

type OptionValue = string | number | boolean | readonly string[] | undefined

function checkValue(name: string, option: RelayOption<OptionValue>, value: OptionValue): void {
  if (value === undefined || option.ignored !== undefined) return
  if (option.kind === 'integer' && !Number.isSafeInteger(value))
    throw bad(name, `${String(value)} is not a whole number`)
  if (option.choices !== undefined && !option.choices.includes(String(value))) {
    throw bad(name, `"${String(value)}" is not one of ${option.choices.join(', ')}`)
  }
  const reason = option.check?.(value) ?? null
  if (reason !== null) throw bad(name, `${String(value)} ${reason}`)
}

function isHostName(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/iu.test(text)
}

function bad(name: string, reason: string): SwarmError {
  const flag = `--${name.replaceAll(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`)}`
  return new SwarmError('BAD_OPTION', `${flag} ${reason}.`, {
    action: 'Correct it; --help lists every flag with its meaning.',
    details: { option: flag },
  })
}
