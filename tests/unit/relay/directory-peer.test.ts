import { TypedEventEmitter, type Connection, type Stream } from '@libp2p/interface'
import { expect, it } from 'vitest'
import { DirectoryPeer, MAX_BACKLOG_BYTES } from '../../../relay/directory-peer.ts'
import { MAX_DIRECTORY_MESSAGE_BYTES } from '../../../swarm/limits.ts'
import type { PeerRecord, SignedRecord } from '../../../swarm/peer-record.ts'

/** A stream that takes everything, or nothing more after the first message. */
class FakeStream extends TypedEventEmitter<Record<string, Event>> {
  status = 'open'
  readonly sent: Uint8Array[] = []
  readonly reads: boolean
  aborted: Error | null = null

  constructor(reads: boolean) {
    super()
    this.reads = reads
  }

  send(bytes: Uint8Array): boolean {
    this.sent.push(bytes)
    return this.reads
  }

  abort(error: Error): void {
    this.aborted = error
    this.status = 'aborted'
  }
}

function peerOver(stream: FakeStream): { peer: DirectoryPeer; slow: string[] } {
  const slow: string[] = []
  const connection = { remotePeer: 'somebody' } as unknown as Connection
  const peer = new DirectoryPeer(stream as unknown as Stream, connection, (one) => slow.push(one.peerId))
  return { peer, slow }
}

function records(count: number): SignedRecord[] {
  return Array.from({ length: count }, () => ({ record: {} as PeerRecord, bytes: new Uint8Array(2_000) }))
}

it('drops a peer that does not read, and keeps no more for it than the limit', () => {
  const stream = new FakeStream(false)
  const { peer, slow } = peerOver(stream)
  let sent = 0
  while (stream.aborted === null && sent < 10_000) {
    peer.sendRecords(records(1))
    sent += 1
  }
  expect(slow).toEqual(['somebody'])
  expect(sent * 2_000).toBeLessThan(MAX_BACKLOG_BYTES)
  expect(sent * 2_800).toBeGreaterThan(MAX_BACKLOG_BYTES)
})

it('sends many records in messages within the limit', async () => {
  const stream = new FakeStream(true)
  const { peer, slow } = peerOver(stream)
  peer.sendRecords(records(250))
  await new Promise(setImmediate)
  expect(slow).toEqual([])
  expect(stream.sent.length).toBeGreaterThan(1)
  for (const message of stream.sent) expect(message.length).toBeLessThanOrEqual(MAX_DIRECTORY_MESSAGE_BYTES)
  const texts = stream.sent.map((bytes) => new TextDecoder().decode(bytes))
  const count = texts.reduce(
    (sum, text) => sum + (JSON.parse(text.slice(text.indexOf('{'))) as { records: string[] }).records.length,
    0,
  )
  expect(count).toBe(250)
})
