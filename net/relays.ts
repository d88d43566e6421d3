/**
 * The links to the relays: dials each one, keeps a directory stream open, asks for the reservation again when it is
 * gone, once a second and for as long as the node lives. js-libp2p alone stays unlisted after a relay was restarted.
 */
import type { Connection, Libp2p } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { describeError, SwarmError } from '../swarm/errors.ts'
import { DIAL_TIMEOUT_MS } from '../swarm/limits.ts'
import { DirectoryClient, type DirectoryEvents } from './directory-client.ts'
import type { PeerRole } from './directory-messages.ts'
import type { Reservations } from './libp2p.ts'
import { peerIdOfAddress } from './multiaddr.ts'
import { answersPing } from './ping.ts'
import type { RelayStatus } from './types.ts'

const TICK_MS = 1_000
/** A connected relay without a reservation for this long is asked again: a first answer takes a few hundred ms. */
const RESERVATION_PATIENCE_MS = 2_000
/** Reservations live ten minutes unless the relay said less: asked again at half of it by our clock, however wrong that is. */
const RESERVATION_REFRESH_MS = 4 * 60_000
const REFUSED_RETRY_MS = 10_000
const REFUSED_DIAL_RETRY_MS = 4_000
/** A relay that does not answer is dialled again after so long, longer each time, and never by all in one moment. */
const FIRST_RETRY_MS = 1_000
const LAST_RETRY_MS = 6_000
/** A relay that announced its restart is expected a little later than it said, and tried within this in any case. */
const RESTART_GRACE_MS = 10_000
const RESTART_RETRY_MS = 20_000
/** A relay that answers nothing for so long after our machine slept has dropped us, or is out of reach. */
const CHECK_MS = 3_000
/** For this long at most a relay is believed that it restarts: then it is one that does not answer. */
const MAX_RESTART_MS = 120_000

export interface RelaysOptions {
  libp2p: Libp2p
  reservations: Reservations
  /** Multiaddrs with /p2p/; several of one relay are ways to the same one. */
  addresses: readonly string[]
  role: PeerRole
  /** Whether this peer is to be reached by others. */
  wantsReservations: boolean
  events: DirectoryEvents
  refreshReservation: (connection: Connection) => Promise<void>
}

interface Link {
  readonly relayId: string
  /** The one that worked last is tried first. */
  addresses: string[]
  state: RelayStatus['state']
  reason: string | null
  trouble: RelayStatus['trouble'] | null
  isBusy: boolean
  directory: DirectoryClient | null
  connectedAt: number
  refreshedAt: number
  /** A relay that refused us is not asked again before. */
  retryAt: number
  /** One that did not even let us in, or does not answer, is not dialled again before. */
  dialAt: number
  /** Dials that failed since it was last connected. */
  failures: number
  /** It announced a restart and has not been back since. */
  restart: { backAfterMs: number; until: number } | null
}

export class Relays {
  readonly #options: RelaysOptions
  readonly #links: Link[]
  readonly #listeners = new Set<() => void>()
  #timer: ReturnType<typeof setInterval> | null = null

