/** A session over a route of donors, opened and stepped as the requesting side does it. */
import { emptyFrame, readLogits } from '../../../swarm/codec.ts'
import type { FrameStream, SwarmNode } from '../../../net/types.ts'
import type { Span } from '../../../swarm/span.ts'
import { next, openFrame, SESSION, tokensFrame } from '../../unit/net/requester.ts'

export interface TestSession {
  streams: FrameStream[]
  /** Sends one token and returns the best id. */
  token(id: number): Promise<number>
  close(): Promise<void>
}

export async function openSession(
  client: SwarmNode,
  hops: readonly { peerId: string; span: Span }[],
  session = SESSION,
): Promise<TestSession> {
  const streams = await Promise.all(hops.map(({ peerId }) => client.openInference(peerId, AbortSignal.timeout(30_000))))
  for (const [i, stream] of streams.entries()) {
    const previous = hops[i - 1]?.peerId ?? client.peerId
    const following = hops[i + 1]?.peerId ?? null
    const span = hops[i]?.span ?? { start: 0, end: 0 }
    await stream.send(openFrame({ ...span, previous, next: following }, session))
  }
  for (const stream of streams) {
    const frame = await next(stream, 30_000)
    if (frame.type !== 'opened') throw new Error(`not opened: ${new TextDecoder().decode(frame.payload)}`)
  }
  const first = streams[0] as FrameStream
  const last = streams.at(-1) as FrameStream
  let position = 0
  return {
    streams,
    token: async (id) => {
      await first.send(tokensFrame([id], { step: position + 1, position, topK: 1, session }))
      position += 1
      return readLogits(await next(last))[0]!.ids[0] as number
    },
    close: async () => {
      await Promise.all(streams.map((stream) => stream.send(emptyFrame('close', session, 0)).catch(() => undefined)))
      await Promise.all(streams.map((stream) => stream.close()))
    },
  }
}
