/** What the end of a frame stream says of the peer: only one that breaks by itself is a hint. */
import type { Connection, Stream } from '@libp2p/interface'
import { streamPair } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { peerIdFromString } from '@libp2p/peer-id'
import { expect, test } from 'vitest'
import { Libp2pFrameStream } from '../../../net/frame-stream.ts'
import { emptyFrame } from '../../../swarm/codec.ts'
import { IDS, RELAY } from './fake-libp2p.ts'

const connection = {
  remotePeer: peerIdFromString(IDS[0]),
  remoteAddr: multiaddr(`${RELAY}/p2p-circuit/webrtc/p2p/${IDS[0]}`),
} as unknown as Connection

interface Side {
  frames: Libp2pFrameStream
  stream: Stream
  end: Promise<Error | null>
}

async function pair(): Promise<[Side, Side]> {
  const [ours, theirs] = await streamPair()
  return [side(ours), side(theirs)]
}

function side(stream: Stream): Side {
  let over: (error: Error | null) => void
  const end = new Promise<Error | null>((resolve) => (over = resolve))
  return { stream, end, frames: new Libp2pFrameStream(stream, connection, { onEnd: (error) => over(error) }) }
}

test('a session that is over, cut by one side, is no hint for either', async () => {
  const [ours, theirs] = await pair()
  await ours.frames.send(emptyFrame('close', '0'.repeat(32), 0))
  ours.frames.abort(new Error('the session is over'))
  expect(await ours.end).toBeNull()
  expect(await theirs.end).toBeNull()
})

test('nor is one that was cut because of what came in', async () => {
  const [ours, theirs] = await pair()
  // A length that does not end.
  theirs.stream.send(new Uint8Array(8).fill(0xff))
  expect(await ours.end).toBeNull()
  await expect(ours.frames.receive()).rejects.toMatchObject({ code: 'BAD_FRAME' })
  expect(await theirs.end).toBeNull()
})

test('one that breaks by itself is', async () => {
  const [ours] = await pair()
  ours.stream.abort(new Error('the data channel failed'))
  expect(await ours.end).toMatchObject({ message: 'the data channel failed' })
  await expect(ours.frames.receive()).rejects.toMatchObject({ code: 'PEER_LOST' })
})
