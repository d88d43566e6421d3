/**
 * The checks of a relay, in the order in which a visitor meets it: page, certificate, WebSocket, announced addresses, STUN, a
 * reservation, and a connection between two peers that it introduces. Those two are this process's own, over real WebRTC.
 */
import { isLoopbackHost } from '../../relay/http/host.ts'
import { daysLeft } from '../../relay/tls/certificate.ts'
import { createRequestingNode, type Connecting, type NodeOptions } from '../../net/node.ts'
import { createServingNode } from '../../net/serving-node.ts'
import { peerIdOfAddress } from '../../net/multiaddr.ts'
import { joined, pathTo, until } from '../../net/probe-steps.ts'
import { nodePlatform } from '../../net/platform-node.ts'
import { trustedCertificates } from '../../net/websocket-node.ts'
import type { SwarmNode } from '../../net/types.ts'
import { SwarmError } from '../../swarm/errors.ts'
import { httpOriginOf, readRelayConfig, type RelayConfig } from '../prompt/app-config.ts'
import { shownCertificate } from '../trust/shown-certificate.ts'
import { check, type CheckResult } from './check.ts'
import { askStun } from './stun-question.ts'

const PAGE_MS = 5_000
const JOIN_MS = 10_000
const RESERVE_MS = 15_000
const DIAL_MS = 30_000
/** Most direct connections stand within a second; a busy machine takes longer. */
const DIRECT_PATIENCE_MS = 5_000
const FEW_DAYS = 7

const OPEN_PORT =
  'Open the relay’s TCP port in the firewall or security group, forward it there, and give what others see as --public-ip and --public-port.'

export interface ProbeOptions {
  /** Multiaddr of the relay. */
  address: string
  signal: AbortSignal
  onResult: (result: CheckResult) => void
}

/** All results; a check that needs an earlier one which failed is skipped and says so. */
export async function probeRelay({ address, signal, onResult }: ProbeOptions): Promise<CheckResult[]> {
  const results: CheckResult[] = []
  const add = (result: CheckResult): CheckResult => {
    results.push(result)
    onResult(result)
    return result
  }
  const origin = httpOriginOf(address)
  if (origin === null) throw new SwarmError('BAD_MULTIADDR', `${address} is not the address of a relay`)
  if (origin.startsWith('https:')) add(await checkCertificate(origin))
  add(await checkPage(origin, signal))
  let config: RelayConfig | null = null
  add(
    await check(
      'settings',
      async () => {
        try {
          config = (await readRelayConfig(origin, signal, PAGE_MS))?.config ?? null
        } catch (error) {
          if (!(error instanceof SwarmError) || error.code !== 'WRONG_VERSION') throw error
          return ['fail', error.message, 'Update the older of the two.']
        }
        if (config === null) return ['fail', `no relay’s settings at ${origin}/config.json`]
        return ['ok', `version ${config.version}, ${config.models.length} models on offer`]
      },
      OPEN_PORT,
    ),
  )
  const base: NodeOptions = {
    relays: [address],
    iceServers: (config as RelayConfig | null)?.iceServers ?? [],
    modelDigests: [],
    platform: nodePlatform,
    log: () => undefined,
  }
  const asking = await createRequestingNode(base)
  try {
    const socket = add(await check('WebSocket', () => joins(asking, JOIN_MS), OPEN_PORT))
    add(await check('announced addresses', () => announced(address, config, signal), OPEN_PORT))
    add(await check('STUN', () => stun(config), 'Open the UDP port of the same number as the relay’s own port.'))
    if (socket.outcome === 'fail') {
      for (const name of ['reservation', 'dial']) {
        add({ name, outcome: 'skip', found: 'needs the WebSocket', fix: '' })
      }
      return results
    }
    await checkPeers(asking, base, add)
  } finally {
    await asking.stop()
  }
  return results
}

function checkCertificate(origin: string): Promise<CheckResult> {
  return check(
    'certificate',
    async () => {
      const { validTo } = await shownCertificate(origin, trustedCertificates().ca)
      const days = daysLeft({ notAfter: Date.parse(validTo) }, Date.now())
      if (days < FEW_DAYS)
        return ['warn', `it ends in ${days} days`, 'Renew it; a running relay reads the files again.']
      return ['ok', `trusted, ${days} days left`]
    },
    'Use a certificate for this very name from an authority that browsers know; --ca FILE trusts one of your own here.',
  )
}

