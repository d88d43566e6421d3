/**
 * Neighbours tell each other what they know: requests and their answers, over a direct connection. A request carries the
 * asker's own records, so one exchange informs both. It keeps the directory alive while no relay is. What changes at this peer is told on
 * one stream for each neighbour: a stream over WebRTC costs both sides some ten milliseconds of processor time each.
 */
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { MAX_RECORDS_PER_ANSWER } from '../swarm/limits.ts'
import { RECORDS_PROTOCOL } from '../swarm/protocol.ts'
import type { DirectoryStore } from './directory-store.ts'
import { fromBase64, JsonChannel, toBase64 } from './json-channel.ts'

const EXCHANGE_TIMEOUT_MS = 5_000

export interface RecordsExchangeOptions {
  libp2p: Libp2p
  store: DirectoryStore
  /** Takes a record that came from a neighbour. */
  onRecord: (bytes: Uint8Array) => Promise<void>
}

export class RecordsExchange {
  readonly #options: RecordsExchangeOptions
  readonly #lines = new WeakMap<Connection, NewsLine>()

  constructor(options: RecordsExchangeOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    const onStream = (stream: Stream): void => {
      this.#answer(stream).catch((error: unknown) => stream.abort(error as Error))
    }
    await this.#options.libp2p.handle(RECORDS_PROTOCOL, onStream, { maxInboundStreams: 8 })
  }

  /**
   * Asks one neighbour for its records of a model (null: of all), telling it `told`. Returns how many came.
   * @throws Error when the neighbour does not answer in time
   */
  async ask(connection: Connection, modelDigest: string | null, told: readonly Uint8Array[]): Promise<number> {
    const signal = AbortSignal.timeout(EXCHANGE_TIMEOUT_MS)
    const stream = await connection.newStream(RECORDS_PROTOCOL, { signal })
    const channel = new JsonChannel(stream)
    try {
      await channel.send({ type: 'records', model: modelDigest, records: encode(told) })
      const answer = await channel.receive(signal)
      return answer === null ? 0 : await this.#take(answer['records'])
    } finally {
      void channel.close()
    }
  }

  /**
   * Tells one neighbour this peer's record; of several that come while the neighbour has not answered, the newest. Never rejects:
   * whoever cannot be told has other ways to learn of it.
   */
  tell(connection: Connection, record: Uint8Array): Promise<void> {
    const line = this.#lines.get(connection) ?? new NewsLine(connection)
    this.#lines.set(connection, line)
    return line.tell(record)
  }

  /** Until the neighbour closes; one that says nothing at first is let go. */
  async #answer(stream: Stream): Promise<void> {
    const channel = new JsonChannel(stream)
    let request = await channel.receive(AbortSignal.timeout(EXCHANGE_TIMEOUT_MS))
    while (request !== null) {
      const model = typeof request['model'] === 'string' ? request['model'] : undefined
      const known = this.#options.store.signedRecords(model).map(({ bytes }) => bytes)
      await channel.send({ type: 'records', records: encode(known) })
      await this.#take(request['records'])
      request = await channel.receive()
    }
    await channel.close()
  }

  async #take(records: unknown): Promise<number> {
    if (!Array.isArray(records)) return 0
    const taken = records.slice(0, MAX_RECORDS_PER_ANSWER)
    for (const record of taken) {
      const bytes = typeof record === 'string' ? fromBase64(record) : null
      if (bytes !== null) await this.#options.onRecord(bytes)
    }
    return taken.length
  }
}

/** One neighbour's stream of this peer's news. */
class NewsLine {
  readonly #connection: Connection
  #channel: JsonChannel | null = null
  #next: Uint8Array | null = null
  #telling: Promise<void> | null = null

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Resolves when the newest record has been told, or could not be. */
  tell(record: Uint8Array): Promise<void> {
    this.#next = record
    this.#telling ??= this.#tellAll().finally(() => {
      this.#telling = null
    })
    return this.#telling
  }

  async #tellAll(): Promise<void> {
    while (this.#next !== null && this.#connection.status === 'open') {
      const record = this.#next
      this.#next = null
      const isOld = this.#channel !== null
      const isTold = await this.#exchange(record)
      // Peers of earlier versions end a stream with its first answer.
      if (!isTold && isOld) await this.#exchange(record)
    }
  }

  async #exchange(record: Uint8Array): Promise<boolean> {
    const signal = AbortSignal.timeout(EXCHANGE_TIMEOUT_MS)
    try {
      this.#channel ??= new JsonChannel(await this.#connection.newStream(RECORDS_PROTOCOL, { signal }))
      // No model is called so: it answers without records.
      await this.#channel.send({ type: 'records', model: '', records: encode([record]) })
      if ((await this.#channel.receive(signal)) !== null) return true
      void this.#channel.close()
    } catch (error) {
      this.#channel?.abort(error instanceof Error ? error : new Error(String(error)))
    }
    this.#channel = null
    return false
  }
}

function encode(records: readonly Uint8Array[]): string[] {
  // 200 records of at most 2 KiB would pass the message limit as base64: as many as fit, in the given order.
  const encoded: string[] = []
  let chars = 0
  for (const record of records.slice(0, MAX_RECORDS_PER_ANSWER)) {
    const text = toBase64(record)
    chars += text.length + 3
    if (chars > MAX_ANSWER_CHARS) break
    encoded.push(text)
  }
  return encoded
}
const MAX_ANSWER_CHARS = 240 * 1024
