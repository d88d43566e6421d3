/**
 * One directory stream as the relay holds it: what is sent, how much of it is unread, and what the peer said of itself. A
 * peer that does not read is dropped, not buffered for: its next welcome brings everything anyway.
 */
import type { Connection, Stream } from '@libp2p/interface'
import { JsonChannel, toBase64 } from '../net/json-channel.ts'
import type { FromRelay, PeerRole } from '../net/directory-messages.ts'
import { MAX_DIRECTORY_MESSAGE_BYTES, MAX_RECORDS_PER_ANSWER } from '../swarm/limits.ts'
import type { SignedRecord } from '../swarm/peer-record.ts'
import { describeError } from '../swarm/errors.ts'

/** Unsent bytes at which a reader counts as gone: three full messages. */
export const MAX_BACKLOG_BYTES = 3 * MAX_DIRECTORY_MESSAGE_BYTES
/** Base64 and JSON around a record, and room for the message itself. */
const RECORDS_MESSAGE_BYTES = MAX_DIRECTORY_MESSAGE_BYTES - 1024

export class DirectoryPeer {
  readonly peerId: string
  readonly connection: Connection
  readonly stream: Stream
  readonly channel: JsonChannel
  role: PeerRole = 'client'
  readonly #onSlow: (peer: DirectoryPeer) => void
  #backlogBytes = 0

  constructor(stream: Stream, connection: Connection, onSlow: (peer: DirectoryPeer) => void) {
    this.peerId = connection.remotePeer.toString()
    this.connection = connection
    this.stream = stream
    this.channel = new JsonChannel(stream)
    this.#onSlow = onSlow
  }

  send(message: FromRelay): void {
    this.#send(message, JSON.stringify(message).length)
  }

  /** Sends records in as many messages as their bytes need. */
  sendRecords(records: readonly SignedRecord[]): void {
    let batch: string[] = []
    let bytes = 0
    const flush = (): void => {
      if (batch.length > 0) this.#send({ type: 'records', records: batch }, bytes)
      batch = []
      bytes = 0
    }
    for (const record of records) {
      const text = toBase64(record.bytes)
      if (batch.length === MAX_RECORDS_PER_ANSWER || bytes + text.length + 3 > RECORDS_MESSAGE_BYTES) flush()
      batch.push(text)
      bytes += text.length + 3
    }
    flush()
  }

  /** Says why, then ends the stream. */
  async refuse(limit: string, text: string): Promise<void> {
    this.send({ type: 'refused', limit, text })
    await this.channel.close()
  }

  #send(message: FromRelay, bytes: number): void {
    if (this.#backlogBytes + bytes > MAX_BACKLOG_BYTES) {
      this.#onSlow(this)
      this.channel.abort(new Error(`${this.#backlogBytes} bytes wait for a peer that does not read`))
      return
    }
    this.#backlogBytes += bytes
    this.channel.send(message).then(
      () => (this.#backlogBytes -= bytes),
      // The stream ended; its reading loop sees that too and takes the peer off the list.
      (error: unknown) => this.stream.log?.('directory message not sent: %s', describeError(error)),
    )
  }
}