function checkPage(origin: string, signal: AbortSignal): Promise<CheckResult> {
  return check(
    'page',
    async () => {
      const response = await fetch(`${origin}/`, { signal: AbortSignal.any([signal, AbortSignal.timeout(PAGE_MS)]) })
      if (!response.ok) return ['fail', `${origin}/ answers ${response.status}`, 'Read its answer and the relay’s log.']
      const { protocol, host } = new URL(origin)
      if (protocol === 'https:' || isLoopbackHost(host)) return ['ok', `${origin}/`]
      const found = `${origin}/ is plain http: browsers elsewhere can neither donate nor prompt there`
      return ['warn', found, 'Serve it over https: docs/hosting.md has three ways.']
    },
    OPEN_PORT,
  )
}

async function joins(node: SwarmNode, ms: number): Promise<readonly ['ok' | 'fail', string]> {
  const status = await joined(node, ms)
  if (status?.state === 'connected') return ['ok', 'joined']
  return ['fail', status?.reason ?? `not joined within ${ms / 1_000} s`]
}

/** Whether what the relay tells others leads to it. */
async function announced(
  address: string,
  config: RelayConfig | null,
  signal: AbortSignal,
): Promise<readonly ['ok' | 'warn' | 'skip', string, string?]> {
  if (config === null) return ['skip', 'its settings could not be read']
  const own = config.relays.filter((other) => peerIdOfAddress(other) === peerIdOfAddress(address))
  if (own.length === 0) {
    const found = 'the relay has another peer id than this address'
    return ['warn', found, 'Use the address that the relay prints now; keep its key file between restarts.']
  }
  const dead: string[] = []
  for (const other of own) {
    const origin = httpOriginOf(other)
    const isThere = origin !== null && (await readRelayConfig(origin, signal, PAGE_MS).catch(() => null)) !== null
    if (!isThere) dead.push(other)
  }
  if (dead.length === 0) return ['ok', own.map((other) => other.replace(/\/p2p\/.*$/u, '')).join(', ')]
  const fix = 'Give what others see as --public-ip or --public-host, and --public-port.'
  return ['warn', `it announces ${dead.join(' and ')}, where nothing answers from here`, fix]
}

async function stun(config: RelayConfig | null): Promise<readonly ['ok' | 'warn' | 'skip', string, string?]> {
  if (config === null) return ['skip', 'its settings could not be read']
  const urls = config.iceServers.map((server) => server.urls)
  if (urls.length === 0) {
    return ['skip', 'none is offered: tabs on one machine need none, and tabs behind routers will be relayed']
  }
  const answers = await Promise.all(urls.map(askStun))
  const silent = urls.filter((_, index) => !answers[index])
  if (silent.length === 0) return ['ok', `${urls.join(', ')} answers`]
  return ['warn', `no answer from ${silent.join(', ')}: tabs behind routers will be relayed`]
}

async function checkPeers(
  asking: SwarmNode & Connecting,
  base: NodeOptions,
  add: (result: CheckResult) => CheckResult,
): Promise<void> {
  const reserving = await createServingNode(base)
  // It serves nothing, but takes the stream: without a server one is cut while it is being opened.
  reserving.createServer({ modelDigest: 'probe', weights: 'none', backend: 'none' })
  try {
    const reservation = add(
      await check(
        'reservation',
        async () => {
          const reserved = await until(RESERVE_MS, () => (reserving.reservedRelays().length > 0 ? true : undefined))
          if (reserved === true) return ['ok', 'tabs can be reached through it']
          return ['fail', reserving.relays()[0]?.reason ?? `no place within ${RESERVE_MS / 1_000} s`]
        },
        'The relay may be full: see --max-reservations and its metrics.',
      ),
    )
    if (reservation.outcome === 'fail') {
      add({ name: 'dial', outcome: 'skip', found: 'needs a reservation', fix: '' })
      return
    }
    add(
      await check(
        'dial',
        async () => {
          const path = await pathTo({
            asking,
            peerId: reserving.peerId,
            patienceMs: DIRECT_PATIENCE_MS,
            signal: AbortSignal.timeout(DIAL_MS),
          })
          if (path === 'direct') return ['ok', 'two peers that it introduced are connected directly']
          const found = 'two peers that it introduced are connected through the relay only'
          return [
            'warn',
            found,
            'UDP does not pass where this was run; sessions work, slower, and cost the relay’s traffic.',
          ]
        },
        'The relay introduces peers, and neither way between them works: look at its log.',
      ),
    )
  } finally {
    await reserving.stop()
  }
}
