/** A serving end with a fake runner over streams in memory, fresh for each test, and what asks it. */
import { afterEach, beforeEach } from 'vitest'
import { emptyFrame, readJson, type Frame } from '../../../../swarm/codec.ts'
import type { PeerRecord } from '../../../../swarm/peer-record.ts'
import { FrameServer, type ServerOptions } from '../../../../net/serve/server.ts'
import { FakeRunner } from '../fake-runner.ts'
import { memoryPair, type MemoryStream } from '../memory-stream.ts'
import { next, openFrame, SESSION } from '../requester.ts'

export const DIGEST = 'd'.repeat(32)
export const BLOCKS = 9
const servers: FrameServer[] = []
/** Push streams that the server under test opened: the far ends. */
export const pushed: MemoryStream[] = []
export const records = new Map<string, Partial<PeerRecord>>()

beforeEach(() => {
  pushed.length = 0
  records.clear()
})
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()))
})

export function createServer(
  span: { start: number; end: number },
  extra: Partial<Pick<ServerOptions, 'simulateSpeed' | 'openPush'>> = {},
): { server: FrameServer; runner: FakeRunner } {
  const server = new FrameServer({
    selfId: 'hop',
    modelDigest: DIGEST,
    weights: 'f32',
    backend: 'fake',
    hiddenSize: 2,
    record: (peerId) => records.get(peerId) as PeerRecord | undefined,
    openPush: async (peerId) => {
      const [here, there] = memoryPair('hop', peerId)
      pushed.push(there)
      return here
    },
    log: () => undefined,
    ...extra,
  })
  servers.push(server)
  const runner = new FakeRunner(span, BLOCKS, 2)
  server.addRunner(runner)
  return { server, runner }
}

export function connect(server: FrameServer, peerId = 'client'): MemoryStream {
  const [here, there] = memoryPair(peerId, 'hop')
  void server.serveRequester(there)
  return here
}

export function push(server: FrameServer, peerId: string): MemoryStream {
  const [here, there] = memoryPair(peerId, 'hop')
  void server.servePush(there)
  return here
}

export async function open(
  stream: MemoryStream,
  message: Parameters<typeof openFrame>[0],
  session = SESSION,
): Promise<Frame> {
  await stream.send(openFrame(message, session))
  const frame = await next(stream)
  if (frame.type !== 'opened') throw new Error(`not opened: ${JSON.stringify(readJson(frame))}`)
  return frame
}

/** A session over the last span, whose steps come from `previous`. */
export async function lastHop(
  previous = 'before',
): Promise<{ server: FrameServer; runner: FakeRunner; stream: MemoryStream }> {
  const { server, runner } = createServer({ start: 6, end: 9 })
  const stream = connect(server)
  await open(stream, { start: 6, end: 9, previous, next: null })
  return { server, runner, stream }
}

export async function attach(server: FrameServer, peerId: string, epoch = 0): Promise<MemoryStream> {
  const stream = push(server, peerId)
  await stream.send({ ...emptyFrame('attach', SESSION, epoch), dtype: 'json', payload: new TextEncoder().encode('{}') })
  return stream
}

export function sessionId(n: number): string {
  return (n + 1).toString(16).padStart(32, '0')
}

export async function settled(check: () => boolean): Promise<void> {
  for (let i = 0; i < 500; i += 1) {
    if (check()) return
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  throw new Error('did not happen')
}
