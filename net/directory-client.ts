/**
 * One directory stream to one relay: says hello, corrects the clock by the welcome, publishes our record, hands on the
 * records and notices that come. Reconnecting is the business of `relays.ts`.
 */
import type { Connection } from '@libp2p/interface'
import { describeError, SwarmError } from '../swarm/errors.ts'
import { OPEN_TIMEOUT_MS } from '../swarm/limits.ts'
import { DIRECTORY_PROTOCOL, isSameMajor, PROTOCOL_VERSION } from '../swarm/protocol.ts'
import type { PeerRole, ToRelay } from './directory-messages.ts'
import { fromBase64, JsonChannel, toBase64 } from './json-channel.ts'

export interface DirectoryEvents {
  /** False: the hello is exchanged for the clock, nothing is published and nothing is believed. */
  readonly isOn: boolean
  onWelcome(relay: string, time: number, roundTripMs: number): void
  onRecord(bytes: Uint8Array): void
  /** The relay saw this peer's connection end. */
  onGone(relay: string, peerId: string): void
  /** A sentence for a person: what the relay refused and why. */
  onRefused(relay: string, text: string): void
}

export interface Refusal {
  /** The rule or limit as the relay names it. */
  limit: string
  text: string
}

export class DirectoryClient {
  readonly #relay: string
  readonly #role: PeerRole
  readonly #events: DirectoryEvents
  readonly #onRestarting: (inMs: number, forMs: number) => void
  #channel: JsonChannel | null = null
  #isClosed = false
  #pings = 0
  /** Who waits for a sign of life. */
  #askers: (() => void)[] = []
  /** Why this relay does not serve us; null while it does. */
  refusal: Refusal | null = null
  /** How long its reservations last, as its welcome said; null where it did not say. */
  reservationTtlMs: number | null = null

  /** `onRestarting`: it goes in `inMs` and says it is back `forMs` later, 0 when it does not say. */
  constructor(
    relay: string,
    role: PeerRole,
    events: DirectoryEvents,
    onRestarting: (inMs: number, forMs: number) => void,
  ) {
    this.#relay = relay
    this.#role = role
    this.#events = events
    this.#onRestarting = onRestarting
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** `knownRefusal` is not reported a second time. @throws Error when the relay does not answer; it is closed then */
  async open(connection: Connection, knownRefusal: string | null): Promise<void> {
    try {
      await this.#open(connection, knownRefusal)
    } catch (error) {
      // Closed, or whoever keeps it would take it for open and never try again.
      this.#end(this.#channel, error)
      throw error
    }
  }

  async #open(connection: Connection, knownRefusal: string | null): Promise<void> {
    const signal = AbortSignal.timeout(OPEN_TIMEOUT_MS)
    const stream = await connection.newStream(DIRECTORY_PROTOCOL, { signal })
    const channel = new JsonChannel(stream)
    this.#channel = channel
    const startedAt = performance.now()
    await channel.send({ type: 'hello', version: PROTOCOL_VERSION, role: this.#role } satisfies ToRelay)
    const answer = await channel.receive(signal)
    if (answer === null)
      throw new SwarmError('NO_RELAY', 'the relay closed the directory stream before it said welcome')
    this.refusal = refusalOf(answer)
    if (this.refusal !== null) {
      const { text } = this.refusal
      if (text !== knownRefusal) this.#events.onRefused(this.#relay, text)
      this.close()
      return
    }
    if (answer['type'] !== 'welcome' || typeof answer['time'] !== 'number' || !Number.isFinite(answer['time'])) {
      throw new SwarmError('BAD_FRAME', 'the relay did not answer the hello with a welcome')
    }
    this.reservationTtlMs = durationOf(answer['reservationTtlMs']) || null
    this.#events.onWelcome(this.#relay, answer['time'], performance.now() - startedAt)
    void this.#read(channel)
  }

  publish(record: Uint8Array): void {
    const channel = this.#channel
    if (channel === null || this.#isClosed || !this.#events.isOn) return
    channel.send({ type: 'publish', record: toBase64(record) } satisfies ToRelay).catch((error: unknown) => {
      this.#end(channel, error)
    })
  }

  /** Whether the relay says anything within the time. */
  answers(timeoutMs: number): Promise<boolean> {
    const channel = this.#channel
    if (channel === null || this.#isClosed) return Promise.resolve(false)
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs)
      this.#askers.push(() => {
        clearTimeout(timer)
        resolve(true)
      })
      this.#pings += 1
      channel.send({ type: 'ping', id: this.#pings } satisfies ToRelay).catch((error: unknown) => {
        this.#end(channel, error)
      })
    })
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    void this.#channel?.close()
  }

  async #read(channel: JsonChannel): Promise<void> {
    try {
      for (let message = await channel.receive(); message !== null; message = await channel.receive()) {
        this.#handle(message)
      }
      this.#isClosed = true
    } catch (error) {
      this.#end(channel, error)
    }
  }

  #handle(message: Record<string, unknown>): void {
    for (const asker of this.#askers.splice(0)) asker()
    const { type } = message
    if (type === 'records' && Array.isArray(message['records'])) {
      if (!this.#events.isOn) return
      for (const record of message['records']) {
        const bytes = typeof record === 'string' ? fromBase64(record) : null
        if (bytes !== null) this.#events.onRecord(bytes)
      }
    } else if (type === 'gone' && typeof message['peerId'] === 'string') {
      if (this.#events.isOn) this.#events.onGone(this.#relay, message['peerId'])
    } else if (type === 'refused') {
      this.#events.onRefused(this.#relay, textOf(message['text']))
    } else if (type === 'restarting') {
      this.#onRestarting(durationOf(message['inMs']), durationOf(message['forMs']))
    }
    // Other types are of later versions: ignored.
  }

  #end(channel: JsonChannel | null, error: unknown): void {
    this.#isClosed = true
    channel?.abort(error instanceof Error ? error : new Error(describeError(error)))
  }
}

function refusalOf(answer: Record<string, unknown>): Refusal | null {
  if (answer['type'] === 'refused') return { limit: textOf(answer['limit']), text: textOf(answer['text']) }
  const { version } = answer
  if (answer['type'] !== 'welcome' || typeof version !== 'string' || isSameMajor(version, PROTOCOL_VERSION)) return null
  const text = `The relay speaks version ${textOf(version)} of the protocol and this side speaks ${PROTOCOL_VERSION}. Reload the page or update the program.`
  return { limit: 'version', text }
}

/** A time that a relay names: no longer than a day, 0 when it makes no sense. */
function durationOf(value: unknown): number {
  return typeof value === 'number' && value > 0 ? Math.min(value, 86_400_000) : 0
}

/** What a relay says is shown to a person: short, and without characters that steer a terminal or a page. */
function textOf(value: unknown): string {
  if (typeof value !== 'string') return 'no reason given'
  return value.replace(/[\p{C}]/gu, ' ').slice(0, 300)
}