  constructor(options: RelaysOptions) {
    this.#options = options
    this.#links = [...byRelay(options.addresses)].map(([relayId, addresses]) => ({
      relayId,
      addresses,
      state: 'connecting',
      reason: null,
      trouble: null,
      isBusy: false,
      directory: null,
      connectedAt: 0,
      refreshedAt: 0,
      retryAt: 0,
      dialAt: 0,
      failures: 0,
      restart: null,
    }))
    options.libp2p.addEventListener('connection:open', (event) => {
      // Whoever dialled it: a relay that takes connections is back.
      const link = this.#links.find(({ relayId }) => relayId === event.detail.remotePeer.toString())
      if (link !== undefined && event.detail.limits === undefined) link.restart = null
    })
    options.libp2p.addEventListener('connection:close', (event) => {
      const link = this.#links.find(({ relayId }) => relayId === event.detail.remotePeer.toString())
      if (link !== undefined && this.connection(link.relayId) === null) this.#lost(link, 'the connection ended')
    })
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
    this.#tick()
  }

  /** Resolves when the first relay is connected, or all have failed once, or after `timeoutMs`. */
  async firstAttempt(timeoutMs: number): Promise<void> {
    if (this.#links.length === 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, timeoutMs)
      const stop = this.onChange(() => {
        const states = this.statuses().map(({ state }) => state)
        if (states.includes('connected') || states.every((state) => state !== 'connecting')) done()
      })
      function done(): void {
        clearTimeout(timer)
        stop()
        resolve()
      }
    })
  }

  statuses(): RelayStatus[] {
    return this.#links.map(({ addresses, state, reason, trouble, restart }) => ({
      address: addresses[0] ?? '',
      state,
      ...(reason === null ? {} : { reason }),
      ...(trouble === null || trouble === undefined ? {} : { trouble }),
      ...(state === 'restarting' && restart !== null && restart.backAfterMs > 0
        ? { backAfterMs: restart.backAfterMs }
        : {}),
    }))
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Our open connection to a relay, configured or not; null when there is none. */
  connection(relayId: string): Connection | null {
    const connections = this.#options.libp2p.getConnections(peerIdFromString(relayId))
    return connections.find((connection) => connection.status === 'open' && connection.limits === undefined) ?? null
  }

  /** Whether what ends at this relay may be taken for the other peer's end: it is connected and not shutting down. */
  isTrustworthy(relayId: string): boolean {
    const link = this.#links.find((candidate) => candidate.relayId === relayId)
    return this.connection(relayId) !== null && (link === undefined || !isRestarting(link))
  }

  get isAnyConnected(): boolean {
    return this.#links.some(({ relayId }) => this.connection(relayId) !== null)
  }

  isRelay(peerId: string): boolean {
    return this.#links.some(({ relayId }) => relayId === peerId)
  }

  /** Addresses of connected relays, as they were given to us: what a dial through them starts with. */
  connectedAddresses(): string[] {
    return this.#links.flatMap(({ relayId, addresses }) =>
      this.connection(relayId) === null ? [] : addresses.slice(0, 1),
    )
  }

  /** Relays that hold a reservation for us: they go into the record, so that others can dial. */
  reservedAddresses(): string[] {
    return this.#links
      .filter((link) => !isRestarting(link) && this.connection(link.relayId) !== null)
      .filter(({ relayId }) => this.#hasReservation(relayId))
      .flatMap(({ addresses }) => addresses.slice(0, 1))
      .slice(0, 4)
  }

  publish(record: Uint8Array): void {
    for (const { directory } of this.#links) directory?.publish(record)
  }

  /** After a time in which nothing ran here: whoever does not answer any more is dialled anew, and nobody is waited for. */
  async check(): Promise<void> {
    await Promise.all(
      this.#links.map(async (link) => {
        hurry(link)
        const connection = this.connection(link.relayId)
        if (connection === null) return
        const { directory } = link
        const isOpen = directory !== null && !directory.isClosed
        if (await (isOpen ? directory.answers(CHECK_MS) : answersPing(connection, CHECK_MS))) return
        connection.abort(new Error('it does not answer any more'))
        hurry(link)
      }),
    )
    if (this.#timer !== null) this.#tick()
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    for (const { directory } of this.#links) directory?.close()
  }

  #tick(): void {
    for (const link of this.#links) {
      if (link.isBusy) continue
      link.isBusy = true
      this.#supervise(link)
        .catch((error: unknown) => {
          if (error instanceof SwarmError && error.code === 'RELAY_REFUSED') this.#refused(link, error.message)
          else if (isOtherPeer(error)) this.#lost(link, OTHER_RELAY, 'other-relay')
          else this.#lost(link, describeError(error))
        })
        .finally(() => {
          link.isBusy = false
        })
    }
  }

  async #supervise(link: Link): Promise<void> {
    let connection = this.connection(link.relayId)
    if (connection === null) {
      if (Date.now() < link.dialAt) return
      connection = await this.#dial(link)
      link.connectedAt = Date.now()
    }
    // It finishes what is under way and takes nothing new: asking it would only be refused.
    if (this.#timer === null || isRestarting(link)) return
    link.failures = 0
    const { directory } = link
    const isRefused = directory !== null && directory.refusal !== null && Date.now() < link.retryAt
    if ((directory === null || directory.isClosed) && !isRefused) await this.#openDirectory(link, connection)
    const refusal = link.directory?.refusal ?? null
    if (refusal === null) this.#set(link, 'connected', null)
    else this.#set(link, 'refused', refusal.text, refusal.limit === 'version' ? 'version' : null)
    if (this.#options.wantsReservations) await this.#keepReservation(link, connection)
  }

  /** By each of its addresses in turn. @throws what the last dial said, a refusal by the relay itself at once */
  async #dial(link: Link): Promise<Connection> {
    let failure: unknown = new Error('it has no address')
    for (const address of link.addresses) {
      try {
        const signal = AbortSignal.timeout(DIAL_TIMEOUT_MS)
        const connection = await this.#options.libp2p.dial(multiaddr(address), { signal })
        link.addresses = [address, ...link.addresses.filter((other) => other !== address)]
        return connection
      } catch (error) {
        if (error instanceof SwarmError && error.code === 'RELAY_REFUSED') throw error
        failure = error
      }
    }
    throw failure
  }

  async #openDirectory(link: Link, connection: Connection): Promise<void> {
    const before = link.directory?.refusal?.text ?? null
    const { role, events } = this.#options
    const directory = new DirectoryClient(link.addresses[0] ?? '', role, events, (inMs, forMs) =>
      this.#restarts(link, inMs, forMs),
    )
    link.directory = directory
    // A refusal of the same kind every second would fill the log: it is kept until the relay accepts us.
    await directory.open(connection, before)
    link.retryAt = Date.now() + REFUSED_RETRY_MS
  }

  async #keepReservation(link: Link, connection: Connection): Promise<void> {
    if (!this.#hasReservation(link.relayId)) {
      if (Date.now() - link.connectedAt < RESERVATION_PATIENCE_MS) return
      link.connectedAt = Date.now()
      await this.#options.reservations.addRelay(peerIdFromString(link.relayId), 'discovered')
      link.refreshedAt = Date.now()
      return
    }
    if (link.refreshedAt === 0) link.refreshedAt = Date.now()
    const ttlMs = link.directory?.reservationTtlMs ?? Infinity
    if (Math.abs(Date.now() - link.refreshedAt) < Math.min(RESERVATION_REFRESH_MS, ttlMs / 2)) return
    link.refreshedAt = Date.now()
    await this.#options.refreshReservation(connection)
  }

  #hasReservation(relayId: string): boolean {
    return this.#options.reservations.hasReservation(peerIdFromString(relayId))
  }

  /** It is full, or we come too often: all who were refused are not to come back in the same moment. */
  #refused(link: Link, reason: string): void {
    if (this.#timer === null) return
    link.dialAt = Date.now() + REFUSED_DIAL_RETRY_MS * (0.5 + Math.random())
    if (link.reason !== reason) this.#options.events.onRefused(link.addresses[0] ?? '', reason)
    this.#set(link, 'refused', reason)
  }

  /** Everyone was told in the same moment: all come back, and not all at once. */
  #restarts(link: Link, inMs: number, forMs: number): void {
    const now = Date.now()
    link.restart = { backAfterMs: forMs, until: now + Math.min(inMs + forMs + RESTART_GRACE_MS, MAX_RESTART_MS) }
    link.dialAt = now + inMs + Math.max(Math.random(), 0.1) * Math.min(forMs, RESTART_RETRY_MS)
    this.#set(link, 'restarting', null)
  }

  #lost(link: Link, reason: string, trouble: Link['trouble'] = null): void {
    if (this.#timer === null) return
    if (this.connection(link.relayId) !== null) {
      if (isRestarting(link)) return
      // The relay is there and something else failed, such as a refused reservation: say so and try again.
      this.#set(link, 'refused', reason)
      return
    }
    link.directory?.close()
    link.directory = null
    link.refreshedAt = 0
    const retryMs = Math.min(FIRST_RETRY_MS * 1.5 ** link.failures, LAST_RETRY_MS)
    link.dialAt = Math.max(link.dialAt, Date.now() + retryMs * (0.5 + Math.random()))
    if (isRestarting(link)) return
    link.failures += 1
    this.#set(link, 'lost', reason, trouble)
  }

  #set(link: Link, state: RelayStatus['state'], reason: string | null, trouble: Link['trouble'] = null): void {
    if (link.state === state && link.reason === reason) return
    link.state = state
    link.reason = reason
    link.trouble = trouble
    for (const listener of this.#listeners) listener()
  }
}

const OTHER_RELAY =
  'another relay answers there, with another peer id than the address names: ask for the address that it prints now'

/** Noise found another key at the other end than the address asks for; libp2p keeps only its words. */
function isOtherPeer(error: unknown): boolean {
  return error instanceof Error && /does not match expected remote identity key/u.test(error.message)
}

/** Whatever it waited for was long ago. */
function hurry(link: Link): void {
  link.dialAt = 0
  link.retryAt = 0
  link.failures = 0
}

/** While true, what ends at this relay says nothing about the peers behind it. */
function isRestarting({ restart }: Link): boolean {
  return restart !== null && Date.now() < restart.until
}

/** Addresses by the peer they lead to, in the given order. */
export function byRelay(addresses: readonly string[]): Map<string, string[]> {
  const relays = new Map<string, string[]>()
  for (const address of addresses) {
    const relayId = peerIdOfAddress(address) ?? ''
    relays.set(relayId, [...(relays.get(relayId) ?? []), address])
  }
  return relays
}
