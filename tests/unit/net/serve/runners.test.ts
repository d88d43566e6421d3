/** Several sessions and runners: batching, pacing, moving, stopping. */
import { describe, expect, test } from 'vitest'
import { readJson } from '../../../../swarm/codec.ts'
import { FakeRunner } from '../fake-runner.ts'
import { type MemoryStream } from '../memory-stream.ts'
import { next, nextFailure, openFrame, tokensFrame } from '../requester.ts'
import { BLOCKS, connect, createServer, open, sessionId, settled } from './server-lab.ts'

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

  test('a token does not wait behind a prefill, nor does a session overtake itself', async () => {
    const { server, runner } = createServer({ start: 0, end: 9 })
    const [a, b] = [connect(server, 'a'), connect(server, 'b')]
    await open(a, { start: 0, end: 9, previous: 'a' }, sessionId(1))
    await open(b, { start: 0, end: 9, previous: 'b' }, sessionId(2))
    let openGate = (): void => undefined
    runner.gate = new Promise((resolve) => (openGate = resolve))
    const prompt = Array.from({ length: 60 }, () => 1)
    await a.send(tokensFrame(prompt, { step: 1, position: 0, session: sessionId(1) }))
    await a.send(tokensFrame([1], { step: 2, position: 60, session: sessionId(1) }))
    await settled(() => runner.batches.length === 1)
    runner.gate = Promise.resolve()
    await b.send(tokensFrame([1], { step: 1, position: 0, session: sessionId(2) }))
    expect((await next(b)).type).toBe('done')
    expect(runner.batches.map((batch) => batch.map(({ rows }) => rows))).toEqual([[60], [1]])
    openGate()
    expect(await next(a)).toMatchObject({ type: 'done', step: 1 })
    expect(await next(a)).toMatchObject({ type: 'done', step: 2 })
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

  test('a runner that is drained serves what runs there to its end, and takes nothing new', async () => {
    const { server, runner } = createServer({ start: 0, end: 9 })
    const [ends, stays] = [connect(server, 'a'), connect(server, 'b')]
    await open(ends, { start: 0, end: 9, previous: 'a' }, sessionId(1))
    await open(stays, { start: 0, end: 9, previous: 'b' }, sessionId(2))
    const moved = new FakeRunner({ start: 0, end: 9 }, BLOCKS, 2)
    server.addRunner(moved)
    const enough = new AbortController()
    let isDrained = false
    const retired = server
      .drainRunner(runner, { idleMs: 60_000, signal: enough.signal })
      .then(() => (isDrained = true))
      .then(() => server.retireRunner(runner))
    await open(connect(server), { start: 0, end: 9 }, sessionId(5))
    expect(moved.sessions.size).toBe(1)
    for (const [stream, id] of [
      [ends, 1],
      [stays, 2],
    ] as const) {
      await stream.send(tokensFrame([1], { step: 1, position: 0, session: sessionId(id) }))
      expect((await next(stream)).type).toBe('done')
    }
    await ends.close()
    await settled(() => runner.sessions.size === 1)
    expect(isDrained).toBe(false)
    enough.abort()
    expect(await nextFailure(stays)).toMatchObject({ code: 'PEER_REFUSED', retryable: true })
    await retired
    expect([runner.sessions.size, server.stats().sessions]).toEqual([0, 1])
  })

  test('a drain ends by itself when nobody has asked for anything lately', async () => {
    const { server, runner } = createServer({ start: 0, end: 9 })
    const stream = connect(server)
    await open(stream, { start: 0, end: 9 })
    await server.drainRunner(runner, { idleMs: 10, signal: new AbortController().signal })
    await server.retireRunner(runner)
    expect(await nextFailure(stream)).toMatchObject({ code: 'PEER_REFUSED', retryable: true })
    expect(runner.sessions.size).toBe(0)
  })

  test('a runner that is taken back from its drain goes on with its sessions and takes new ones', async () => {
    const { server, runner } = createServer({ start: 0, end: 9 })
    const [stays, comes] = [connect(server, 'a'), connect(server, 'b')]
    await open(stays, { start: 0, end: 9, previous: 'a' }, sessionId(1))
    const enough = new AbortController()
    const drained = server.drainRunner(runner, { idleMs: 60_000, signal: enough.signal })
    await comes.send(openFrame({ start: 0, end: 9, previous: 'b' }, sessionId(2)))
    expect(await nextFailure(comes)).toMatchObject({ code: 'PEER_REFUSED', retryable: true })
    enough.abort()
    await drained
    server.takeBackRunner(runner)
    await open(connect(server, 'b'), { start: 0, end: 9, previous: 'b' }, sessionId(3))
    await stays.send(tokensFrame([1], { step: 1, position: 0, session: sessionId(1) }))
    expect((await next(stays)).type).toBe('done')
    expect([runner.sessions.size, server.stats().sessions]).toEqual([2, 2])
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

  test('simulated speed: rows × blocks of all sessions pay, one after another; a step’s further rows pay an eighth', async () => {
    const { server } = createServer({ start: 0, end: 9 }, { simulateSpeed: 270 })
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
    // (1 + 4 ÷ 8) rows × 9 blocks ÷ 270 = 50 ms each; timers may fire a millisecond early.
    expect(first).toBeGreaterThan(47)
    expect(second).toBeGreaterThan(97)
  })

  test('simulated speed: a token passes between the parts of a prefill', async () => {
    const { server } = createServer({ start: 0, end: 9 }, { simulateSpeed: 90 })
    const a = connect(server)
    const b = connect(server)
    await open(a, { start: 0, end: 9 }, sessionId(1))
    await open(b, { start: 0, end: 9 }, sessionId(2))
    const rows = Array.from({ length: 41 }, (_, i) => i)
    await a.send(tokensFrame(rows, { step: 1, position: 0, session: sessionId(1) }))
    await b.send(tokensFrame([1], { step: 1, position: 0, session: sessionId(2) }))
    const ended: string[] = []
    await Promise.all([next(a).then(() => ended.push('prefill')), next(b).then(() => ended.push('token'))])
    // (1 + 40 ÷ 8) × 9 blocks ÷ 90 = 600 ms, and 100 ms.
    expect(ended).toEqual(['token', 'prefill'])
  })

  test('aside, it refuses new sessions with its reason, runs those it has, and takes new ones when it is back', async () => {
    const { server, runner } = createServer({ start: 0, end: 9 })
    const running = connect(server)
    await open(running, { start: 0, end: 9 })
    server.refuseSessions('is paused by its owner')
    const refused = connect(server)
    await refused.send(openFrame({ start: 0, end: 9 }, sessionId(2)))
    expect(await nextFailure(refused)).toMatchObject({
      code: 'PEER_REFUSED',
      message: 'peer hop is paused by its owner',
      retryable: true,
    })
    await running.send(tokensFrame([1], { step: 1, position: 0 }))
    expect((await next(running)).type).toBe('done')
    server.refuseSessions(null)
    await open(connect(server), { start: 0, end: 9 }, sessionId(3))
    expect(runner.sessions.size).toBe(2)
  })

  test('a session that is just being opened when it goes aside is refused too', async () => {
    const { server, runner } = createServer({ start: 0, end: 9 })
    let openGate = (): void => undefined
    runner.openGate = new Promise((resolve) => (openGate = resolve))
    const stream = connect(server)
    await stream.send(openFrame({ start: 0, end: 9 }))
    await settled(() => runner.sessions.size === 1)
    server.refuseSessions('is paused by its owner')
    openGate()
    expect(await nextFailure(stream)).toMatchObject({ code: 'PEER_REFUSED', retryable: true })
    await settled(() => runner.sessions.size === 0)
  })

  test('hands its sessions over between two steps and keeps its runner', async () => {
    const { server, runner } = createServer({ start: 0, end: 9 })
    let openGate = (): void => undefined
    runner.gate = new Promise((resolve) => (openGate = resolve))
    const stream = connect(server)
    await open(stream, { start: 0, end: 9 })
    await stream.send(tokensFrame([1], { step: 1, position: 0 }))
    await settled(() => runner.batches.length === 1)
    const handedOver = server.handOver('is paused by its owner')
    openGate()
    expect((await next(stream)).type).toBe('done')
    expect(await nextFailure(stream)).toMatchObject({ message: 'peer hop is paused by its owner', retryable: true })
    await handedOver
    expect([server.stats().sessions, runner.sessions.size]).toEqual([0, 0])
    await open(connect(server), { start: 0, end: 9 }, sessionId(2))
    expect(runner.sessions.size).toBe(1)
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
