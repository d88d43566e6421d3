/**
 * Directory streams to the other relays of the swarm: those this one was told of, which are dialled again for ever, and
 * those that dialled it, over the connection that is there. Records and gone reports that arrive are merged; sending is
 * the directory service's part, so two linked relays hold one stream in each direction.
 */
import type { Connection, Libp2p } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { pause } from '../net/pause.ts'
import { fromBase64, JsonChannel } from '../net/json-channel.ts'
import { peerIdOfAddress } from '../net/multiaddr.ts'
import { describeError, SwarmError } from '../swarm/errors.ts'
import { MAX_RECORDS_PER_ANSWER } from '../swarm/limits.ts'
import { DIRECTORY_PROTOCOL, PROTOCOL_VERSION } from '../swarm/protocol.ts'
import type { RelayLog } from './log.ts'

const DIAL_TIMEOUT_MS = 5_000
const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 10_000
/** Relays that link themselves to this one; more is not a swarm of relays but an attack. */
const MAX_INCOMING_LINKS = 32

export interface RelayLinksOptions {
  libp2p: Libp2p
  log: RelayLog
  onRecord: (bytes: Uint8Array, relayId: string) => Promise<void>
  onGone: (peerId: string, relayId: string) => void
  onDialFailed: () => void
}

export class RelayLinks {
  readonly #options: RelayLinksOptions
  readonly #stop = new AbortController()
  readonly #open = new Set<string>()
  readonly #loops: Promise<void>[] = []

  constructor(options: RelayLinksOptions) {
    this.#options = options
  }

  get count(): number {
    return this.#open.size
  }

  isLinked(relayId: string): boolean {
    return this.#open.has(relayId)
  }

  /** Keeps a link to each of these relays until `stop`. An address of our own is left out. */
  keep(addresses: readonly string[]): void {
    const own = this.#options.libp2p.peerId.toString()
    for (const address of addresses) {
      if (peerIdOfAddress(address) === own) this.#options.log.info('an initial peer is this relay itself', { address })
      else this.#loops.push(this.#keepOne(address))
    }
  }

  /** A relay said hello to us: hear it too, over the same connection. */
  answer(connection: Connection): void {
    const relayId = connection.remotePeer.toString()
    if (this.#open.has(relayId) || this.#open.size >= MAX_INCOMING_LINKS) return
    this.#hear(connection).catch((error: unknown) => {
      if (!this.#stop.signal.aborted) this.#noteEnd(relayId, error)
    })
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#loops)
  }

  async #keepOne(address: string): Promise<void> {
    const { libp2p, log } = this.#options
    const { signal } = this.#stop
    let retryMs = FIRST_RETRY_MS
    let isReported = false
    while (!signal.aborted) {
      const relayId = peerIdOfAddress(address) ?? address
      // The other side may have linked itself in the meantime.
      if (!this.#open.has(relayId)) {
        try {
          const timeout = AbortSignal.any([signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)])
          const connection = await libp2p.dial(multiaddr(address), { signal: timeout })
          retryMs = FIRST_RETRY_MS
          isReported = false
          await this.#hear(connection)
          if (!signal.aborted) this.#noteEnd(relayId)
        } catch (error) {
          if (signal.aborted) return
          this.#options.onDialFailed()
          if (!isReported) {
            log.warn('another relay of the swarm does not answer; trying again', {
              address,
              reason: describeError(error),
            })
          }
          isReported = true
        }
      }
      await pause(retryMs * (0.5 + Math.random()), signal)
      retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)
    }
  }

  /** Opens a stream, says hello and takes what comes until it ends. */
  async #hear(connection: Connection): Promise<void> {
    const relayId = connection.remotePeer.toString()
    const { signal } = this.#stop
    this.#open.add(relayId)
    let channel: JsonChannel | null = null
    try {
      const timeout = AbortSignal.any([signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)])
      channel = new JsonChannel(await connection.newStream(DIRECTORY_PROTOCOL, { signal: timeout }))
      await channel.send({ type: 'hello', version: PROTOCOL_VERSION, role: 'relay' })
      this.#options.log.info('linked with another relay', { relay: relayId })
      for (;;) {
        const message = await channel.receive(signal)
        if (message === null) return
        await this.#take(message, relayId)
      }
    } finally {
      this.#open.delete(relayId)
      channel?.abort(new Error('link closed'))
    }
  }

  async #take(message: Record<string, unknown>, relayId: string): Promise<void> {
    const { type, records, peerId } = message
    if (type === 'restarting') {
      const forMs = Number(message['forMs'])
      this.#options.log.info('another relay restarts', {
        relay: relayId,
        backInSeconds: Math.round(forMs / 1_000) || 0,
      })
    }
    if (type === 'gone' && typeof peerId === 'string') this.#options.onGone(peerId, relayId)
    if (type === 'refused') {
      const text = String(message['text']).slice(0, 300)
      throw new SwarmError('RELAY_REFUSED', `The relay ${relayId} refused the link: ${text}`)
    }
    if (type !== 'records' || !Array.isArray(records)) return
    for (const text of records.slice(0, MAX_RECORDS_PER_ANSWER)) {
      const bytes = typeof text === 'string' ? fromBase64(text) : null
      if (bytes !== null) await this.#options.onRecord(bytes, relayId)
    }
  }

  #noteEnd(relayId: string, error?: unknown): void {
    const fields = { relay: relayId, ...(error === undefined ? {} : { reason: describeError(error) }) }
    this.#options.log.info('link with another relay ended', fields)
  }
}
