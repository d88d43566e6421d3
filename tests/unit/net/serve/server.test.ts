/** The serving end over streams in memory: who may send what, positions, limits, controls, batching, pacing, moving. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { emptyFrame, encodeFrame, readHidden, readJson, readLogits } from '../../../../swarm/codec.ts'
import { SwarmError } from '../../../../swarm/errors.ts'
import { MAX_QUEUED_STEPS, MAX_SESSIONS, MAX_SESSIONS_PER_PEER } from '../../../../swarm/limits.ts'
import type { PeerRecord } from '../../../../swarm/peer-record.ts'
import { FrameServer, type ServerOptions } from '../../../../net/serve/server.ts'
import { FakeRunner } from '../fake-runner.ts'
import { memoryPair, type MemoryStream } from '../memory-stream.ts'
import { hiddenFrame, next, nextFailure, openFrame, SESSION, tokensFrame } from '../requester.ts'

const DIGEST = 'd'.repeat(32)
const BLOCKS = 9
const servers: FrameServer[] = []
/** Push streams that the server under test opened: the far ends. */
let pushed: MemoryStream[]
let records: Map<string, Partial<PeerRecord>>

beforeEach(() => {
  pushed = []
  records = new Map()
})
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()))
})

function createServer(
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

function connect(server: FrameServer, peerId = 'client'): MemoryStream {
  const [here, there] = memoryPair(peerId, 'hop')
  void server.serveRequester(there)
  return here
}

function push(server: FrameServer, peerId: string): MemoryStream {
  const [here, there] = memoryPair(peerId, 'hop')
  void server.servePush(there)
  return here
}

async function open(stream: MemoryStream, message: Parameters<typeof openFrame>[0], session = SESSION): Promise<void> {
  await stream.send(openFrame(message, session))
  const frame = await next(stream)
  if (frame.type !== 'opened') throw new Error(`not opened: ${JSON.stringify(readJson(frame))}`)
}

/** A session over the last span, whose steps come from `previous`. */
async function lastHop(
  previous = 'before',
): Promise<{ server: FrameServer; runner: FakeRunner; stream: MemoryStream }> {
  const { server, runner } = createServer({ start: 6, end: 9 })
  const stream = connect(server)
  await open(stream, { start: 6, end: 9, previous, next: null })
  return { server, runner, stream }
}

async function attach(server: FrameServer, peerId: string, epoch = 0): Promise<MemoryStream> {
  const stream = push(server, peerId)
  await stream.send({ ...emptyFrame('attach', SESSION, epoch), dtype: 'json', payload: new TextEncoder().encode('{}') })
  return stream
}

describe('opening', () => {
  test('answers with what it computes with', async () => {
    const { server } = createServer({ start: 0, end: 9 })
    const stream = connect(server)
    await stream.send(openFrame({ start: 0, end: 9, previous: 'client' }))
    expect(readJson(await next(stream))).toMatchObject({ version: '1.0', weights: 'f32', backend: 'fake' })
    expect(server.stats().sessions).toBe(1)
  })

  test.each([
    ['another model', { modelDigest: 'e'.repeat(32) }, 'WRONG_MODEL', 410],
    ['another version', { version: '2.0' }, 'WRONG_VERSION', 426],
    ['blocks it does not hold', { start: 3, end: 9 }, 'PEER_REFUSED', 203],
    ['an empty span', { start: 3, end: 3 }, 'BAD_FRAME', 400],
    ['no previous', { previous: '' }, 'BAD_FRAME', 400],
    ['a next hop after the head', { next: 'other' }, 'BAD_FRAME', 400],
    ['zero tokens', { maxTokens: 0 }, 'BAD_FRAME', 400],
    ['f16 on the wire', { dtype: 'f16' as const }, 'PEER_REFUSED', 203],
    ['more cache than there is', { maxTokens: 20_000 }, 'CACHE_FULL', 202],
  ])('refuses %s', async (_name, message, code, status) => {
    const { server, runner } = createServer({ start: 6, end: 9 })
    records.set('other', { model: { repo: 'r', revision: 'r', digest: DIGEST, blocks: 9 } })
    const stream = connect(server)
    await stream.send(openFrame({ start: 6, end: 9, previous: 'before', next: null, ...message }))
    expect(await nextFailure(stream)).toMatchObject({ code, status })
    expect(await stream.receive()).toBeNull()
    expect(runner.sessions.size).toBe(0)
  })

  test('the refusal for lack of cache says how much there is', async () => {
    const { server } = createServer({ start: 0, end: 9 })
    const stream = connect(server)
    await stream.send(openFrame({ start: 0, end: 9, maxTokens: 20_000 }))
    expect((await nextFailure(stream)).message).toContain('10000 free')
  })

  test('refuses a next hop without a fresh record, or with another model', async () => {
    const { server, runner } = createServer({ start: 0, end: 3 })
    const unknown = connect(server)
    await unknown.send(openFrame({ start: 0, end: 3, next: 'stranger' }))
    expect(await nextFailure(unknown)).toMatchObject({ code: 'WRONG_PEER', peerId: 'stranger' })
    records.set('stranger', { model: { repo: 'r', revision: 'r', digest: 'other', blocks: 9 } })
    const foreign = connect(server)
    await foreign.send(openFrame({ start: 0, end: 3, next: 'stranger' }))
    expect(await nextFailure(foreign)).toMatchObject({ code: 'WRONG_MODEL', peerId: 'stranger' })
    expect(pushed).toHaveLength(0)
    expect(runner.sessions.size).toBe(0)
  })

  test.each([
    ['is lost', new SwarmError('PEER_LOST', 'no way', { retryable: true, peerId: 'after' }), 'PEER_LOST'],
    ['does not take the stream', new Error('reset'), 'DIAL_FAILED'],
  ])('tells the requesting peer that the next hop %s, instead of just closing', async (_name, error, code) => {
    const { server, runner } = createServer({ start: 0, end: 3 }, { openPush: () => Promise.reject(error) })
    records.set('after', { model: { repo: 'r', revision: 'r', digest: DIGEST, blocks: 9 } })
    const stream = connect(server)
    await stream.send(openFrame({ start: 0, end: 3, next: 'after' }))
    expect(await nextFailure(stream)).toMatchObject({ code, peerId: 'after' })
    expect(await stream.receive()).toBeNull()
    expect(runner.sessions.size).toBe(0)
  })

  test('limits sessions of one peer and of all, and takes another when one ends', async () => {
    const { server } = createServer({ start: 0, end: 9 })
    const streams: MemoryStream[] = []
    for (let i = 0; i < MAX_SESSIONS; i += 1) {
      const peer = `client${Math.floor(i / MAX_SESSIONS_PER_PEER)}`
      const stream = connect(server, peer)
      await open(stream, { start: 0, end: 9, previous: peer }, sessionId(i))
      streams.push(stream)
    }
    const ninth = connect(server, 'client9')
    await ninth.send(openFrame({ start: 0, end: 9 }, sessionId(99)))
    expect(await nextFailure(ninth)).toMatchObject({ code: 'BUSY', status: 201, retryable: true })
    await streams[0]?.close()
    await new Promise((resolve) => setTimeout(resolve, 0))
    const fifth = connect(server, 'client1')
    await fifth.send(openFrame({ start: 0, end: 9 }, sessionId(98)))
    expect((await nextFailure(fifth)).message).toContain('one peer')
    await open(connect(server, 'client0'), { start: 0, end: 9, previous: 'client0' }, sessionId(97))
  })

  test('a session id in use is refused and its session goes on', async () => {
    const { server } = createServer({ start: 0, end: 9 })
    const stream = connect(server)
    await open(stream, { start: 0, end: 9 })
    const thief = connect(server, 'thief')
    await thief.send(openFrame({ start: 0, end: 9, previous: 'thief' }))
    expect(await nextFailure(thief)).toMatchObject({ code: 'PEER_REFUSED' })
    await stream.send(tokensFrame([1], { step: 1, position: 0 }))
    expect((await next(stream)).type).toBe('done')
  })
})

describe('steps', () => {
  test('first hop: token ids in, hidden states out to the next hop', async () => {
    records.set('after', { model: { repo: 'r', revision: 'r', digest: DIGEST, blocks: 9 } })
    const { server } = createServer({ start: 0, end: 3 })
    const stream = connect(server)
    await open(stream, { start: 0, end: 3, next: 'after' })
    const after = pushed[0] as MemoryStream
    expect((await next(after)).type).toBe('attach')
    await stream.send(tokensFrame([5, 7], { step: 1, position: 0, topK: 9 }))
    const frame = await next(after)
    expect(frame).toMatchObject({ type: 'step', step: 1, position: 0, rows: 2, columns: 2, flags: 0x8009 })
    expect([...readHidden(frame)]).toEqual([8, 8, 10, 10])
  })

  test('last hop: hidden states in, logits out to the requesting peer', async () => {
    const { server, stream } = await lastHop()
    const before = await attach(server, 'before')
    expect((await next(before)).type).toBe('attached')
    await before.send(
      hiddenFrame(
        [
          [1, 1],
          [2, 2],
        ],
        { step: 1, position: 0 },
      ),
    )
    expect(await next(stream)).toMatchObject({ type: 'done', step: 1, rows: 2 })
    await before.send(hiddenFrame([[3, 3]], { step: 2, position: 2, topK: 3 }))
    const answer = await next(stream)
    expect(answer).toMatchObject({ type: 'logits', step: 2, position: 2, columns: 3 })
    expect([...readLogits(answer).ids]).toEqual([24, 25, 26])
  })

  test('where two hops cannot connect, the requesting peer stands between them', async () => {
    const { server } = createServer({ start: 3, end: 6 })
    const stream = connect(server)
    await open(stream, { start: 3, end: 6, previous: 'client', next: 'client' })
    await stream.send(hiddenFrame([[1, 2]], { step: 1, position: 0 }))
    expect([...readHidden(await next(stream))]).toEqual([13, 14])
    expect(pushed).toHaveLength(0)
  })

  test('a step from a peer that is not the previous hop is refused, and the session goes on', async () => {
    const { server, stream } = await lastHop()
    const stranger = await attach(server, 'stranger')
    expect(await nextFailure(stranger)).toMatchObject({ code: 'WRONG_PEER', status: 403 })
    const before = await attach(server, 'before')
    expect((await next(before)).type).toBe('attached')
    await before.send(hiddenFrame([[1, 1]], { step: 1, position: 0 }))
    expect((await next(stream)).type).toBe('done')
  })

  test('a step of the requesting peer past its first hop is refused', async () => {
    const { stream } = await lastHop()
    await stream.send(hiddenFrame([[1, 1]], { step: 1, position: 0 }))
    expect(await nextFailure(stream)).toMatchObject({ code: 'WRONG_PEER' })
  })

  test('an attach may come before the session is opened', async () => {
    const { server } = createServer({ start: 6, end: 9 })
    const before = await attach(server, 'before')
    const stream = connect(server)
    await open(stream, { start: 6, end: 9, previous: 'before', next: null })
    expect((await next(before)).type).toBe('attached')
  })

  test.each([
    ['a NaN', [[Number.NaN, 1]], 0, 'NOT_FINITE', 422],
    ['an infinite value', [[Infinity, 1]], 0, 'NOT_FINITE', 422],
    ['another width', [[1, 2, 3]], 0, 'BAD_FRAME', 400],
    ['a position that leaves a gap', [[1, 2]], 1, 'WRONG_POSITION', 409],
  ])(
    '%s is refused to the requesting peer with the sender named, and the cache is freed',
    async (_name, values, position, code, status) => {
      const { server, runner, stream } = await lastHop()
      const before = await attach(server, 'before')
      await next(before)
      await before.send(hiddenFrame(values, { step: 1, position }))
      expect(await nextFailure(stream)).toMatchObject({ code, status, peerId: 'before' })
      await settled(() => runner.sessions.size === 0)
    },
  )

  test('a frame that lies about its length ends the session with BAD_FRAME', async () => {
    const { server, stream } = await lastHop()
    const before = await attach(server, 'before')
    await next(before)
    const bytes = encodeFrame(hiddenFrame([[1, 2]], { step: 1, position: 0 }))
    before.sendBytes(bytes.subarray(0, bytes.length - 4))
    expect(await nextFailure(stream)).toMatchObject({ code: 'BAD_FRAME', status: 400, peerId: 'before' })
  })

  test('a NaN that the runner makes is this hop’s own failure', async () => {
    records.set('after', { model: { repo: 'r', revision: 'r', digest: DIGEST, blocks: 9 } })
    const { server, runner } = createServer({ start: 0, end: 3 })
    runner.poison = Number.NaN
    const stream = connect(server)
    await open(stream, { start: 0, end: 3, next: 'after' })
    await stream.send(tokensFrame([1], { step: 1, position: 0 }))
    expect(await nextFailure(stream)).toMatchObject({ code: 'NOT_FINITE', peerId: 'hop' })
  })

  test('late and repeated steps are dropped without a word', async () => {
    const { server } = createServer({ start: 0, end: 9 })
    const stream = connect(server)
    await stream.send(openFrame({ start: 0, end: 9 }, SESSION, 3))
    await next(stream)
    await stream.send(tokensFrame([1], { step: 5, position: 0, epoch: 3 }))
    expect((await next(stream)).step).toBe(5)
    await stream.send(tokensFrame([1], { step: 5, position: 0, epoch: 3 }))
    await stream.send(tokensFrame([1], { step: 9, position: 1, epoch: 2 }))
    await stream.send(tokensFrame([1], { step: 6, position: 1, epoch: 3 }))
    expect((await next(stream)).step).toBe(6)
  })

  test('tokens beyond the cache that was set aside are refused', async () => {
    const { server } = createServer({ start: 0, end: 9 })
    const stream = connect(server)
    await open(stream, { start: 0, end: 9, maxTokens: 2 })
    await stream.send(tokensFrame([1, 2, 3], { step: 1, position: 0 }))
    const failure = await nextFailure(stream)
    expect(failure).toMatchObject({ code: 'CACHE_FULL', status: 202 })
    expect(failure.message).toContain('3 tokens')
  })

  test('more waiting steps than the limit are refused', async () => {
    const { server, runner } = createServer({ start: 0, end: 9 })
    let openGate = (): void => undefined
    runner.gate = new Promise((resolve) => (openGate = resolve))
    const stream = connect(server)
    await open(stream, { start: 0, end: 9 })
    for (let i = 0; i <= MAX_QUEUED_STEPS; i += 1) await stream.send(tokensFrame([1], { step: i + 1, position: i }))
    expect(await nextFailure(stream)).toMatchObject({ code: 'BUSY', retryable: true })
    openGate()
  })
})

describe('controls', () => {
  test('truncate forgets tokens, also those of steps that wait, and the next step begins there', async () => {
    const { server, runner } = createServer({ start: 0, end: 9 })
    const stream = connect(server)
    await open(stream, { start: 0, end: 9 })
    await stream.send(tokensFrame([1, 2, 3], { step: 1, position: 0 }))
    await next(stream)
    let openGate = (): void => undefined
    runner.gate = new Promise((resolve) => (openGate = resolve))
    await stream.send(tokensFrame([4], { step: 2, position: 3 }))
    await stream.send(tokensFrame([5], { step: 3, position: 4 }))
    await settled(() => runner.batches.length === 2)
    await stream.send({ ...emptyFrame('truncate', SESSION, 1), step: 4, position: 2 })
    // Sent behind the truncation without waiting for it: must not overtake it.
    await stream.send(tokensFrame([9], { step: 5, position: 2, epoch: 1, topK: 1 }))
    openGate()
    expect(await next(stream)).toMatchObject({ type: 'truncated', epoch: 1, position: 2 })
    const answer = await next(stream)
    expect(answer).toMatchObject({ type: 'logits', step: 5, epoch: 1, position: 2 })
    expect([...readLogits(answer).ids]).toEqual([45])
    expect(runner.sessions.get(SESSION)?.values).toEqual([37, 38, 45])
  })

  test('more logits of the last step, all of them for 0', async () => {
    const { server } = createServer({ start: 0, end: 9 })
    const stream = connect(server)
    await open(stream, { start: 0, end: 9 })
    await stream.send(tokensFrame([1], { step: 1, position: 0, topK: 2 }))
    expect((await next(stream)).columns).toBe(2)
    await stream.send({ ...emptyFrame('moreLogits', SESSION, 0), step: 1, columns: 5 })
    expect(await next(stream)).toMatchObject({ type: 'logits', step: 1, columns: 5 })
    await stream.send({ ...emptyFrame('moreLogits', SESSION, 0), step: 1, columns: 0 })
    expect((await next(stream)).columns).toBe(1_000)
  })

  test('ping is answered while the runner is busy', async () => {
    const { server, runner } = createServer({ start: 0, end: 9 })
    let openGate = (): void => undefined
    runner.gate = new Promise((resolve) => (openGate = resolve))
    const stream = connect(server)
    await open(stream, { start: 0, end: 9 })
    await stream.send(tokensFrame([1], { step: 1, position: 0 }))
    await stream.send({ ...emptyFrame('ping', SESSION, 0), step: 77 })
    expect(await next(stream)).toMatchObject({ type: 'pong', step: 77 })
    openGate()
  })

  test('close frees the cache and ends the push stream cleanly', async () => {
    records.set('after', { model: { repo: 'r', revision: 'r', digest: DIGEST, blocks: 9 } })
    const { server, runner } = createServer({ start: 0, end: 3 })
    const stream = connect(server)
    await open(stream, { start: 0, end: 3, next: 'after' })
    const after = pushed[0] as MemoryStream
    await next(after)
    await stream.send(emptyFrame('close', SESSION, 0))
    expect((await next(after)).type).toBe('close')
    await settled(() => runner.sessions.size === 0)
    expect(server.stats().sessions).toBe(0)
  })

  test('a lost next hop and a lost previous hop are told to the requesting peer by name', async () => {
    records.set('after', { model: { repo: 'r', revision: 'r', digest: DIGEST, blocks: 9 } })
    const first = createServer({ start: 0, end: 3 })
    const stream = connect(first.server)
    await open(stream, { start: 0, end: 3, next: 'after' })
    pushed[0]?.abort(new Error('gone'))
    expect(await nextFailure(stream)).toMatchObject({ code: 'PEER_LOST', peerId: 'after', retryable: true })
    const last = await lastHop()
    const before = await attach(last.server, 'before')
    await next(before)
    before.abort(new Error('gone'))
    expect(await nextFailure(last.stream)).toMatchObject({ code: 'PEER_LOST', peerId: 'before' })
  })
})

describe('runners', () => {
  test('steps of several sessions that wait are one batch, each session in order', async () => {
    const { server, runner } = createServer({ start: 0, end: 9 })
    let openGate = (): void => undefined
    runner.gate = new Promise((resolve) => (openGate = resolve))
    const streams: MemoryStream[] = []
    for (let i = 0; i < 3; i += 1) {
      const stream = connect(server, `client${i}`)
      await open(stream, { start: 0, end: 9, previous: `client${i}` }, sessionId(i))
      streams.push(stream)
    }
    await streams[0]?.send(tokensFrame([1], { step: 1, position: 0, session: sessionId(0) }))
    await settled(() => runner.batches.length === 1)
    for (const [i, stream] of streams.entries()) {
      await stream.send(tokensFrame([1], { step: 2, position: i === 0 ? 1 : 0, session: sessionId(i) }))
      await stream.send(tokensFrame([1], { step: 3, position: i === 0 ? 2 : 1, session: sessionId(i) }))
    }
    await settled(() => server.stats().sessions === 3)
    openGate()
    for (const stream of streams) {
      expect((await next(stream)).type).toBe('done')
      expect((await next(stream)).type).toBe('done')
    }
    expect(runner.batches.map((batch) => batch.length)).toEqual([1, 3, 3])
  })

  test('sessions that open at once each learn how many were before', async () => {
    const { server } = createServer({ start: 0, end: 9 })
    const opened = ['a', 'b', 'c'].map(async (client, index) => {
      const stream = connect(server, client)
      await stream.send(openFrame({ start: 0, end: 9, previous: client }, sessionId(index + 1)))
      return readJson(await next(stream))['sessions']
    })
    expect(await Promise.all(opened)).toEqual([0, 1, 2])
  })

  test('a runner that is retired finishes its step, then its sessions are told to look elsewhere', async () => {
    const { server, runner } = createServer({ start: 0, end: 9 })
    let openGate = (): void => undefined
    runner.gate = new Promise((resolve) => (openGate = resolve))
    const stream = connect(server)
    await open(stream, { start: 0, end: 9 })
    await stream.send(tokensFrame([1], { step: 1, position: 0 }))
    await settled(() => runner.batches.length === 1)
    const moved = new FakeRunner({ start: 0, end: 9 }, BLOCKS, 2)
    server.addRunner(moved)
    const retired = server.retireRunner(runner)
    await open(connect(server), { start: 0, end: 9 }, sessionId(5))
    expect(moved.sessions.size).toBe(1)
    openGate()
    expect((await next(stream)).type).toBe('done')
    expect(await nextFailure(stream)).toMatchObject({ code: 'PEER_REFUSED', retryable: true })
    await retired
    expect(runner.sessions.size).toBe(0)
    expect(server.stats().sessions).toBe(1)
  })

  test('a runner that never rests is retired all the same: each session leaves between two of its own steps', async () => {
    const { server, runner } = createServer({ start: 0, end: 9 })
    const sessions = [1, 2].map((number) => ({ id: sessionId(number), stream: connect(server), step: 0 }))
    for (const { stream, id } of sessions) await open(stream, { start: 0, end: 9 }, id)
    const gates: (() => void)[] = []
    const hold = (): void => void (runner.gate = new Promise((resolve) => gates.push(resolve)))
    const send = async (session: (typeof sessions)[number]): Promise<void> => {
      session.step += 1
      const at = { step: session.step, position: session.step - 1, session: session.id }
      await session.stream.send(tokensFrame([1], at))
    }
    const [a, b] = sessions as [(typeof sessions)[number], (typeof sessions)[number]]
    hold()
    await send(a)
    await settled(() => runner.batches.length === 1)
    await send(b)
    const retired = server.retireRunner(runner)
    // While the step of one is run, the other's waits: at no moment is the queue empty.
    hold()
    gates.shift()?.()
    expect((await next(a.stream)).type).toBe('done')
    expect(await nextFailure(a.stream)).toMatchObject({ code: 'PEER_REFUSED', retryable: true })
    expect(runner.batches).toHaveLength(2)
    gates.shift()?.()
    expect((await next(b.stream)).type).toBe('done')
    expect(await nextFailure(b.stream)).toMatchObject({ code: 'PEER_REFUSED', retryable: true })
    await retired
    expect(server.stats().sessions).toBe(0)
  })

  test('simulated speed: rows × blocks of all sessions pay, one after another', async () => {
    const { server } = createServer({ start: 0, end: 9 }, { simulateSpeed: 900 })
    const a = connect(server)
    const b = connect(server)
    await open(a, { start: 0, end: 9 }, sessionId(1))
    await open(b, { start: 0, end: 9 }, sessionId(2))
    const startedAt = performance.now()
    await a.send(tokensFrame([1, 2, 3, 4, 5], { step: 1, position: 0, session: sessionId(1) }))
    await b.send(tokensFrame([1, 2, 3, 4, 5], { step: 1, position: 0, session: sessionId(2) }))
    await next(a)
    const first = performance.now() - startedAt
    await next(b)
    const second = performance.now() - startedAt
    // 5 rows × 9 blocks ÷ 900 = 50 ms each; timers may fire a millisecond early.
    expect(first).toBeGreaterThan(47)
    expect(second).toBeGreaterThan(97)
  })

  test('a server that stops tells its sessions and frees their caches', async () => {
    const { server, runner } = createServer({ start: 0, end: 9 })
    const stream = connect(server)
    await open(stream, { start: 0, end: 9 })
    await server.stop()
    expect(await nextFailure(stream)).toMatchObject({ code: 'PEER_REFUSED', retryable: true })
    expect(runner.sessions.size).toBe(0)
  })
})

function sessionId(n: number): string {
  return (n + 1).toString(16).padStart(32, '0')
}

async function settled(check: () => boolean): Promise<void> {
  for (let i = 0; i < 500; i += 1) {
    if (check()) return
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  throw new Error('did not happen')
}
